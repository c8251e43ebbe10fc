"""Files that are there whole or not at all, and outlive a power cut; links are never followed."""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from bench.api import StorageError

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""A strange file is opened without following a link, and without waiting at a pipe."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        StorageError: If it cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; earlier results are untouched; "
            "free space or choose another --out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


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
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def settled(path: Path) -> dict[str, Any]:
    """Make sure that a file outlives a power cut; return its sha256 and size."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        sha = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": sha, "bytes": file.tell()}
