"""What a cell leaves running or holding in its process: threads, children, memory."""

import contextlib
import ctypes
import gc
import sys
import threading
import traceback
from pathlib import Path

import psutil

GRACE_S = 0.05
"""How long a thread that is about to end may take."""


class Company:
    """Who is there when this is made: the threads and the children of this process."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._children = _children()

    def newcomers(self) -> list[str]:
        """Return "running children" and "running threads" where there are any that are new.

        Every new Python thread counts, daemons too. Those that compiled libraries keep for their
        computations are none; nor are the children of children that were there.
        """
        found = []
        if self._new_children():
            _collect()  # what nobody holds any more may end its child
            if self._new_children():
                found.append("running children")
        if self._new_threads():
            for thread in self._new_threads():
                thread.join(GRACE_S)
            if self._new_threads():
                found.append("running threads")
        return found

    def _new_children(self) -> set[int]:
        return {pid for pid in _children() - self._children if _runs(pid)}

    def _new_threads(self) -> list[threading.Thread]:
        return [
            thread
            for thread in threading.enumerate()
            if thread not in self._threads and not isinstance(thread, threading._DummyThread)
        ]


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    return int(psutil.Process().memory_info().rss)


def kept_bytes(first_bytes: int, spare_bytes: int) -> int:
    """Return how much more than `first_bytes` is held.

    Garbage is collected only if it may matter, as looking for it takes a while.
    """
    kept = resident_bytes() - first_bytes
    if kept <= spare_bytes:
        return kept
    _collect()
    with contextlib.suppress(AttributeError, OSError):  # another system's C library
        ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes() - first_bytes


def _collect() -> None:
    """Let go of what nobody uses any more, or only the traceback of an error on its way."""
    error = sys.exception()
    if error is not None:
        traceback.clear_frames(error.__traceback__)
    gc.collect()


def _children() -> set[int]:
    """Return the processes that this one started and that still run (or were not waited for)."""
    found: set[int] = set()
    try:  # a walk over all processes, as psutil's, takes milliseconds
        for task in Path("/proc/self/task").iterdir():
            found.update(int(word) for word in (task / "children").read_text().split())
    except (OSError, ValueError):
        return {child.pid for child in psutil.Process().children()}
    return found


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
