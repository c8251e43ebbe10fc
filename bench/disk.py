"""Files that are there whole or not at all, and outlive a power cut; links are never followed."""

import contextlib
import errno
import functools
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bench.api import StorageError
from bench.inputs import printable

STRANGE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
"""A strange file is opened without following a link, and without waiting at a pipe."""
_READ = os.O_RDONLY | STRANGE
LARGEST_LOG = 2**24
"""Bytes of a log that is written on; a larger one is begun anew."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        StorageError: If it cannot be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path, content) as temporary:
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


@contextlib.contextmanager
def beside(path: Path, content: bytes) -> Iterator[Path]:
    """Write and fsync a temporary file beside `path`; it is gone afterwards, unless renamed."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


UNTOUCHED = "earlier results are untouched; free space or choose another --out"


def unwritable(path: Path, error: OSError) -> StorageError:
    """Return the error, in one line, for what could not be written."""
    return StorageError(f"cannot write {printable(path)}: {error.strerror or error}; {UNTOUCHED}")


def open_log(path: Path, most: int) -> BinaryIO:
    """Open a log for appending, unbuffered; one that has grown beyond `most` bytes is begun anew.

    Raises:
        StorageError: If it cannot be written, or is a link or no plain file.
    """
    handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | STRANGE, 0o666)
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.ENXIO, "no plain file")
        if facts.st_size > most:
            os.ftruncate(handle, 0)
        return os.fdopen(handle, "ab", buffering=0)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise StorageError(
                f"{printable(path)} is a link or no plain file, expected a log; remove it"
            ) from error
        raise unwritable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlive a power cut, where the system can promise it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives
            raise
    finally:
        os.close(handle)


def file_sha(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def made_writable(folder: Path, mend: str = "choose another --out") -> None:
    """Make a folder where there is none, and find out now whether it can be written.

    Args:
        folder: Which.
        mend: What to do where it cannot.

    Raises:
        StorageError: If it is a file or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"{folder} is a file, expected a folder; {mend}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"cannot write to {folder}: {error.strerror or error}; {mend}"
        ) from error


@contextlib.contextmanager
def exchanged(new: Mapping[Path, Path], aside: Path) -> Iterator[None]:
    """Move folders to where older ones may lie, which are put back unless all goes well inside.

    Args:
        new: Where one is to lie -> where it lies.
        aside: Holds the older ones meanwhile; on the same disk.
    """
    old = {place: aside / str(number) for number, place in enumerate(new)}
    aside.mkdir(parents=True)
    try:
        for place, made in new.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                place.replace(old[place])
            made.replace(place)
        yield
    except BaseException:
        for place, made in new.items():
            if not made.exists():  # it is at its place
                shutil.rmtree(place, ignore_errors=True)
            if old[place].exists():
                old[place].replace(place)
            with contextlib.suppress(OSError):
                place.parent.rmdir()  # where nothing else is in it
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_plain(path: str | Path, largest: int) -> tuple[bytes | None, str]:
    """Return a file's bytes, or None and why it is not read (empty where there is none)."""
    try:
        handle = os.open(path, _READ)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None, "a link or no plain file"
        raise
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            return None, "a link or no plain file"
        if facts.st_size > largest:
            return None, f"larger than {largest >> 20} MiB"
        content = os.read(handle, facts.st_size)
        while len(content) < facts.st_size:
            more = os.read(handle, facts.st_size - len(content))
            if not more:
                break
            content += more
        return content, ""
    finally:
        os.close(handle)


def is_plain_file(path: Path) -> bool:
    """Return whether there is a file, and no link to one."""
    return stat.S_ISREG(_mode(path))


def settled(path: Path) -> dict[str, Any]:
    """Make sure that a file outlives a power cut; return its sha256 and size."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        sha = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": sha, "bytes": file.tell()}


def discard(path: Path) -> None:
    """Remove a folder with everything in it, or a file, or a link but not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def holds(folder: Path, files: Mapping[str, Any], *, hashed: bool) -> bool:
    """Return whether plain files of these sizes, and sha256s if asked, lie in a plain folder.

    Raises:
        OSError: If a file that is there cannot be read.
    """
    if files and not stat.S_ISDIR(_mode(folder)):
        return False
    for name, facts in files.items():
        path = folder / name
        try:
            found = path.lstat()
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size != facts["bytes"]:
            return False
        state = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        if hashed and _sha_of(path, state) != facts["sha256"]:
            return False
    return True


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


@functools.lru_cache(maxsize=2**14)
def _sha_of(path: Path, state: tuple[int, ...]) -> str:
    """Return a file's sha256, read once for each state in which this process meets the file."""
    return file_sha(path)
