"""Between the local store of a run and a shared one: who has what, and who was first.

The local store is what reports read. What can be taken over is read before anything is measured;
what was measured is put as soon as it is kept. Where putting fails, the run goes on locally and
says so at its end: the same command puts what is missing.
"""

import contextlib
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench import disk
from bench.errors import BenchError, StorageError
from bench.record import Record
from bench.recovery import WAITING
from bench.shared.depot import Depot
from bench.shared.objects import opened
from bench.store import Store
from bench.trust import failed_canary

REUSED = ("ok", "invalid")
"""Statuses of records that are shared: those that a second run takes over."""
AT_ONCE = 16
"""Records that are read at once."""


def is_shared(record: Record) -> bool:
    """Return whether a record is for others: whole, and no known answer that was not found."""
    return record["status"] in REUSED and not failed_canary(record)


class Sharing(Protocol):
    """What the settler of a run asks."""

    @property
    def address(self) -> str | None:
        """What the places where cells are measured open; None where nothing is shared."""
        ...

    def known(self, store: Store, key: str, *, read: bool, again: bool = False) -> Record | None:
        """Return a record that others made and that can be taken over.

        Args:
            store: The local one; files come here where they are read.
            key: Of a cell.
            read: Whether a cell will read its files: then they are fetched and hashed, and the
                key's lock must be held.
            again: Whether to ask anew; another machine may have made it meanwhile.
        """
        ...

    def offered(self, store: Store, record: Record) -> Record | None:
        """Put a known record that others lack; return None where it is not here yet itself."""
        ...

    def taken_over(self, store: Store, record: Record) -> Record:
        """Return a known record once it is here; the key's lock must be held."""
        ...

    def given(self, store: Store, record: Record, *, replace: bool) -> Record:
        """Put a record that was just kept; return it, or another's that was there first."""
        ...

    def drop_parts(self, key: str) -> None:
        """Remove half-done work of a cell that places apart have put."""
        ...


class Unshared:
    """Nothing is shared."""

    address: str | None = None

    def known(self, store: Store, key: str, *, read: bool, again: bool = False) -> Record | None:
        """Return nothing."""
        return None

    def offered(self, store: Store, record: Record) -> Record | None:
        """Return the record."""
        return record

    def taken_over(self, store: Store, record: Record) -> Record:
        """Return the record."""
        return record

    def given(self, store: Store, record: Record, *, replace: bool) -> Record:
        """Return the record."""
        return record

    def drop_parts(self, key: str) -> None:
        """Do nothing."""


