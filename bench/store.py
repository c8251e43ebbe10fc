"""Where results live: one canonical JSON record per cell, and the files that the cell made.

    <store>/cells/<key>.json          a record
    <store>/files/<key>/<name>        weights, samples, features; hashed in the record
    <store>/partial/<key>/            half-done work of a cell that was interrupted
    <store>/locks/<key>.lock          held while a cell is measured

A record is written to a temporary file, fsynced and renamed, so that it is there whole or not at
all. A record that cannot be read, or whose checksum is off, counts as absent and is moved to
`<store>/quarantine/`.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import canonical
from bench.api import StorageError

FORMAT = 1
STATUSES = ("ok", "skipped", "failed", "timeout", "oom", "crashed", "invalid")
Record = dict[str, Any]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        StorageError: If it cannot be written; nothing is left behind.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; earlier results are untouched; "
            "free space or choose another --out"
        ) from error


def file_sha(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Store:
    """A folder of records; any number of runs share one."""

    root: Path

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            StorageError: If the place is a file or cannot be written.
        """
        if self.root.exists() and not self.root.is_dir():
            raise StorageError(f"{self.root} is a file, expected a folder; choose another --out")
        try:
            for part in ("cells", "files", "partial", "locks"):
                (self.root / part).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
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

    def partial(self, key: str) -> Path:
        """Return where half-done work of a key is kept."""
        return self.root / "partial" / key

    def lock(self, key: str) -> Path:
        """Return the lock file that is held while the key is measured."""
        return self.root / "locks" / f"{key}.lock"

    def get(self, key: str) -> Record | None:
        """Return a record, or None where there is no whole one; a damaged one is set aside."""
        record, reason = self._read(key)
        if reason:
            self._quarantine(self.path(key), reason)
        return record

    def peek(self, key: str) -> Record | None:
        """Return a record as `get` does, but leave a damaged one where it is."""
        return self._read(key)[0]

    def _read(self, key: str) -> tuple[Record | None, str]:
        path = self.path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        reason = _fault(content, key)
        return (None, reason) if reason else (canonical.loads(content), "")

    def put(self, record: Mapping[str, Any]) -> Record:
        """Write a record and return it as `get` will; checksum and format are added here."""
        body = {**record, "format": FORMAT}
        body.pop("checksum", None)
        body["checksum"] = canonical.digest(body)
        text = canonical.dumps(body)
        write_atomically(self.path(body["key"]), text.encode() + b"\n")
        whole: Record = canonical.loads(text)
        return whole

    def adopt(self, key: str, made: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Move a cell's files to their place; return name -> {sha256, bytes}."""
        names = sorted(names)
        target = self.folder(key)
        try:
            if target.exists():
                shutil.rmtree(target)
            if names:
                made.replace(target)
        except OSError as error:
            raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
        return {
            name: {
                "sha256": file_sha(target / name),
                "bytes": (target / name).stat().st_size,
            }
            for name in names
        }

    def file(self, key: str, name: str) -> Path:
        """Return a cell's file after checking it against its record.

        Raises:
            StorageError: If it is missing or differs.
        """
        record = self.peek(key)
        known = (record or {}).get("files", {})
        path = self.folder(key) / name
        if name not in known or not path.is_file():
            raise StorageError(f"{path} is missing; run the command again with --fresh")
        if file_sha(path) != known[name]["sha256"]:
            raise StorageError(f"{path} is not what was measured; run again with --fresh")
        return path

    def is_whole(self, record: Mapping[str, Any]) -> bool:
        """Return whether the files of a record are there, by name and size."""
        folder = self.folder(record["key"])
        return all(
            (folder / name).is_file() and (folder / name).stat().st_size == facts["bytes"]
            for name, facts in record["files"].items()
        )

    def _quarantine(self, path: Path, reason: str) -> None:
        place = self.root / "quarantine"
        try:
            place.mkdir(exist_ok=True)
            path.replace(place / path.name)
            (place / f"{path.stem}.reason.txt").write_text(reason + "\n")
        except OSError as error:
            raise StorageError(f"cannot set aside damaged {path}: {error.strerror}") from error


def _fault(content: bytes, key: str) -> str:
    """Return why a record cannot be used, or an empty text."""
    try:
        record = canonical.loads(content)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    if not isinstance(record, dict):
        return "not a record"
    if record.get("format") != FORMAT:
        return f"format {record.get('format')!r}, this version reads {FORMAT}"
    claimed = record.pop("checksum", None)
    if claimed != canonical.digest(record):
        return "the checksum is off: the record was changed or damaged"
    if record.get("key") != key:
        return f"holds the key {record.get('key')!r}"
    return "" if record.get("status") in STATUSES else f"status {record.get('status')!r}"
