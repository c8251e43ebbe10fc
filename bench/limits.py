"""What one cell may use: time and memory, watched from outside its process."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.machine import memory_quota

POLL_S = 0.2
FAMILY_EVERY = 5
"""Polls between looks at the worker's children, which cost a walk over all processes."""
SHARE = 0.9
"""Of the machine's memory, for all cells that run at once."""
MIB, GIB = 2**20, 2**30
KILLS = Path("/proc/vmstat")


def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container that it is."""
    total = int(psutil.virtual_memory().total)
    return min(total, memory_quota() or total)


def memory_limit(asked_gib: float | None, sharing: int) -> int:
    """Return the bytes that a cell may hold: as asked, or its part of the machine's."""
    if asked_gib is not None:
        return int(asked_gib * GIB)
    return int(SHARE * machine_memory() / sharing)


def open_files(wanted: int) -> int:
    """Return how many files this process may hold open, after asking for room where it is short."""
    try:
        import resource
    except ImportError:  # Windows
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    room = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    except (ValueError, OSError):  # some systems have a limit beyond the one they tell
        return soft
    return room


def kernel_kills() -> int | None:
    """Return how many processes the kernel has killed for want of memory; None if it is unknown."""
    try:
        words = KILLS.read_text().split()
        return int(words[words.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return None


class Watch:
    """Ends a process that takes too long or holds too much; a context manager."""

    def __init__(self, pid: int, end: Callable[[], None], *, limit_s: float, limit_bytes: int):
        self._pid, self._end = pid, end
        self._limit_s, self._limit_bytes = limit_s, limit_bytes
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._kills = kernel_kills()
        self.peak_bytes = 0
        """The most memory that was seen."""
        self.verdict: tuple[str, str] | None = None
        """(status, reason) where the process was ended by this watch."""

    def __enter__(self) -> "Watch":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        """Stop watching."""
        self._done.set()
        self._thread.join()

    def killed_for_memory(self) -> bool:
        """Return whether the kernel took the process's memory back, or nearly had to."""
        now = kernel_kills()
        if now is not None and self._kills is not None:
            return now > self._kills
        return self.peak_bytes > self._limit_bytes / 2

    def _follow(self) -> None:
        deadline = time.monotonic() + self._limit_s
        family = polls = 0
        while not self._done.is_set():
            try:
                process = psutil.Process(self._pid)
                if process.status() == psutil.STATUS_ZOMBIE:
                    # It has ended by itself; a child of it may keep its pipes open, which would
                    # hide that from whoever reads them.
                    self._end()
                    return
                if polls % FAMILY_EVERY == 0:
                    family = sum(_resident(child) for child in process.children(recursive=True))
                held = int(process.memory_info().rss) + family
                if held > self._limit_bytes:  # what several share was counted several times
                    held = sum(_share(one) for one in (process, *process.children(recursive=True)))
            except psutil.Error:
                return  # it is gone
            polls += 1
            self.peak_bytes = max(self.peak_bytes, held)
            self.verdict = self._judged(held, deadline)
            if self.verdict:
                self._end()
                return
            self._done.wait(min(POLL_S, max(0.0, deadline - time.monotonic())))

    def _judged(self, held: int, deadline: float) -> tuple[str, str] | None:
        if held > self._limit_bytes:
            return "oom", (
                f"it held {held / GIB:.2f} GiB, its limit is {self._limit_bytes / GIB:.2f} GiB; "
                "use fewer --workers or raise cell_memory_gib"
            )
        if time.monotonic() >= deadline:
            return "timeout", f"stopped after its limit of {self._limit_s:g} s"
        return None


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _share(process: psutil.Process) -> int:
    """Return a process's memory, of which shared pages count in parts; else what is resident."""
    try:
        memory = process.memory_full_info()  # takes milliseconds
    except psutil.Error:
        return _resident(process)
    return int(getattr(memory, "pss", memory.rss))  # only Linux tells
