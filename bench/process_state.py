"""The state of a worker process: settled before each cell, restored after it.

So a cell's numbers do not depend on what ran before it in the same process, and what a plug-in
changes - the directory, the environment, torch's defaults - ends with its cell and is reported.
"""

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.seeds import seed_globals

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


def settle(key: str, threads: int, *, deterministic: bool) -> None:
    """Seed every global generator from the cell's key and set torch's defaults.

    Tasks draw from generators of their own; this catches the plug-in that does not.
    """
    seed_globals("cell", key)
    if "torch" not in sys.modules:  # a task that computes has imported it by now
        return
    import torch

    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # Filling fresh memory costs time, and hides nothing.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(threads)


@dataclass
class Changes:
    """What a cell left behind, filled in when it ends."""

    restored: list[str] = field(default_factory=list)
    lasting: list[str] = field(default_factory=list)
    """What cannot be undone: the process should be replaced."""


@contextlib.contextmanager
def preserved(changes: Changes) -> Iterator[None]:
    """Restore the state of this process at the end; tell in `changes` what had changed."""
    before = {name: _read(read) for name, (read, _) in _parts().items()}
    threads = set(threading.enumerate())
    try:
        yield
    finally:
        for name, (read, write) in _parts().items():
            if name in before and _read(read) != before[name]:
                try:
                    write(before[name])
                    changes.restored.append(name)
                except Exception:  # whatever a plug-in's damage makes fail
                    changes.lasting.append(name)
        if any(thread not in threads and not thread.daemon for thread in threading.enumerate()):
            changes.lasting.append("running threads")


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except OSError:  # the current directory is gone
        return None


def _parts() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """Return name -> (how to read, how to write); torch's only once it is imported."""
    parts: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "working directory": (os.getcwd, os.chdir),
        "environment": (lambda: dict(os.environ), _set_environment),
        "umask": (_umask, os.umask),
        "import path": (lambda: list(sys.path), _set_path),
        "standard streams": (lambda: (sys.stdin, sys.stdout, sys.stderr), _set_streams),
        "signal handlers": (
            lambda: [signal.getsignal(number) for number in HANDLED],
            lambda handlers: [signal.signal(*pair) for pair in zip(HANDLED, handlers, strict=True)],
        ),
        "recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
        "garbage collector": (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    }
    return parts | (_torch_parts() if "torch" in sys.modules else {})


def _torch_parts() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    import torch

    return {
        "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "default device": (torch.get_default_device, torch.set_default_device),
        "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
        "matmul precision": (
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
    }


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_environment(values: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)


def _set_path(entries: list[str]) -> None:
    sys.path[:] = entries


def _set_streams(streams: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams
