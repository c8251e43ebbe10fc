"""Where results live: one canonical JSON record per cell, and the files that the cell made.

    <store>/cells/<key>.json          a record
    <store>/files/<key>/<name>        weights, samples, features; hashed in the record
    <store>/work/<key>/               where a cell that is being measured writes
    <store>/partial/<key>/            half-done work of a cell that was interrupted
    <store>/locks/<key>.lock          held while a cell is measured

A record is written to a temporary file, fsynced and renamed, so that it is there whole or not at
all; it is written after its files, and taken away before they are replaced, so that it never
speaks of files that it does not know. A record that cannot be used (see `bench.record`) counts as
absent and is moved to `<store>/quarantine/`.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import record as records
from bench.api import BenchError, StorageError
from bench.disk import file_sha as file_sha
from bench.disk import is_plain_file, read_plain, settled, sync_folder
from bench.disk import write_atomically as write_atomically
from bench.inputs import escaped
from bench.record import FORMAT as FORMAT
from bench.record import LARGEST
from bench.record import STATUSES as STATUSES
from bench.record import Record as Record

FOLDERS = ("cells", "files", "work", "partial", "locks")
STALE_S = 3600.0
"""A temporary file that is older was left by a process that was killed."""


@dataclass(frozen=True)
class Store:
    """A folder of records; any number of runs share one."""

    root: Path

    def prepare(self) -> None:
        """Make the folders, and tidy up what killed processes left half-written.

        Raises:
            StorageError: If the place is a file or cannot be written.
        """
        try:
            if self.root.exists() and not self.root.is_dir():
                raise StorageError(
                    f"{self.root} is a file, expected a folder; choose another --out"
                )
            for part in FOLDERS:
                (self.root / part).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
            self._tidy()
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
        """Return where a cell writes while it is measured."""
        return self.root / "work" / key

    def partial(self, key: str) -> Path:
        """Return where half-done work of a key is kept."""
        return self.root / "partial" / key

    def lock(self, key: str) -> Path:
        """Return the lock file that is held while the key is measured."""
        return self.root / "locks" / f"{key}.lock"

    def get(self, key: str) -> Record | None:
        """Return a record, or None where there is no whole one; a damaged one is set aside."""
        record, reason = self.look(key)
        if reason:
            self._quarantine(key, reason)
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
        try:
            content = records.written(record)
        except (TypeError, ValueError) as error:
            raise BenchError(f"cannot keep the record of '{record['label']}': {error}") from error
        whole, reason = records.read(content, record["key"])
        if whole is None:
            raise BenchError(f"cannot keep the record of '{record['label']}': {reason}")
        write_atomically(self.path(record["key"]), content)
        return whole

    def adopt(self, key: str, made: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Move a cell's files to their place; return name -> {sha256, bytes}.

        A record that the key has already is taken away first: should this process be killed in
        between, there are new files without a record, and never an old record with new files.

        Raises:
            BenchError: If a name is not that of a plain file in `made`; nothing is moved then.
            StorageError: If the files cannot be moved.
        """
        names = sorted(names)
        for name in names:
            if not records.is_plain_name(name) or not is_plain_file(made / name):
                raise BenchError(
                    f"{escaped(repr(name))} is no file of the cell; expected the plain "
                    "name of a file in the cell's folder"
                )
        target = self.folder(key)
        try:
            facts = {name: settled(made / name) for name in names}
            if names:
                sync_folder(made)
            self.path(key).unlink(missing_ok=True)
            sync_folder(self.path(key).parent)
            if target.exists():
                shutil.rmtree(target)
            if names:
                made.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
        return facts

    def file(self, key: str, name: str) -> Path:
        """Return a cell's file after checking it against its record.

        Raises:
            StorageError: If it is missing or differs, or is a link or lies elsewhere.
        """
        record = self.peek(key)
        known = record["files"].get(name) if record else None
        path = self.folder(key) / name
        try:
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
        """Return whether the files of a record are there, by name and size."""
        folder = self.folder(record["key"])
        return all(
            is_plain_file(folder / name) and (folder / name).stat().st_size == facts["bytes"]
            for name, facts in record["files"].items()
        )

    def _tidy(self) -> None:
        with os.scandir(self.root / "cells") as found:
            left = [entry for entry in found if entry.name.startswith(".")]
        for entry in left:
            with contextlib.suppress(OSError):  # somebody else's, or gone by now
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_S:
                    Path(entry.path).unlink()

    def _quarantine(self, key: str, reason: str) -> None:
        """Set a damaged record aside, beside earlier ones of its key."""
        path, place = self.path(key), self.root / "quarantine"
        try:
            place.mkdir(exist_ok=True)
            note = _claimed(place, key, reason)
            aside = place / f"{note.name.removesuffix('.reason.txt')}.json"
            try:
                path.replace(aside)
            except FileNotFoundError:  # another process was faster
                note.unlink()
                return
            self._give_back(key, aside, note)
        except OSError as error:
            raise StorageError(
                f"cannot set aside damaged {path}: {error.strerror or error}"
            ) from error

    def _give_back(self, key: str, aside: Path, note: Path) -> None:
        """Undo it if a whole record was caught, which another process wrote a moment ago."""
        content, _ = read_plain(aside, LARGEST)
        if content is not None and not records.fault(content, key):
            with contextlib.suppress(FileExistsError):
                os.link(aside, self.path(key))
            aside.unlink()
            note.unlink()


def _claimed(place: Path, key: str, reason: str) -> Path:
    """Write the reason under the first name that is free for both the reason and the record."""
    count = 0
    while True:
        stem = f"{key}.{count}" if count else key
        count += 1
        if not os.path.lexists(place / f"{stem}.json"):
            with contextlib.suppress(FileExistsError):
                note = place / f"{stem}.reason.txt"
                with note.open("x", encoding="utf-8") as file:
                    file.write(f"{reason}\n")
                return note
