"""What a kind of input is."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ABSENT = "absent"
"""What a reader returns where damage counts as absence, and the work is done again."""


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    name: str
    make: Callable[[random.Random], object]
    """Returns a damaged input: bytes, or text."""
    read: Callable[[object], object]
    """Hands it to the code; whatever is no BenchError is a finding."""


def new_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path
