"""What killed processes left in a store: half-done exchanges, work that nobody goes on with.

Everything here is done only to keys whose lock is free, and costs nothing where nothing was left.
"""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from bench.disk import discard, holds, sync_folder
from bench.record import is_key
from bench.temporary import STALE_S as STALE_S
from bench.temporary import is_stale, time_at

if TYPE_CHECKING:
    from bench.store import Store

OLD = ".old"
"""Ends the name of a folder of files that is being replaced."""
WAITING = ".shared"
"""Ends the name of a folder of work where a shared store's files wait for their record."""
RENEWAL = "renewal-"
"""Begins the name of a file beside the folders: a fresh run that is unfinished, and goes on with
half-done work of cells that have a record already."""
_is_temporary = re.compile(r"\.[0-9a-f]{16}\.tmp").fullmatch
"""Of the names that `bench.disk.beside` gives."""


def settle_exchange(store: "Store", key: str) -> None:
    """Finish or undo an exchange of a key's files that was cut short; its lock must be held.

    The record decides: it is renamed in one step, so it is the old one or the new one. The files
    that were moved aside go back to their place where the record speaks of them and not of those
    that are there.

    Raises:
        OSError: If the files cannot be read or moved; nothing is lost then.
    """
    target = store.folder(key)
    aside = target.with_name(target.name + OLD)
    if not os.path.lexists(aside):
        return
    record = store.peek(key)
    files = record["files"] if record else {}
    if not holds(target, files, hashed=True) and holds(aside, files, hashed=True):
        discard(target)
        aside.rename(target)
        sync_folder(target.parent)
    else:
        discard(aside)


def if_free(store: "Store", key: str, action: Callable[["Store", str], None]) -> None:
    """Do something to a key under its lock, unless somebody holds that."""
    lock = FileLock(store.lock(key))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return
    try:
        action(store, key)
    finally:
        lock.release()


def tidy(store: "Store") -> None:
    """Put right what killed processes left.

    Raises:
        OSError: If a folder of the store cannot be listed, or an exchange not be settled.
    """
    for name in _names(store.root / "files"):
        if name.endswith(OLD) and is_key(name.removesuffix(OLD)):
            if_free(store, name.removesuffix(OLD), settle_exchange)
    for name in list(_names(store.root / "work")):
        if name.endswith(WAITING) and is_key(name.removesuffix(WAITING)):
            if_free(store, name.removesuffix(WAITING), _drop_waiting)
    unfinished = any(name.startswith(RENEWAL) for name in _names(store.root))
    for part in ("work",) if unfinished else ("work", "partial"):
        for key in filter(is_key, list(_names(store.root / part))):
            if_free(store, key, functools.partial(_drop_leftovers, part=part))
    drop_temporaries(store.root / "cells", lambda name: name.startswith("."))
    drop_temporaries(store.root)


def _drop_leftovers(store: "Store", key: str, *, part: str) -> None:
    """Remove the work of a cell that has its record, and will not be gone on with."""
    record = store.peek(key)
    if record is not None and record["status"] == "ok" and store.is_whole(record):
        with contextlib.suppress(OSError):  # somebody else's
            discard(store.root / part / key)


def _drop_waiting(store: "Store", key: str) -> None:
    with contextlib.suppress(OSError):  # somebody else's
        discard(store.root / "work" / f"{key}{WAITING}")


def drop_temporaries(folder: Path, is_one: Callable[[str], object] = _is_temporary) -> None:
    """Remove what was half written into a folder and is old, by the file system's own clock.

    Raises:
        OSError: If the folder cannot be listed.
    """
    found = list(filter(is_one, list(_names(folder))))
    now = time_at(folder) if found else 0.0
    for name in found:
        with contextlib.suppress(OSError):  # somebody else's, or gone by now
            if is_stale(folder / name, now):
                (folder / name).unlink()


def _names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as found:
        for entry in found:
            yield entry.name
