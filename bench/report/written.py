"""What a report wrote, so that the next one into the same folders can clear away what it does not.

Only a file is removed that an earlier report wrote and nobody has changed since.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.disk import read_plain, write_atomically

LIST = ".report-files"
LARGEST = 2**20
Lists = dict[str, dict[str, str]]
"""Which folder -> name of a file -> its SHA-256."""


def clear_stale(folders: Mapping[str, Path], written: Iterable[Path], page: Path) -> list[Path]:
    """Remove what an earlier report wrote and this one did not; note what this one wrote.

    Args:
        folders: Of the parts of a report, by what is in them.
        written: All files of this report.
        page: The folder of the list.

    Returns:
        What was removed.
    """
    now = {path.absolute() for path in written}
    removed = []
    for part, files in _noted(page / LIST).items():
        for name, digest in files.items() if part in folders else ():
            path = (folders[part] / name).absolute()
            if Path(name).name == name and path not in now and _digest(path) == digest:
                path.unlink()
                removed.append(path)
    lists: Lists = {part: {} for part in folders}
    for path in sorted(now):
        part = next(name for name, folder in folders.items() if folder.absolute() == path.parent)
        lists[part][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_atomically(page / LIST, (json.dumps(lists, indent=1) + "\n").encode())
    return removed


def _noted(path: Path) -> Lists:
    """Return the list of an earlier report; empty where there is none, or it is no such list."""
    try:
        found = json.loads(read_plain(path, LARGEST)[0] or b"{}")
    except (OSError, ValueError, RecursionError):
        return {}
    parts = found.items() if isinstance(found, dict) else ()
    return {part: files for part, files in parts if isinstance(files, dict)}


def _digest(path: Path) -> str:
    """Return the SHA-256 of a plain file, empty for whatever else is there or not."""
    if path.is_symlink() or not path.is_file():
        return ""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
