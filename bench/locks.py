"""One lock per machine, so that nothing runs beside a timing cell - of this run or another.

Quality cells hold it together, a timing cell holds it alone. `BENCH_LOCK_DIR` moves it.
"""

import contextlib
import errno
import math
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench.disk import STRANGE
from bench.errors import BenchError
from bench.inputs import printable

NAME = "missing-u-bench.lock"
MODE = 0o644
POLL_S = 0.1
HELD = Path("/proc/locks")
"""Where Linux tells who holds which file."""
LONGEST_COMMAND = 120


def _path() -> Path:
    return Path(os.environ.get("BENCH_LOCK_DIR") or tempfile.gettempdir()) / NAME


@contextlib.contextmanager
def machine_lock(*, alone: bool, wanted: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the machine's lock, alone or together with others that do not ask to be alone.

    Args:
        alone: Whether nothing else may hold it.
        wanted: Called again and again while waiting; raises to give up.

    Raises:
        BenchError: If the lock file cannot be opened, or is a link or no plain file.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no shared file locks; there, runs must not overlap
        yield
        return
    path = _path()
    handle = _opened(path)
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        while True:
            wanted()
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(POLL_S)
        yield
    finally:
        os.close(handle)


def patient(
    wanted: Callable[[], None], tell: Callable[[], None], *, after_s: float
) -> Callable[[], None]:
    """Return what is called again and again while waiting, and tells once of a long wait.

    Args:
        wanted: Called every time; raises to give up.
        tell: Called once, when the wait has taken longer than `after_s`.
        after_s: Seconds since the first call, which never tells.
    """
    since, told = math.inf, False

    def called() -> None:
        nonlocal since, told
        wanted()
        since = min(since, now := time.monotonic())
        if not told and now - since > after_s:
            told = True
            tell()

    return called


def holders() -> str:
    """Return who else holds the lock: " (process 4711: python -m bench run all)".

    Empty where nobody does, or the system does not tell.
    """
    named = []
    with contextlib.suppress(OSError):
        facts = _path().stat()
        file = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
        lines = [line.split() for line in HELD.read_text().splitlines()]
        # "1: FLOCK ADVISORY READ 4711 fe:00:2146386 0 EOF"; one that waits has "->" before FLOCK
        pids = {int(line[4]) for line in lines if line[1:2] == ["FLOCK"] and line[5] == file}
        for pid in sorted(pids - {os.getpid()}):
            with contextlib.suppress(psutil.Error, ValueError):  # 0: of another container
                command = " ".join(psutil.Process(pid).cmdline())
                named.append(f"process {pid}: {printable(command, LONGEST_COMMAND)}")
    return f" ({'; '.join(named)})" if named else ""


def _opened(path: Path) -> int:
    """Open the lock file, which may be another person's: reading is enough to lock it.

    Raises:
        BenchError: If it cannot be opened, or is a link or no plain file.
    """
    handle = None
    try:
        handle = _found_or_made(path)
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.ENXIO, "it is no plain file")
        if facts.st_uid == os.getuid() and facts.st_mode & 0o777 != MODE:
            os.fchmod(handle, MODE)  # a umask would shut others out
        return handle
    except OSError as error:
        if handle is not None:
            os.close(handle)
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror or error
        raise BenchError(
            f"cannot open the machine's lock {printable(path)}: {reason}; expected a plain file "
            "that all may read: remove it, or set BENCH_LOCK_DIR to another folder"
        ) from error


def _found_or_made(path: Path) -> int:
    """Open a file, or make it; asking to make one that is there may be refused in /tmp."""
    while True:
        try:
            return os.open(path, os.O_RDONLY | STRANGE)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | STRANGE, MODE)
