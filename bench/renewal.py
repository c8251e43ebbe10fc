"""How far a run with `--fresh` came, so that the same command goes on and does not begin anew."""

from pathlib import Path

from bench.disk import open_log

BEGUN, DONE = "begun", "done"
LARGEST = 2**24


class Renewal:
    """The cells that an unfinished fresh run has begun and done, in a file of lines."""

    def __init__(self, path: Path):
        self._path = path
        self._said: set[tuple[str, str]] = set()
        try:
            lines = path.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            word, _, key = line.partition(" ")
            self._said.add((word, key))

    def has_begun(self, key: str) -> bool:
        """Return whether the half-done work of a cell is this fresh run's own."""
        return (BEGUN, key) in self._said

    def is_done(self, key: str) -> bool:
        """Return whether a cell was measured anew already."""
        return (DONE, key) in self._said

    def begin(self, key: str) -> None:
        """Note that a cell begins."""
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
