"""A few of many, evenly spread, where nobody knows beforehand how many there will be."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Thinned:
    """Keeps at most twice `most` of what is added, and gives `most` of them, the first included.

    Every k-th is held, and k doubles whenever there are too many; so what is chosen depends on
    nothing but how many were added.
    """

    most: int
    always: tuple[int, ...] = ()
    """Places that are kept besides, for `with_ends`."""
    _every: int = 1
    _held: dict[int, Tensor] = field(default_factory=dict)
    _ends: dict[int, Tensor] = field(default_factory=dict)
    """Those that are always kept, then the last one so far."""

    def add(self, place: int, value: Tensor) -> None:
        """Hold a value, or not; places count from 0."""
        self._ends = {at: one for at, one in self._ends.items() if at in self.always}
        self._ends[place] = value
        if place % self._every == 0:
            self._held[place] = value
        if len(self._held) > 2 * self.most:
            self._every *= 2
            self._held = {at: one for at, one in self._held.items() if at % self._every == 0}

    def chosen(self) -> tuple[list[int], list[Tensor]]:
        """Return the places of at most `most` values, rising and evenly spread, and the values."""
        held, count = sorted(self._held), len(self._held)
        few = min(self.most, count)
        places = [held[i * count // few] for i in range(few)]
        return places, [self._held[place] for place in places]

    def with_ends(self) -> tuple[list[int], list[Tensor]]:
        """Return what `chosen` does, with the places that are always kept and the last one."""
        found = dict(zip(*self.chosen(), strict=True)) | self._ends
        places = sorted(found)
        return places, [found[place] for place in places]
