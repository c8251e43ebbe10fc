"""Picture files in a folder or in a zip: listing and reading them, whatever lies there.

Nothing is unpacked to disk; every file is read in memory, up to a limit.
"""

import contextlib
import functools
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from bench import assets
from bench.api import BenchError
from bench.inputs import identity, open_regular, printable, read_whole, unreadable

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LARGEST_FILE = 256 * 2**20
"""A file of more bytes, or a zip entry that claims more, is not read."""
LARGEST_DIRECTORY = 32 * 2**20
"""A zip's table of contents; CelebA's takes 22 MB."""
LARGEST_RATIO = 100
"""A zip that claims to unpack to so many times its size is a bomb: pictures are packed already."""
HEADER = 30
"""Bytes before the name of a zip entry."""
END, END64, END_SIZE, END64_SIZE, LOCATOR_SIZE = b"PK\5\6", b"PK\6\6", 22, 56, 20
ENCRYPTED = 1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MEND = "mend it or take it out of the folder"


class Unusable(BenchError):
    """One picture that cannot be used."""

    def __init__(self, where: str, fault: str, mend: str = MEND):
        super().__init__(f"{where} {fault}; {mend}")
        self.short = f"{where} {fault}"


@dataclass(frozen=True)
class Folder:
    """The pictures below a folder, sorted by their relative names.

    A link to a picture is followed, wherever it leads; a link to a folder is not.
    """

    root: Path

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Relative names, sorted; hidden files are left out."""
        found: list[str] = []
        todo = [""]
        while todo:
            folder = todo.pop()
            for entry in self._entries(folder):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    todo.append(f"{folder}{entry.name}/")
                elif entry.name.lower().endswith(SUFFIXES) and not _is_linked_folder(entry):
                    found.append(folder + entry.name)
        return tuple(sorted(found))

    def read(self, names: tuple[str, ...]) -> Iterator[tuple[str, bytes | Unusable]]:
        """Yield where each file is, for messages, and its bytes or why it has none."""
        for name in names:
            where = printable(self.root / name)
            try:
                yield where, read_whole(self.root / name, LARGEST_FILE)
            except OSError as error:
                fault = Unusable(where, f"cannot be read ({printable(error.strerror)})")
                fault.__cause__ = error  # it is handed on before anybody raises it
                yield where, fault

    def stamp(self) -> list[Any]:
        """Return what changes whenever a file does."""
        return [identity(self.root.resolve()), [self._stamp(name) for name in self.names]]

    def _stamp(self, name: str) -> list[Any]:
        try:
            status = (self.root / name).stat()
        except OSError as error:  # a broken link; reading it says so
            return [identity(Path(name)), error.errno]
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return [identity(Path(name)), status.st_size, *times, status.st_ino]

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return list(entries)
        except OSError as error:
            raise unreadable(self.root / folder, error, "a folder of pictures") from error


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False  # links in a circle; reading it says so


@dataclass(frozen=True)
class Archive:
    """The pictures in a zip file, sorted by name; what macOS adds is left out."""

    path: Path

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names in the archive, sorted.

        Raises:
            BenchError: If the archive is damaged or made to harm.
        """
        with self._open() as archive:
            found = archive.infolist()
            size = os.fstat(archive.fp.fileno()).st_size
        pictures = [info for info in found if _is_picture(info.filename)]
        fault = _fault(found, pictures, size)
        if fault:
            raise BenchError(f"{printable(self.path)} {fault}; get it again from its publisher")
        return tuple(sorted(info.filename for info in pictures))

    def read(self, names: tuple[str, ...]) -> Iterator[tuple[str, bytes | Unusable]]:
        """Yield where each entry is, for messages, and its bytes or why it has none."""
        with self._open() as archive:
            for name in names:
                where = printable(f"{self.path}:{name}")
                try:
                    with archive.open(name) as entry:
                        data = entry.read(archive.getinfo(name).file_size + 1)
                except Exception as error:  # crafted headers: anything can come out
                    reason = printable(error, 100)
                    fault = Unusable(where, f"cannot be unpacked ({reason})", "get it again")
                    fault.__cause__ = error
                    yield where, fault
                else:
                    yield where, data

    def stamp(self) -> list[Any]:
        """Return what changes whenever the file does."""
        return assets.stamp(self.path)

    @contextlib.contextmanager
    def _open(self) -> Iterator[zipfile.ZipFile]:
        try:
            file = open_regular(self.path)
        except OSError as error:
            raise unreadable(self.path, error, "a zip file") from error
        with file:
            try:
                size = _directory_size(file)
                if size > LARGEST_DIRECTORY:
                    raise ValueError(f"its table of contents takes {size} bytes")
                archive = zipfile.ZipFile(file)
            except Exception as error:  # crafted headers: anything can come out
                raise BenchError(
                    f"{printable(self.path)} is not a readable zip file ({printable(error, 100)}); "
                    "it is damaged: get it again"
                ) from error
            with archive:
                yield archive


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and "__MACOSX" not in name


def _directory_size(file: BinaryIO) -> int:
    """Return how long the table of contents claims to be: zipfile would take it in as a whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2**16 - END_SIZE - END64_SIZE - LOCATOR_SIZE))
    tail = file.read()
    last = len(tail) - END_SIZE
    plain = tail[last : last + 4] == END and tail.endswith(b"\0\0")
    at = last if plain else tail.rfind(END)
    if at < 0:
        return 0  # no zip, says zipfile
    claimed = int.from_bytes(tail[at + 12 : at + 16], "little")
    at64 = at - LOCATOR_SIZE - END64_SIZE
    if at64 < 0 or tail[at64 : at64 + 4] != END64:
        return min(claimed, size)
    return min(int.from_bytes(tail[at64 + 40 : at64 + 48], "little"), size)


def _fault(found: list[zipfile.ZipInfo], pictures: list[zipfile.ZipInfo], size: int) -> str:
    """Return why an archive of this size is not read, or an empty text."""
    names = set()
    for info in pictures:
        name = printable(info.filename, 100)
        if _leaves(info.filename):
            return f"holds {name}, a name that leads out of the archive"
        if info.filename in names:
            return f"holds {name} twice"
        if info.flag_bits & ENCRYPTED:
            return f"holds {name}, which is encrypted; expected an open archive"
        if info.compress_type not in METHODS:
            return f"holds {name}, packed by method {info.compress_type}; expected deflate"
        if info.file_size > LARGEST_FILE:
            return f"holds {name}, which claims more than {LARGEST_FILE} bytes"
        names.add(info.filename)
    claimed = sum(info.file_size for info in pictures)
    if claimed > max(LARGEST_FILE, LARGEST_RATIO * size):
        return f"claims to unpack to {claimed} bytes, from {size}; that is no archive of pictures"
    ordered = sorted(found, key=lambda info: info.header_offset)
    for info, following in pairwise(ordered):
        if info.header_offset + HEADER + info.compress_size > following.header_offset:
            return f"has entries that overlap ({printable(info.filename, 100)})"
    return ""


def _leaves(name: str) -> bool:
    """Return whether a name would lead out of a folder that the archive was unpacked into."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or not parts[0] or "\\" in name or parts[0][1:2] == ":"
