"""Between the local store of a run and a shared one: who has what, and who was first.

The local store is what reports read. What can be taken over is read before anything is measured;
what was measured is put as soon as it is kept. Where putting fails, the run goes on locally and
tries again now and then; what is missing at its end is told: the same command puts it.
"""

import contextlib
import functools
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import disk
from bench.errors import BenchError, StorageError
from bench.record import Record
from bench.recovery import WAITING, if_free
from bench.shared.debts import Debts
from bench.shared.depot import Depot
from bench.shared.objects import opened
from bench.shared.seam import Sharing as Sharing
from bench.shared.seam import Unshared as Unshared
from bench.store import Store
from bench.trust import failed_canary

REUSED = ("ok", "invalid")
"""Statuses of records that are shared: those that a second run takes over."""
AT_ONCE = 16
"""Records that are read at once."""


def is_shared(record: Record) -> bool:
    """Return whether a record is for others: whole, and no known answer that was not found."""
    return record["status"] in REUSED and not failed_canary(record)


@dataclass
class Shared:
    """Satisfies `Sharing` with a depot, and `bench.store.Supply`."""

    depot: Depot
    address: str | None = field(repr=False)  # it may hold a password
    notes: list[str] = field(default_factory=list)
    debts: Debts = field(init=False)
    _found_late: set[str] = field(default_factory=set, init=False)
    """Keys whose records others put during this run."""
    _parts: frozenset[str] | None = field(default=None, init=False)
    """Keys with half-done work there, once that was listed."""

    def __post_init__(self) -> None:
        self.debts = Debts(self._note)

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

    @property
    def fault(self) -> BenchError | None:
        """Why results are not put at the moment, or None."""
        return self.debts.fault

    def prepare(self, store: Store, keys: Iterable[str]) -> None:
        """Read what is not here yet, many at once, and see whether the store can be written."""
        with self.debts.tolerated():
            self.depot.mark()
            self.depot.objects.tidy()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(self.depot.find, [key for key in keys if store.peek(key) is None]))

    # -------------------------------------------------------------- Sharing

    def known(self, store: Store, key: str, *, read: bool, again: bool = False) -> Record | None:
        """Return a record that others made, where its files are there.

        Whoever asks has not the record and will measure the cell: what that reads is put first.
        """
        self._pay(waiting=True, but=key)
        if again:
            found = None
            if self.fault is None:
                with self.debts.tolerated():
                    found = self.depot.find(key, again=True)
                self._found_late.add(key)
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
        if is_shared(record):
            self._put_or_owe(store, record, lambda: self._offer(store, record), replace=False)
        return record

    def taken_over(self, store: Store, record: Record) -> Record:
        """Adopt another's record, and drop half-done work of its cell; or offer a local one."""
        here = self.offered(store, record)
        if here is None:
            here = self._adopted(store, record)
            self._drop_left(record["key"])
        return here

    def given(self, store: Store, record: Record, *, replace: bool) -> Record:
        """Put a record and its files; where another's was first, that one is adopted."""
        if not is_shared(record):
            return record

        def put() -> Record:
            theirs = self._put(store, record, replace=replace)
            if theirs is None:
                return record
            if is_shared(theirs) and self._brought(store, theirs):
                return self._adopted(store, theirs)
            self._put(store, record, replace=True)
            return record

        return self._put_or_owe(store, record, put, replace=replace)

    def drop_parts(self, key: str) -> None:
        """Remove half-done work of a cell; what is left is no harm."""
        self._pay(waiting=True, but=key)  # a fresh run is about to measure it, or just did
        if self.fault is None:
            with self.debts.tolerated():
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

    def _put_or_owe(
        self, store: Store, record: Record, put: Callable[[], Record], *, replace: bool
    ) -> Record:
        self._pay(but=record["key"])
        fault = self.fault
        if fault is None:
            try:
                return put()
            except BenchError as error:
                fault = error
        later = functools.partial(self._put_later, store, record, replace=replace)
        self.debts.owe(record["key"], later, fault)
        return record

    def _offer(self, store: Store, record: Record) -> Record:
        """Put a record, or a file of it, that is not there."""
        listed = self.depot.is_listed(record["key"])
        if not (listed and self.depot.has_files(record)):
            if not (listed and self.depot.find(record["key"])):
                self._put(store, record, replace=False)
        return record

    def _drop_left(self, key: str) -> None:
        """Remove half-done work of a cell that was made elsewhere; it is listed once."""
        if self._parts is None:
            self._parts = frozenset()
            with contextlib.suppress(BenchError):
                names = self.depot.objects.sizes("partial")
                self._parts = frozenset(name.partition("/")[0] for name in names)
        if key in self._parts or key in self._found_late:
            self.drop_parts(key)

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

    def _pay(self, *, waiting: bool = False, but: str = "") -> None:
        self.debts.pay(self.depot.mark, waiting=waiting, but=but)

    def _put_later(self, store: Store, record: Record, *, replace: bool) -> bool:
        """Put a record that is owed; return whether it is done with. Another's stays there."""
        done = []

        def put(store: Store, key: str) -> None:
            if _is_local(store, record):
                if replace:
                    self._put(store, record, replace=True)
                else:
                    self._offer(store, record)
            done.append(key)

        try:
            if_free(store, record["key"], put)
        except OSError:  # the local store's
            return False
        return bool(done)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)


def _waiting(store: Store, key: str) -> Path:
    """Return where files wait until their record is adopted."""
    return store.work(f"{key}{WAITING}")


def _is_local(store: Store, record: Record) -> bool:
    local = store.peek(record["key"])
    return local is not None and local["checksum"] == record["checksum"]
