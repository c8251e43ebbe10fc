"""A folder as shared store: a mounted file system, without fsspec."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import disk
from bench.errors import StorageError
from bench.recovery import drop_temporaries
from bench.shared.address import Address
from bench.shared.faults import line_of


@dataclass(frozen=True)
class Folder:
    """Satisfies `bench.shared.objects.Objects`; hard links make `create` one step, on NFS too."""

    address: Address
    one_step: bool = True

    @property
    def root(self) -> Path:
        """The folder."""
        return Path(self.address.place)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return name -> bytes of the plain files in a folder; links are not followed."""
        found = {}
        with self._doing("read"):
            if not self.root.parent.is_dir():
                raise StorageError(
                    f"{self.root.parent} is no folder here; mount it, or name another --store"
                )
            top = self._path(folder)
            for place, _, names in os.walk(top, onerror=_raise):
                for name in names:
                    path = Path(place) / name
                    if not name.startswith(".") and disk.is_plain_file(path):
                        found[path.relative_to(top).as_posix()] = path.lstat().st_size
        return found

    def size(self, name: str) -> int | None:
        """Return the bytes of a plain file."""
        with self._doing("read"):
            path = self._path(name)
            return path.lstat().st_size if disk.is_plain_file(path) else None

    def read(self, name: str, largest: int) -> bytes | None:
        """Return the first bytes of a plain file."""
        with self._doing("read"):
            path = self._path(name)
            if not disk.is_plain_file(path):
                return None
            with path.open("rb") as file:
                return file.read(largest + 1)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file beside and link it to its name, which fails where there is one."""
        with self._doing("write"):
            path = self._made(name)
            with disk.beside(path, content) as temporary:
                try:
                    os.link(temporary, path)
                except FileExistsError:
                    return False
            disk.sync_folder(path.parent)
            return True

    def write(self, name: str, content: bytes) -> None:
        """Write a file in one step."""
        with self._doing("write"):
            path = self._made(name)
            with disk.beside(path, content) as temporary:
                temporary.replace(path)
            disk.sync_folder(path.parent)

    def send(self, source: Path, name: str) -> None:
        """Copy a file beside its place, fsync and rename it."""
        with self._doing("write"):
            path = self._made(name)
            with disk.beside(path, b"") as temporary:
                _copy(source, temporary)
                temporary.replace(path)
            disk.sync_folder(path.parent)

    def fetch(self, name: str, target: Path) -> bool:
        """Copy a plain file."""
        with self._doing("read"):
            path = self._path(name)
            if not disk.is_plain_file(path):
                return False
            _copy(path, target)
            return True

    def remove(self, name: str) -> None:
        """Remove a file, and the folder that it leaves empty."""
        with self._doing("write"):
            path = self._path(name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def tidy(self) -> None:
        """Remove old temporary files of `create`, `write` and `send`, by the mount's clock."""
        for place, _, _ in os.walk(self.root):
            with contextlib.suppress(OSError):  # somebody else's
                drop_temporaries(Path(place))

    def _path(self, name: str) -> Path:
        return self.root / name

    def _made(self, name: str) -> Path:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def _doing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise line_of(error, self.address, doing) from error


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as one, target.open("wb") as other:
        shutil.copyfileobj(one, other, 2**20)
        other.flush()
        os.fsync(other.fileno())


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
