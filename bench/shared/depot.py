"""Records and files in a shared store: what is read is checked, and files come before records.

The first record of a key stays; it is replaced where it is damaged, or lacks a file, or was
measured anew on purpose.
"""

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import record as records
from bench.disk import file_sha, is_plain_file
from bench.errors import StorageError
from bench.record import Record
from bench.shared.objects import Objects

MARK = "bench.json"
MARKED = b'{"format":1,"is":"results of bench"}\n'
LARGEST_MARK = 4096
NEWER = "newer version"


@dataclass(frozen=True)
class Found:
    """A record of a shared store."""

    content: bytes
    record: Record


@dataclass
class Depot:
    """One shared store; any number of threads may use it."""

    objects: Objects
    note: Callable[[str], None] = field(default=lambda line: None)
    """Told what a person should know."""
    _cells: dict[str, int] = field(default_factory=dict, init=False)
    _blobs: dict[str, int] = field(default_factory=dict, init=False)
    """sha256 -> bytes of those that were seen."""
    _known: dict[str, Found] = field(default_factory=dict, init=False)
    _unfit: dict[str, str] = field(default_factory=dict, init=False)
    """Key -> why its record counts as absent."""
    _damaged: set[str] = field(default_factory=set, init=False)
    """Files whose bytes were not those of their name, until one is put again."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def shown(self) -> str:
        """The address, without secrets."""
        return self.objects.address.shown

    # -------------------------------------------------------------- reading

    def look_around(self) -> None:
        """List what there is, once, so that what is not there costs no request.

        Raises:
            StorageError: If it cannot be listed.
            Missing: If there are no credentials.
        """
        cells, blobs = self.objects.sizes("cells"), self.objects.sizes("blobs")
        named = {name.removesuffix(".json"): size for name, size in cells.items()}
        strange = [name for name in named if not records.is_key(name)]
        if strange:
            self.note(f"{len(strange)} names in {self.shown}/cells are no keys; they are left out")
        self._cells = {key: size for key, size in named.items() if records.is_key(key)}
        self._blobs = {sha: size for sha, size in blobs.items() if records.is_key(sha)}

    def is_listed(self, key: str) -> bool:
        """Return whether there was a record, whole or not, or one was put since."""
        return key in self._cells or key in self._known

    def find(self, key: str, *, again: bool = False) -> Found | None:
        """Return the record of a key, where it can be used and its files have the right sizes.

        Args:
            key: Of a cell.
            again: Whether to ask the store anew; else what was listed is all there is.
        """
        if not again:
            if key in self._known or key in self._unfit or not self.is_listed(key):
                return self._known.get(key)
        content = self.objects.read(f"cells/{key}.json", records.LARGEST)
        if content is None:
            return None
        record, reason = records.read(content, key)
        if record is not None and not self.has_files(record, again=again):
            record, reason = None, "a file that it names is not there"
        with self._lock:
            if record is None:
                self._known.pop(key, None)
                self._unfit[key] = reason
            else:
                self._unfit.pop(key, None)
                self._known[key] = Found(content, record)
        if record is None:
            self.note(f"the record {key[:12]} in {self.shown} counts as absent: {reason}")
        return self._known.get(key)

    def has_files(self, record: Mapping[str, Any], *, again: bool = False) -> bool:
        """Return whether all files of a record are there with the right sizes."""
        return all(self.has(facts, again=again) for facts in record["files"].values())

    def has(self, facts: Mapping[str, Any], *, again: bool = False) -> bool:
        """Return whether a file is there with the right size."""
        sha = facts["sha256"]
        if sha in self._damaged:
            return False
        size = None if again else self._blobs.get(sha)
        if size is None:
            size = self.objects.size(f"blobs/{sha}")
            if size is None:
                self._blobs.pop(sha, None)
                return False
            self._blobs[sha] = size
        return size == int(facts["bytes"])

    def fetch(self, facts: Mapping[str, Any], target: Path) -> bool:
        """Write a file to its place in one step, once its bytes are those of its name.

        Returns:
            Whether it was there; a damaged one counts as absent, and is replaced by the next one.
        """
        sha, size = facts["sha256"], facts["bytes"]
        if not self.has(facts, again=True):
            return False
        _refuse_too_large(target.parent, size)
        temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            there = self.objects.fetch(f"blobs/{sha}", temporary)
            if there and is_plain_file(temporary) and file_sha(temporary) == sha:
                temporary.replace(target)
                return True
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"cannot write {target}: {reason}; free space") from error
        finally:
            temporary.unlink(missing_ok=True)
        self._damaged.add(sha)
        self.note(f"the file {sha[:12]} in {self.shown} counts as absent: it is damaged")
        return False

    def doubt(self, key: str, reason: str) -> None:
        """Count a record as absent, so that the next one replaces it."""
        with self._lock:
            self._known.pop(key, None)
            self._unfit[key] = reason

    # -------------------------------------------------------------- writing

    def mark(self) -> None:
        """Say what this is, and find out whether it can be written and keeps what came first.

        Raises:
            StorageError: If it cannot be written, or is something else.
        """
        refuses = not (self.objects.create(MARK, MARKED) and self.objects.create(MARK, MARKED))
        if not (refuses and self.objects.one_step):
            self.note(
                f"{self.shown} has no put-if-absent; it is looked at before a record is put, and "
                "where two machines measure a cell at the same moment, the later record stays"
            )
        content = self.objects.read(MARK, LARGEST_MARK)
        if content != MARKED:
            raise StorageError(
                f"{self.shown}/{MARK} is not this version's; expected a store that bench made, or "
                "an empty place: name another --store"
            )

    def put(
        self, key: str, content: bytes, files: Mapping[str, tuple[Path, Mapping[str, Any]]], *,
        replace: bool = False,
    ) -> Found | None:  # fmt: skip
        """Put a record after its files, unless another's was there first.

        Args:
            key: Its key.
            content: The bytes of the record.
            files: Name -> path and facts.
            replace: Whether it replaces what is there.

        Returns:
            The other's, whole; None where this one is there now.
        """
        for path, facts in files.values():
            self.put_file(path, facts)
        name = f"cells/{key}.json"
        if not replace and self._unfit.get(key) is None and self.objects.create(name, content):
            self._mine(key, content)
            return None
        if not replace:
            there = self.find(key, again=True)
            if there is not None:
                return None if there.content == content else there
            if NEWER in self._unfit.get(key, ""):
                return None  # those who have that version go on with it
        self.objects.write(name, content)
        self._mine(key, content)
        return None

    def put_file(self, path: Path, facts: Mapping[str, Any], *, anew: bool = False) -> None:
        """Put a file under the hash of its content, unless it is there.

        Args:
            path: The file.
            facts: Its sha256 and bytes.
            anew: Whether to put it in any case: what is there may be damaged, as the run knows.

        Raises:
            StorageError: If it cannot be written, or is not there afterwards.
        """
        if self.has(facts) and not anew:
            return
        self.objects.send(path, f"blobs/{facts['sha256']}")
        self._damaged.discard(facts["sha256"])
        if not self.has(facts, again=True):
            raise StorageError(
                f"{self.shown} took a file and has another size of it now; run the command again"
            )

    def trust(self, facts: Mapping[str, Any]) -> None:
        """Count a file as whole again: the place where it was made has put it since."""
        self._damaged.discard(facts["sha256"])

    def _mine(self, key: str, content: bytes) -> None:
        record, _ = records.read(content, key)
        with self._lock:
            self._unfit.pop(key, None)
            if record is not None:
                self._known[key] = Found(content, record)


def _refuse_too_large(folder: Path, size: int) -> None:
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if size > free:
        raise StorageError(
            f"a shared file has {size / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free at "
            f"{folder}; free space or choose another --out"
        )
