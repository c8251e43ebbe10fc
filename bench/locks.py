"""One lock per machine, so that nothing runs beside a timing cell - of this run or another.

Quality cells hold it together, a timing cell holds it alone. `BENCH_LOCK_DIR` moves it.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

NAME = "missing-u-bench.lock"
POLL_S = 0.1


def _path() -> Path:
    return Path(os.environ.get("BENCH_LOCK_DIR") or tempfile.gettempdir()) / NAME


@contextlib.contextmanager
def machine_lock(*, alone: bool, wanted: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the machine's lock, alone or together with others that do not ask to be alone.

    Args:
        alone: Whether nothing else may hold it.
        wanted: Called again and again while waiting; raises to give up.
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


def _opened(path: Path) -> int:
    """Open the lock file, which may be another person's: reading is enough to lock it."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
