"""Where files of records are that are not in the local store."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Supply(Protocol):
    """A place that has files by their sha256: a shared store."""

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Return whether a file of this sha256 is there, with its size."""
        ...

    def supply(self, facts: Mapping[str, Any], target: Path) -> bool:
        """Write it to its place, checked; return whether it was there."""
        ...


def lacking(folder: Path, files: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the files that are not in a folder, whole or not."""
    return {name: facts for name, facts in files.items() if not os.path.lexists(folder / name)}
