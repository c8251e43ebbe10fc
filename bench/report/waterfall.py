"""A number of the paper, ours, and what every choice of protocol contributes to the difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.report.comparison import Value
from bench.report.paper import Printed

Choice = frozenset[str]
"""Names of the choices that are made otherwise."""


def complete(values: Mapping[Choice, Any]) -> bool:
    """Return whether there is a value for every combination of the choices."""
    return bool(values) and len(values) == 2 ** len(frozenset().union(*values))


@dataclass(frozen=True, slots=True)
class Step:
    """What one choice contributes."""

    choice: str
    ours: str
    alternative: str
    value: float
    low: float | None = None
    high: float | None = None
    each: tuple[float, ...] = ()
    """What it contributes with each of several images as the only one."""

    @property
    def undecided(self) -> bool:
        """Whether its 95 % interval has 0 in it; where there is none, that is not known."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


@dataclass(frozen=True)
class Waterfall:
    """One number of the paper, ours, and what leads from one to the other."""

    table: str
    row: str
    column: str
    metric: str
    dataset: str
    paper: Printed
    ours: Value
    """As our own table has it."""
    start: float
    """The same of the images that were kept, from which all choices begin."""
    kept: str
    """What is different about those."""
    steps: Sequence[Step]
    values: Mapping[Choice, float]
    """The number under every combination of choices."""
    n: int | None = None
    keys: tuple[str, ...] = ()
    others: Mapping[str, float] = field(default_factory=dict)
    """Other extractors -> the distance, where several were asked."""

    @property
    def end(self) -> float:
        """The number with all choices made otherwise."""
        return self.start + sum(step.value for step in self.steps)

    @property
    def unexplained(self) -> float:
        """What is left to the paper's number."""
        return self.paper.value - self.end

    @property
    def reach(self) -> tuple[float, float]:
        """The smallest and the largest number of all combinations."""
        return min(self.values.values()), max(self.values.values())

    @property
    def inside(self) -> bool:
        """Whether some combination is as large as the paper's number, and some as small."""
        low, high = self.reach
        return low - self.paper.half_unit <= self.paper.value <= high + self.paper.half_unit

    @property
    def nearest(self) -> tuple[Choice, float]:
        """The combination that comes nearest to the paper's number, and what it gives."""
        names = min(self.values, key=lambda one: (self._gap(one), len(one), sorted(one)))
        return names, self.values[names]

    def _gap(self, names: Choice) -> float:
        return abs(self.values[names] - self.paper.value)