@dataclass
class Shared:
    """Satisfies `Sharing` with a depot, and `bench.store.Supply`."""

    depot: Depot
    address: str | None = field(repr=False)  # it may hold a password
    fault: BenchError | None = None
    """Why results were not put, once one was not."""
    notes: list[str] = field(default_factory=list)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def at(cls, address: str) -> "Shared":
        """Open a shared store and look around in it.

        Raises:
            BenchError: If the address is none, or a package, a bucket or credentials are missing.
        """
        shared = cls(Depot(opened(address)), address)
        shared.depot.note = shared._note
        shared.depot.look_around()
        return shared

    @property
    def shown(self) -> str:
        """The address, without secrets."""
        return self.depot.shown

    def prepare(self, store: Store, keys: Iterable[str]) -> None:
        """Read what is not here yet, many at once, and see whether the store can be written."""
        with self._tolerated():
            self.depot.mark()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(self.depot.find, [key for key in keys if store.peek(key) is None]))

    # -------------------------------------------------------------- Sharing

    def known(self, store: Store, key: str, *, read: bool, again: bool = False) -> Record | None:
        """Return a record that others made, where its files are there."""
        if again:
            found = None
            if self.fault is None:
                with self._tolerated():
                    found = self.depot.find(key, again=True)
        else:
            found = self.depot.find(key)
        if found is None or not is_shared(found.record):
            return None
        if read and not self._brought(store, found.record):
            return None
        return found.record

    def offered(self, store: Store, record: Record) -> Record | None:
        """Put a local record, or a file of it, that is not there; another's record stays."""
        if not _is_local(store, record):
            return None
        if is_shared(record) and self.fault is None:
            with self._tolerated():
                listed = self.depot.is_listed(record["key"])
                if not (listed and self.depot.has_files(record)):
                    if not (listed and self.depot.find(record["key"])):
                        self._put(store, record, replace=False)
        return record

    def taken_over(self, store: Store, record: Record) -> Record:
        """Adopt another's record, or offer a local one."""
        return self.offered(store, record) or self._adopted(store, record)

    def given(self, store: Store, record: Record, *, replace: bool) -> Record:
        """Put a record and its files; where another's was first, that one is adopted."""
        if not is_shared(record) or self.fault is not None:
            return record
        with self._tolerated():
            theirs = self._put(store, record, replace=replace)
            if theirs is None:
                return record
            if is_shared(theirs) and self._brought(store, theirs):
                return self._adopted(store, theirs)
            self._put(store, record, replace=True)
        return record

    def drop_parts(self, key: str) -> None:
        """Remove half-done work of a cell; what is left is no harm."""
        if self.fault is None:
            with self._tolerated():
                for name in self.depot.objects.sizes(f"partial/{key}"):
                    self.depot.objects.remove(f"partial/{key}/{name}")

    def bring(self, store: Store, key: str) -> bool:
        """Adopt a record with all its files, checked; return whether it is whole there.

        The key's lock must be held.

        Raises:
            StorageError: If the store cannot be read.
        """
        found = self.depot.find(key, again=True)
        if found is None:
            return False
        if _is_local(store, found.record) and store.is_here(found.record, hashed=True):
            return True
        if not self._brought(store, found.record):
            return False
        self._adopted(store, found.record)
        return True

    # --------------------------------------------------------------- Supply

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Return whether a file is in the shared store with the right size."""
        return self.depot.has(facts)

    def supply(self, facts: Mapping[str, Any], target: Path) -> bool:
        """Fetch a file to its place; return whether it was there, and what its hash says."""
        target.parent.mkdir(parents=True, exist_ok=True)
        return self.depot.fetch(facts, target)

    # -------------------------------------------------------------- private

    def _put(self, store: Store, record: Record, *, replace: bool) -> Record | None:
        """Put a record; return another's that was first. Files that are elsewhere stay there."""
        key, files = record["key"], {}
        for name, facts in record["files"].items():
            path = store.folder(key) / name
            if not path.exists():
                self.depot.trust(facts)
            if path.exists() or not self.depot.has(facts):
                files[name] = (path, facts)
        content = store.path(key).read_bytes()
        found = self.depot.put(key, content, files, replace=replace)
        return None if found is None else found.record

    def _brought(self, store: Store, record: Record) -> bool:
        """Return whether all files of a record are whole: in place, or waiting to be."""
        key = record["key"]
        if store.is_here(record, hashed=True):
            return True
        folder = _waiting(store, key)
        shutil.rmtree(folder, ignore_errors=True)
        for name, facts in record["files"].items():
            if not self.supply(facts, folder / name):
                self.depot.doubt(key, f"its file {name} is missing or damaged")
                shutil.rmtree(folder, ignore_errors=True)
                return False
        return True

    def _adopted(self, store: Store, record: Record) -> Record:
        key = record["key"]
        found = self.depot.find(key)
        if found is None or found.record["checksum"] != record["checksum"]:
            raise StorageError(f"the record {key[:12]} of {self.shown} changed; run again")
        folder = _waiting(store, key)
        files = record["files"]  # what a killed run brought may be of another record
        brought = bool(files) and disk.holds(folder, files, hashed=True)
        adopted = store.adopt(key, found.content, folder if brought else None)
        shutil.rmtree(folder, ignore_errors=True)
        return adopted

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        """Go on without the shared store where it cannot be used; the first fault is told."""
        try:
            yield
        except BenchError as error:
            with self._changing:
                if self.fault is None:
                    self.fault = error
                    self._note(f"from here on results stay local: {error}")

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)


def _waiting(store: Store, key: str) -> Path:
    """Return where files wait until their record is adopted."""
    return store.work(f"{key}{WAITING}")


def _is_local(store: Store, record: Record) -> bool:
    local = store.peek(record["key"])
    return local is not None and local["checksum"] == record["checksum"]
