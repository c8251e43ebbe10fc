"""Reading a run whose records are in a shared store, and not all of them here."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.inputs import printable

if TYPE_CHECKING:
    from bench.runs import Run


def loaded(folder: Path, address: str | None) -> "Run":
    """Return a run; with an address, what is missing here is fetched from there.

    Only the address that the person named is opened, never the one that a manifest names.

    Raises:
        BenchError: If there is no run, or its manifest's store is no place to write to.
    """
    from bench.runs import MANIFEST, load_run

    run = load_run(folder)
    if address is None:
        return run
    from filelock import FileLock

    from bench.shared.sharing import Shared
    from bench.store import Store

    if not run.store.root.is_relative_to(folder.resolve().parent):
        raise BenchError(
            f"{folder / MANIFEST} says that its store is at {printable(run.store.root)}, which is "
            "not beside the run: nothing is written there"
        )
    shared = Shared.at(address)
    store = Store(run.store.root, shared)
    store.prepare()
    for key in run.manifest["cells"]:
        record = None if store.peek(key) else shared.known(store, key, read=False)
        if record is not None:
            with FileLock(store.lock(key)):
                shared.taken_over(store, record)
    return replace(load_run(folder), store=store)
