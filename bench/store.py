"""Where results live: one canonical JSON record per cell, and the files that the cell made.

    <store>/cells/<key>.json          a record
    <store>/files/<key>/<name>        weights, samples, features; hashed in the record
    <store>/work/<key>/               where a cell that is being measured writes
    <store>/partial/<key>/            half-done work of a cell that was interrupted
    <store>/locks/<key>.lock          held while a cell is measured

A record is written to a temporary file, fsynced and renamed, so that it is there whole or not at
all. Where it replaces one with files, those are moved aside first, to `files/<key>.old/`, and
removed last: whenever a process is killed, the store holds the old record and its files or the new
one and its own (see `bench.recovery`). A record that cannot be used (see `bench.record`) counts as
absent and is moved to `<store>/quarantine/`.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import disk, recovery
from bench import record as records
from bench.api import BenchError, StorageError
from bench.disk import file_sha as file_sha
from bench.disk import is_plain_file, made_writable, read_plain, settled, sync_folder
from bench.disk import write_atomically as write_atomically
from bench.inputs import escaped, printable
from bench.quarantine import set_aside
from bench.record import FORMAT as FORMAT
from bench.record import LARGEST
from bench.record import STATUSES as STATUSES
from bench.record import Record as Record
from bench.supply import Supply, lacking

FOLDERS = ("cells", "files", "work", "partial", "locks")
LATER = ("logs", "quarantine")
"""Folders that are made once they are needed."""


@dataclass(frozen=True)
class Store:
    """A folder of records; any number of runs share one."""

    root: Path
    supply: Supply | None = None
    """Asked for files of records that are not in the folder."""

    def prepare(self) -> None:
        """Make the folders, and put right what killed processes left.

        Raises:
            StorageError: If the place is a file or cannot be written, or a folder in it is a link:
                what is written there would land elsewhere. The place itself may be a link.
        """
        made_writable(self.root)
        try:
            for part in (*FOLDERS, *LATER):
                _refuse_link(self.root / part)
            for part in FOLDERS:
                (self.root / part).mkdir(exist_ok=True)
            recovery.tidy(self)
        except OSError as error:
            raise StorageError(
                f"cannot write to {self.root}: {error.strerror or error}; choose another --out"
            ) from error

    def path(self, key: str) -> Path:
        """Return where the record of a key is, or would be."""
        return self.root / "cells" / f"{key}.json"

    def folder(self, key: str) -> Path:
        """Return where the files of a key are, or would be."""
        return self.root / "files" / key

    def work(self, key: str) -> Path:
        """Return where a cell writes while it is measured; never a link to another place."""
        return _refuse_link(self.root / "work" / key)

    def partial(self, key: str) -> Path:
        """Return where half-done work of a key is kept; never a link to another place."""
        return _refuse_link(self.root / "partial" / key)

    def lock(self, key: str) -> Path:
        """Return the lock file that is held while the key is measured."""
        return _refuse_link(self.root / "locks" / f"{key}.lock")

    def get(self, key: str) -> Record | None:
        """Return a record, or None where there is no whole one; a damaged one is set aside.

        An exchange that was cut short is settled first, unless somebody holds the key's lock.
        """
        if records.is_key(key) and os.path.lexists(f"{self.root}/files/{key}{recovery.OLD}"):
            with self._changing(self.folder(key)):
                recovery.if_free(self, key, recovery.settle_exchange)
        record, reason = self.look(key)
        if reason:
            set_aside(self.path(key), key, reason)
        return record

    def peek(self, key: str) -> Record | None:
        """Return a record as `get` does, but leave a damaged one where it is."""
        return self.look(key)[0]

    def look(self, key: str) -> tuple[Record | None, str]:
        """Return a record, or None and why it cannot be used (empty where there is none)."""
        if not records.is_key(key):
            return None, ""
        path = f"{self.root}/cells/{key}.json"
        try:
            content, reason = read_plain(path, LARGEST)
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        return (None, reason) if content is None else records.read(content, key)

    def put(self, record: Mapping[str, Any]) -> Record:
        """Write a record and return it as `get` will; checksum and format are added here.

        Raises:
            BenchError: If it is no record; nothing is written then.
            StorageError: If it cannot be written.
        """
        content, whole = validated(record)
        write_atomically(self.path(record["key"]), content)
        return whole

    def replace(self, record: Mapping[str, Any], made: Path | None, names: Iterable[str]) -> Record:
        """Write a record and move its files to their place, instead of what the key has already.

        The key's lock must be held. Whenever this is cut short, the earlier record and its files
        are there or the new ones, at the latest after `prepare`, `get` or `recover`.

        Args:
            record: What to keep; its `files` are told here.
            made: The folder that holds the files; it is moved.
            names: Those of its files that belong to the record.

        Raises:
            BenchError: If it is no record, or a name is not that of a plain file in `made`; all is
                as it was then.
            StorageError: If it cannot be written; earlier results are kept.
        """
        key, names = record["key"], sorted(names)
        with self._changing(made or self.path(key)):
            facts = _facts(made, names)
            if made and facts:
                sync_folder(made)
        content, whole = validated({**record, "files": facts})
        self._exchange(key, content, made if facts else None)
        return whole

    def adopt(self, key: str, content: bytes, made: Path | None) -> Record:
        """Write another's record, byte for byte, instead of what the key has already.

        The key's lock must be held; `replace` says what happens where this is cut short.

        Args:
            key: Of the record.
            content: Its bytes.
            made: The folder with all its files, checked, which is moved; None where they stay
                elsewhere, or are here already.

        Raises:
            BenchError: If it is no record.
            StorageError: If it cannot be written; earlier results are kept.
        """
        record, reason = records.read(content, key)
        if record is None:
            raise BenchError(f"cannot take over the record {key[:12]}: {printable(reason)}")
        if made is None and self.is_here(record, hashed=True):
            write_atomically(self.path(key), content)
        else:
            self._exchange(key, content, made)
        return record

    def _exchange(self, key: str, content: bytes, made: Path | None) -> None:
        path, target = self.path(key), self.folder(key)
        aside = target.with_name(key + recovery.OLD)
        self.recover(key)
        try:
            with disk.beside(path, content) as temporary:
                if os.path.lexists(target):
                    target.rename(aside)
                if made:
                    made.rename(target)
                sync_folder(target.parent)
                temporary.replace(path)
                sync_folder(path.parent)
            disk.discard(aside)
        except OSError as error:
            with contextlib.suppress(StorageError):  # the next `prepare` tries again
                self.recover(key)
            raise disk.unwritable(path, error) from error

    def recover(self, key: str) -> None:
        """Settle an exchange of the key's files that was cut short; its lock must be held.

        Raises:
            StorageError: If the files cannot be read or moved; nothing is lost then.
        """
        with self._changing(self.folder(key)):
            recovery.settle_exchange(self, key)

    def file(self, key: str, name: str) -> Path:
        """Return a cell's file after checking it against its record.

        Raises:
            StorageError: If it is missing or differs, or is a link or lies elsewhere.
        """
        record = self.peek(key)
        known = record["files"].get(name) if record else None
        path = self.folder(key) / name
        try:
            if known is not None and self.supply is not None and not os.path.lexists(path):
                self.supply.supply(known, path)
            if known is None or not path.exists():
                raise StorageError(f"{path} is missing; run the command again with --fresh")
            own = path.resolve().is_relative_to(self.root.resolve())
            if not own or path.parent.is_symlink() or not is_plain_file(path):
                raise StorageError(
                    f"{path} is a link or no plain file; links are not followed: run the command "
                    "again with --fresh"
                )
            if file_sha(path) != known["sha256"]:
                raise StorageError(f"{path} is not what was measured; run again with --fresh")
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        return path

    def is_whole(self, record: Mapping[str, Any]) -> bool:
        """Return whether the files of a record are there, by name and size: here or supplied."""
        if self.is_here(record) or self.supply is None:
            return self.is_here(record)
        absent = lacking(self.folder(record["key"]), record["files"])
        here = {name: facts for name, facts in record["files"].items() if name not in absent}
        supplied = all(self.supply.holds(facts) for facts in absent.values())
        return supplied and self.is_here({**record, "files": here})

    def is_sound(self, record: Mapping[str, Any]) -> bool:
        """Return whether the files of a record are what was measured, by their sha256.

        A file is read once in this process for each state. One that is supplied is brought here.
        """
        if self.supply is not None:
            folder = self.folder(record["key"])
            absent = lacking(folder, record["files"])
            if not all(self.supply.supply(facts, folder / name) for name, facts in absent.items()):
                return False
        try:
            return self.is_here(record, hashed=True)
        except OSError:
            return False

    def is_here(self, record: Mapping[str, Any], *, hashed: bool = False) -> bool:
        """Return whether the files of a record are in this folder, by size or by sha256."""
        return disk.holds(self.folder(record["key"]), record["files"], hashed=hashed)

    @contextlib.contextmanager
    def _changing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise disk.unwritable(path, error) from error


def validated(record: Mapping[str, Any]) -> tuple[bytes, Record]:
    """Return the content of a record's file, and the record as it will be read."""
    try:
        content = records.written(record)
        whole, reason = records.read(content, record["key"])
    except (TypeError, ValueError, RecursionError) as error:
        whole, reason = None, str(error)
    if whole is None:
        label = printable(record["label"])
        raise BenchError(f"cannot keep the record of '{label}': {printable(reason)}")
    return content, whole


def _facts(made: Path | None, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return name -> {sha256, bytes} of files that a cell made, and that outlive a power cut."""
    facts = {}
    for name in names:
        if made is None or not records.is_plain_name(name) or not is_plain_file(made / name):
            raise BenchError(
                f"{escaped(repr(name))} is no file of the cell; expected the plain "
                "name of a file in the cell's folder"
            )
        facts[name] = settled(made / name)
    return facts


def _refuse_link(path: Path) -> Path:
    """Return a path of the store, which must be in the store."""
    if path.is_symlink():
        raise StorageError(
            f"{printable(path)} is a link; links are not followed in a store: remove it, or "
            "choose another --out"
        )
    return path
