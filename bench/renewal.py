"""How far a run with `--fresh` came, so that the same command goes on and does not begin anew."""

import threading
from collections.abc import Callable
from pathlib import Path

from bench.disk import open_log

BEGUN, DONE = "begun", "done"
LARGEST = 2**24


class Renewal:
    """The cells that an unfinished fresh run has begun and done, in a file of lines."""

    def __init__(self, path: Path):
        self._path = path
        self._said: set[tuple[str, str]] = set()
        self._beginning = threading.Lock()
        try:
            lines = path.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            word, _, key = line.partition(" ")
            self._said.add((word, key))

    def is_done(self, key: str) -> bool:
        """Return whether a cell was measured anew already."""
        return (DONE, key) in self._said

    def begin(self, key: str, drop: Callable[[], None]) -> None:
        """Note that a cell begins, once, after dropping what earlier runs have half done of it.

        From then on the half-done work of the cell is this fresh run's own. Any thread may call it.
        """
        with self._beginning:
            if (BEGUN, key) not in self._said:
                drop()
                self._say(BEGUN, key)

    def done(self, key: str) -> None:
        """Note that a cell has its new record."""
        self._say(DONE, key)

    def close(self) -> None:
        """Forget everything: the fresh run is complete."""
        self._path.unlink(missing_ok=True)

    def _say(self, word: str, key: str) -> None:
        self._said.add((word, key))
        with open_log(self._path, LARGEST) as file:
            file.write(f"{word} {key}\n".encode())
