"""Where damaged records go: `<store>/quarantine/`, each with the reason beside it."""

import contextlib
import os
from pathlib import Path

from bench import record as records
from bench.api import StorageError
from bench.disk import read_plain


def set_aside(path: Path, key: str, reason: str) -> None:
    """Move a damaged record out of the way, beside earlier ones of its key.

    Args:
        path: The record, `<store>/cells/<key>.json`.
        key: Its key.
        reason: Why it cannot be used.

    Raises:
        StorageError: If it cannot be moved.
    """
    place = path.parent.parent / "quarantine"
    try:
        place.mkdir(exist_ok=True)
        note = _claimed(place, key, reason)
        aside = place / f"{note.name.removesuffix('.reason.txt')}.json"
        try:
            path.replace(aside)
        except FileNotFoundError:  # another process was faster
            note.unlink()
            return
        _give_back(path, key, aside=aside, note=note)
    except OSError as error:
        raise StorageError(f"cannot set aside damaged {path}: {error.strerror or error}") from error


def _give_back(path: Path, key: str, *, aside: Path, note: Path) -> None:
    """Undo it if a whole record was caught, which another process wrote a moment ago."""
    content, _ = read_plain(aside, records.LARGEST)
    if content is not None and not records.fault(content, key):
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
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
