"""What a node tells of itself, and whether it measures what the driver would. Knows nothing of Ray.

The driver is the machine on which the command was given.
"""

import contextlib
import errno
import functools
import os
import platform
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import code, provenance
from bench.code import OURS
from bench.registry import HOME

Facts = dict[str, Any]
CLOCK_S = 5.0
"""Clocks that differ by less are not worth a word. Nothing depends on them."""
PROBE = 2**16
"""Bytes that are written to see whether a folder can be written."""


def facts() -> Facts:
    """Return what this machine and this installation are, as plain values."""
    return {
        "host": socket.gethostname(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": provenance.machine(),
        "versions": provenance.telling_versions(),
        "code": own_digest(),
    }


@functools.cache
def own_digest() -> str:
    """Return one sha256 for all code of this project that is installed here."""
    return code.digest(*modules(HOME))


def modules(home: Path) -> list[str]:
    """Return the names of all modules of this project."""
    found = []
    for path in (path for top in OURS for path in (home / top).rglob("*.py")):
        parts = path.relative_to(home).with_suffix("").parts
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(found)


def difference(ours: Facts, theirs: Facts) -> str:
    """Return in what a node differs that decides numbers; an empty text where it does not."""
    if ours["python"] != theirs["python"]:
        return f"it has Python {theirs['python']}, here is {ours['python']}"
    mine: Mapping[str, str] = ours["versions"]
    for name, version in sorted(mine.items()):
        other = theirs["versions"].get(name, "not installed")
        if other != version:
            return f"it has {name} {other}, here is {version}"
    if ours["code"] != theirs["code"]:
        return f"its code of this project is another (digest {theirs['code'][:8]}, not " + (
            f"{ours['code'][:8]})"
        )
    return ""


def clock_note(host: str, theirs: float, sent: float, heard: float) -> str:
    """Return a note where a node's clock differs, the way there and back taken into account.

    Args:
        host: The node's name.
        theirs: Its time in seconds.
        sent: This machine's time when it was asked.
        heard: This machine's time when the answer was there.
    """
    off = theirs - (sent + heard) / 2
    if abs(off) - (heard - sent) / 2 <= CLOCK_S:
        return ""
    direction = "ahead of" if off > 0 else "behind"
    return (
        f"note: the clock of node {host} is {abs(off):.0f} s {direction} this machine's; no "
        "number depends on it, but dates in logs do"
    )


# ------------------------------------------------------------------ the store, seen from a node


def token_file(root: Path) -> tuple[Path, str]:
    """Write a file by which a node knows the store; the caller removes it."""
    token = secrets.token_hex(8)
    path = root / f".{token}.tmp"
    path.write_text(token)
    return path, token


def store_fault(path: str, token: str) -> str:
    """Return why a store cannot be used from here; an empty text where it can.

    Args:
        path: Of the token file that the driver wrote.
        token: What it says.
    """
    beside = Path(path).with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if Path(path).read_text() != token:
            return "is another folder there"
    except OSError as error:
        why = "is not there" if error.errno == errno.ENOENT else f"cannot be read ({_said(error)})"
        return why
    try:
        with beside.open("xb") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"cannot be written ({_said(error)})"
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
    return ""


def _said(error: OSError) -> str:
    return error.strerror or str(error)


def now() -> float:
    """Return this machine's time in seconds."""
    return time.time()
