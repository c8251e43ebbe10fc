"""One lock per machine, so that nothing runs beside a timing cell - of this run or another.

Quality cells hold it together, a timing cell holds it alone. `BENCH_LOCK_DIR` moves it.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

NAME = "missing-u-bench.lock"


def _path() -> Path:
    return Path(os.environ.get("BENCH_LOCK_DIR") or tempfile.gettempdir()) / NAME


@contextlib.contextmanager
def machine_lock(*, alone: bool) -> Iterator[None]:
    """Hold the machine's lock, alone or together with others that do not ask to be alone."""
    try:
        import fcntl
    except ImportError:  # Windows has no shared file locks; there, runs must not overlap
        yield
        return
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
