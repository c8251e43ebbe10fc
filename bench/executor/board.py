"""Where nodes write how far their cells are, and read whether these should go on.

An actor of the cluster is one; the class itself knows nothing of Ray.
"""

from dataclasses import dataclass, field

GO_ON, PAUSE, END = "go on", "pause", "end"
"""What a cell may be told: to go on, to save its place and stop, to stop at once."""
Place = tuple[int, int]
"""How far a cell is: done, of total (0, 0 where it has not said)."""


@dataclass
class Board:
    """Has one line for each attempt at a cell that has begun."""

    _word: str = GO_ON
    _ended: set[str] = field(default_factory=set)
    """Attempts that nobody waits for any more."""
    _places: dict[str, Place] = field(default_factory=dict)

    def beat(self, attempt: str, done: int, total: int) -> str:
        """Note how far an attempt is and return what it should do."""
        if attempt in self._ended:
            return END
        self._places[attempt] = (done, total)
        return self._word

    def end(self, attempt: str) -> None:
        """Wait for an attempt no more: should it live on somewhere, it hears that it must not."""
        self._places.pop(attempt, None)
        self._ended.add(attempt)

    def say(self, word: str) -> dict[str, Place]:
        """Tell all cells what to do, from now on; return how far each is that has begun."""
        self._word = word
        return dict(self._places)
