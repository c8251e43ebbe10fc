"""The state of a worker process: settled before each cell, restored after it.

So a cell's numbers do not depend on what ran before it in the same process, and what a plug-in
changes - the directory, the environment, torch's defaults - ends with its cell and is reported.
"""

import contextlib
import faulthandler
import functools
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench import leftovers
from bench.seeds import follow_imports, seed_globals

GIB = 2**30
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}
TORCH_DEFAULTS = {
    "default dtype": "torch.float32",
    "default device": "cpu",
    "gradient mode": True,
    "matmul precision": "highest",
}
"""How torch is when it has just been imported; dtype and device as text."""

Part = tuple[Callable[[], Any], Callable[[Any], Any]]
"""How to read and how to write a part of the state; what cannot be written raises."""


def settle(key: str, threads: int, *, deterministic: bool) -> None:
    """Seed every global generator from the cell's key and set torch's defaults.

    Tasks draw from generators of their own; this catches the plug-in that does not.
    """
    import numpy  # noqa: F401  a tenth of a second, once, and its generator can be seeded

    seed_globals("cell", key)
    follow_imports()
    if sys.modules.get("torch") is None:  # a task that computes has imported it by now
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
def preserved(changes: Changes, *, spare_bytes: int = GIB) -> Iterator[None]:
    """Restore the state of this process at the end; tell in `changes` what had changed.

    Args:
        changes: Filled in at the end.
        spare_bytes: How much more memory than before its first cell the process may keep; beyond
            it, the cells that follow would pay for what earlier ones hold.
    """
    before = {name: _read(read) for name, (read, _) in _parts().items()}
    company = leftovers.Company()
    idle = [timer for timer in TIMERS if signal.getitimer(timer)[0] == 0]
    first_bytes = _bytes_at_first_cell()
    try:
        yield
    finally:
        if _cancel(idle):
            changes.restored.append("timers")
        for name, part in _parts().items():
            _restore(name, part, before, changes)
        changes.lasting += company.newcomers()
        if leftovers.kept_bytes(first_bytes, spare_bytes) > spare_bytes:
            changes.lasting.append("memory")


@functools.cache
def _bytes_at_first_cell() -> int:
    return leftovers.resident_bytes()


class _Unreadable:
    """What stands for a part of the state that could not be read."""


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:  # the current directory is gone, `sys.path` is no list...
        return _Unreadable


def _restore(name: str, part: Part, before: dict[str, Any], changes: Changes) -> None:
    """Put one part back; whatever a plug-in's damage makes fail is lasting."""
    read, write = part
    try:
        known = before[name] if name in before else _torch_default(name)
        if _read(read) == known:
            return
        write(known)
        undone = _read(read) == known
    except Exception:
        undone = False
    (changes.restored if undone else changes.lasting).append(name)


def _cancel(timers: list[int]) -> bool:
    """Cancel what would strike a later cell; return whether there was anything."""
    faulthandler.cancel_dump_traceback_later()
    return any([signal.setitimer(timer, 0)[0] > 0 for timer in timers])  # all of them: a list


def _parts() -> dict[str, Part]:
    """Return the parts in the order of restoration; torch's only once it is imported."""
    parts: dict[str, Part] = {
        # First, as reading the others may need what a limit forbids.
        "resource limits": (lambda: [resource.getrlimit(kind) for kind in LIMITS], _set_limits),
        "working directory": (os.getcwd, os.chdir),
        "environment": (_environment, _set_environment),
        "umask": (_umask, os.umask),
        "import path": (lambda: list(sys.path), _set_path),
        "standard streams": (lambda: (sys.stdin, sys.stdout, sys.stderr), _set_streams),
        "standard files": (_standard_files, _plug_standard_files),
        "signal handlers": (_handlers, _set_handlers),
        "signal mask": (
            lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            lambda mask: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
        ),
        "recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
        "garbage collector": (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        # Threads that libraries started meanwhile have inherited these two for good.
        "priority": (lambda: os.getpriority(os.PRIO_PROCESS, 0), _give_up),
        "processor cores": (_cores, _give_up),
    }
    with contextlib.suppress(Exception):  # a plug-in may have put anything in its place
        if sys.modules.get("torch") is not None:
            parts |= _torch_parts()
    return parts


def _torch_parts() -> dict[str, Part]:
    import torch

    return {
        "default dtype": (
            lambda: str(torch.get_default_dtype()),
            lambda name: torch.set_default_dtype(getattr(torch, name.removeprefix("torch."))),
        ),
        "default device": (
            lambda: str(torch.get_default_device()),
            # "cpu" would be set at the price of a detour in every call.
            lambda name: torch.set_default_device(None if name == "cpu" else name),
        ),
        "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
        "matmul precision": (
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
    }


def _torch_default(name: str) -> Any:
    """Return what a part was that appeared during the cell, which imported torch."""
    return TORCH_DEFAULTS[name]


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_ENVIRON = os.environ
OWN_NOTES = ("TORCHINDUCTOR_CACHE_DIR",)
"""Variables that torch sets for itself, by the first optimiser for example: no plug-in's doing."""


def _environment() -> tuple[int, dict[str, str]]:
    values = {name: value for name, value in os.environ.items() if name not in OWN_NOTES}
    return id(os.environ), values


def _set_environment(state: tuple[int, dict[str, str]]) -> None:
    os.environ = _ENVIRON  # noqa: B003  where a plug-in has put another dictionary
    os.environ.clear()
    os.environ.update(state[1])


def _set_path(entries: list[str]) -> None:
    if isinstance(sys.path, list):
        sys.path[:] = entries
    else:
        sys.path = list(entries)


def _set_streams(streams: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _standard_files() -> list[Any]:
    """Return what tells whether the three standard files are open and still the same."""
    closed = [bool(getattr(getattr(sys, name), "closed", False)) for name in STREAMS.values()]
    return [*closed, *(_identity(number) for number in STREAMS)]


def _identity(number: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _plug_standard_files(state: list[Any]) -> None:
    """Keep this process able to answer: nothing that it opens may get a standard number."""
    for number in STREAMS:
        if _identity(number) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for number, name in STREAMS.items():
        if getattr(getattr(sys, name), "closed", False):
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))
    _give_up(state)


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _set_limits(limits: list[tuple[int, int]]) -> None:
    for kind, limit in zip(LIMITS, limits, strict=True):
        if resource.getrlimit(kind) != limit:
            resource.setrlimit(kind, limit)


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _give_up(state: Any) -> None:
    raise OSError(f"{state!r} cannot be brought back in this process")
