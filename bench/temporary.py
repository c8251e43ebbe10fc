"""Names for files that are being written: each process has its own, and what one left is found.

Two processes may write one file at once - a share of a cell and its double, after a node was
thought dead - and neither may touch what the other has half done.
"""

import contextlib
import functools
import hashlib
import os
import socket
import tempfile
from pathlib import Path

END = ".part"
STALE_S = 3600.0
"""What was last written to longer ago, by the file system's own clock, was left by a process that
was killed."""


def temporary_beside(path: Path) -> Path:
    """Return where this process writes what will be `path`, after clearing away what others left.

    Left is what belongs to a process of this machine that is no more, or is old.
    """
    begin = f".{path.name}."
    own = f"{begin}{_here()}-{os.getpid()}{END}"
    with contextlib.suppress(OSError):
        for name in [found.name for found in path.parent.iterdir()]:
            if name.startswith(begin) and name.endswith(END):
                owner = name.removeprefix(begin).removesuffix(END)
                if name == own or _is_left(path.with_name(name), owner):
                    path.with_name(name).unlink(missing_ok=True)
    return path.with_name(own)


def is_stale(path: Path, now: float) -> bool:
    """Return whether a file is old, by a time that `time_at` told; one that is gone is not."""
    with contextlib.suppress(OSError):
        return now - path.lstat().st_mtime > STALE_S
    return False


def time_at(folder: Path) -> float:
    """Return the time as the file system tells it, whose clock may be another machine's.

    0, by which nothing is stale, where nothing can be written.
    """
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"now")
        file.flush()
        os.fsync(file.fileno())  # a network drive may tell its own time only then
        return os.fstat(file.fileno()).st_mtime
    return 0.0


def _is_left(path: Path, owner: str) -> bool:
    place, _, number = owner.partition("-")
    if place == _here() and number.isdecimal() and not _runs(int(number)):
        return True
    return is_stale(path, time_at(path.parent))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@functools.cache
def _here() -> str:
    """Return what tells apart the places in which a process's number means that process."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # no Linux
        space = boot = ""
    return hashlib.sha256(f"{socket.gethostname()} {boot} {space}".encode()).hexdigest()[:8]
