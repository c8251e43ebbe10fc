"""A place that measures cells and shares no file system with the run: a node of a cluster.

It keeps a store of its own, fetches what a cell reads before it and puts what the cell made after
it. The run alone writes records.
"""

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench import provenance
from bench.assets import cache_dir
from bench.disk import beside, is_plain_file, settled
from bench.errors import BenchError, StorageError
from bench.inputs import printable
from bench.record import is_plain_name
from bench.shared.depot import Depot
from bench.shared.objects import opened
from bench.shared.seam import BLOBS
from bench.shared.sharing import REUSED, Shared
from bench.store import Store
from bench.worker import LONGEST_REASON, PAUSED

Answer = dict[str, Any]
DEEPEST = 3
"""Folders within the half-done work of a cell, at most."""


@functools.cache
def shared_at(address: str) -> Shared:
    """Open a shared store, once in this process; nothing is listed."""
    return Shared(Depot(opened(address)), address)


def own_store(shared: Shared) -> Store:
    """Return this machine's store for what it fetches, in the cache."""
    digest = hashlib.sha256(shared.shown.encode()).hexdigest()[:16]
    store = Store((cache_dir() / "nodes" / digest).resolve(), shared)
    store.prepare()
    return store


def measured(request: Mapping[str, Any], measure: Callable[[dict[str, Any]], Answer]) -> Answer:
    """Have a cell measured in this machine's own store.

    Args:
        request: With "shared"; its folders are those of the run's machine.
        measure: Measures a request whose folders are here.

    Returns:
        The answer, with "blobs" instead of files that the run could not read.
    """
    key = request["key"]
    try:
        shared = shared_at(request["shared"])
        store = own_store(shared)
        folder = store.root / Path(request["folder"]).relative_to(request["store"])
        # Of a cell that is measured anew: by its record, tidying up would take its work for left.
        store.path(key).unlink(missing_ok=True)
        pull(shared, store, request["keys"])
        shutil.rmtree(folder, ignore_errors=True)
        pull_parts(shared, store, key)
        folder.mkdir(parents=True, exist_ok=True)
        answer = measure({**request, "store": str(store.root), "folder": str(folder)})
        if answer["status"] == "ok":
            answer[BLOBS] = push_files(shared, folder, answer["files"])
        shutil.rmtree(folder, ignore_errors=True)
        if answer["status"] in REUSED:
            shutil.rmtree(store.partial(key), ignore_errors=True)
        else:  # another share of the cell may be at work here
            alone = not (answer["status"] == PAUSED and "share" in request)
            push_parts(shared, store, key, drop=alone)
        return {**answer, "files": {}, "folder": request["folder"]}
    except (BenchError, OSError) as error:
        made = provenance.made(request["device"], 0.0)
        reason = printable(error, LONGEST_REASON)
        told = {"status": "failed", "reason": reason, "rows": [], "files": {}}
        return {**told, "folder": request["folder"], "made": made}


def pull(shared: Shared, store: Store, keys: Iterable[str]) -> None:
    """Bring records and files of cells that are about to be read, as they are there now.

    Raises:
        StorageError: If one is not in the shared store, or damaged.
    """
    for key in keys:
        with FileLock(store.lock(key)):
            if not shared.bring(store, key):
                raise StorageError(
                    f"the cell {key[:12]} is not whole in {shared.shown}; run the command again"
                )


def _is_here(store: Store, key: str) -> bool:
    local = store.peek(key)
    return local is not None and store.is_here(local, hashed=True)


def pull_used(request: Mapping[str, Any]) -> None:
    """Bring the files that a cell of a run on this machine is about to read.

    Raises:
        StorageError: If one is not in the shared store, or damaged.
    """
    plain = Store(Path(request["store"]))
    absent = [key for key in request["keys"] if not _is_here(plain, key)]
    if absent:
        shared = shared_at(request["shared"])
        store = Store(plain.root, shared)
        # By what the run's own record says, and without its lock: another run may hold that while
        # it waits for the machine, which is held here.
        pull(shared, store, [key for key in absent if not _is_supplied(store, key)])


def _is_supplied(store: Store, key: str) -> bool:
    local = store.peek(key)
    return local is not None and store.is_sound(local)


def push_files(shared: Shared, folder: Path, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Put what a cell made, by content; return name -> {sha256, bytes}.

    Raises:
        StorageError: If it cannot be put.
    """
    facts = {}
    for name in sorted(files):
        path = folder / name
        if not is_plain_name(name) or not is_plain_file(path):
            raise StorageError(f"{printable(name)} is no file of the cell")
        facts[name] = settled(path)
        shared.depot.put_file(path, facts[name], anew=True)
    return facts


def pull_parts(shared: Shared, store: Store, key: str) -> None:
    """Bring half-done work of a cell; what is here stays. Whoever reads it checks it."""
    home = store.partial(key)
    for name in shared.depot.objects.sizes(f"partial/{key}"):
        steps = name.split("/")
        if len(steps) > DEEPEST or not all(map(is_plain_name, steps)):
            continue
        target = home / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside(target, b"") as temporary:
                if shared.depot.objects.fetch(f"partial/{key}/{name}", temporary):
                    temporary.replace(target)


def push_parts(shared: Shared, store: Store, key: str, *, drop: bool) -> None:
    """Put half-done work of a cell, with which another place may go on.

    Args:
        shared: Where to.
        store: This machine's own.
        key: Of the cell.
        drop: Whether to keep none of it here; else what was put goes, and what is being made stays.

    Raises:
        StorageError: If it cannot be put; it stays here then.
    """
    home = store.partial(key)
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if is_plain_file(path) and all(map(is_plain_name, name.split("/"))):
            try:
                shared.depot.objects.send(path, f"partial/{key}/{name}")
            except StorageError:
                if path.exists():  # else another share has put it meanwhile
                    raise
            with contextlib.suppress(OSError):
                path.unlink()
    if drop:
        shutil.rmtree(home, ignore_errors=True)
