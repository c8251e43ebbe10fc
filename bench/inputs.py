"""Reading what others wrote: regular files only, never more than expected, printable messages."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from bench.errors import BenchError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
SHOWN = 400
"""Longer names and texts are shortened in messages."""


def escaped(text: str) -> str:
    """Return a text as one line in which everything is escaped that a terminal would obey.

    Control characters, line ends, characters that turn the writing direction and bytes of file
    names that are not UTF-8 come out as backslash escapes.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable(text: object, most: int = SHOWN) -> str:
    """Return a text for messages: escaped, and shortened in the middle where it is long."""
    shown = escaped(str(text)[: 2 * most])
    return shown if len(shown) <= most else f"{shown[: most // 2]}...{shown[-most // 2 :]}"


def identity(path: Path) -> str:
    """Return a path as a text that has a UTF-8 form, also where the path has none."""
    return os.fsencode(path).decode("latin-1")


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading; a pipe, a socket or a device is refused and never waited on.

    Args:
        path: The file.
        follow: Whether it may be a symbolic link.

    Raises:
        OSError: If it cannot be opened or is no regular file; `strerror` says so.
    """
    _check(path, path.stat() if follow else path.lstat())
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    file = os.fdopen(handle, "rb")
    try:
        _check(path, os.fstat(file.fileno()))  # it may have been exchanged in between
    except OSError:
        file.close()
        raise
    return file


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(0, f"it is {kind}, expected a regular file", str(path))


def read_whole(path: Path, most: int, *, follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        OSError: If it cannot be read, is no regular file, or is longer than `most`.
    """
    with open_regular(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1) if size <= most else None  # a read sets its room aside at once
    if data is None or len(data) > most:
        raise OSError(0, f"it is longer than {most} bytes", str(path))
    return data


def unreadable(path: Path, error: OSError, expected: str = "a file") -> BenchError:
    """Return the error, in one line, for a file that could not be read."""
    reason = printable(error.strerror or error)
    return BenchError(f"{printable(path)} cannot be read ({reason}); expected {expected}")
