"""The cU-Net's numbers over the U-Net's, paired by image: ratios, intervals, and a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.checked import Holds
from bench.report.paired import Triple
from bench.report.shares import words
from bench.statistics import t_quantile


def geometric(values: Sequence[float], together: int = 1) -> Triple | None:
    """Return the geometric mean of positive values with its 95 % interval (Student's t, of logs).

    None for fewer than two values, or where one is not positive and finite.

    Args:
        values: One number an image.
        together: So many such intervals hold together in 95 % of cases (Bonferroni).
    """
    array = np.asarray(values, np.float64)
    if len(array) < 2 or not (np.isfinite(array).all() and (array > 0).all()):
        return None
    logs = np.log(array)
    spread = float(logs.std(ddof=1)) / math.sqrt(len(logs))
    reach = t_quantile(len(logs) - 1, 1 - 0.05 / together) * spread
    middle = float(logs.mean())
    with np.errstate(over="ignore"):  # the end of a very wide interval may be infinite
        low, high = (float(end) for end in np.exp([middle - reach, middle + reach]))
    return math.exp(middle), low, high


def ratio(ours: Sequence[float], theirs: Sequence[float], together: int = 1) -> Triple | None:
    """Return ours / theirs, paired by image; None where they are not of the same images."""
    if len(ours) != len(theirs) or not len(theirs) or not min(theirs) > 0:
        return None
    return geometric(np.divide(ours, theirs), together)


@dataclass(frozen=True)
class Versus:
    """The cU-Net's number over the U-Net's under one condition, by image."""

    condition: str
    ours: Sequence[float]
    theirs: Sequence[float]


@dataclass
class Judged:
    """Several comparisons whose intervals hold together."""

    known: list[tuple[str, Triple]] = field(default_factory=list)

    @classmethod
    def of(cls, found: Sequence[Versus]) -> "Judged":
        """Judge some comparisons, leaving out those that cannot be made."""
        ratios = [(one.condition, ratio(one.ours, one.theirs, len(found))) for one in found]
        return cls([(condition, value) for condition, value in ratios if value is not None])

    @property
    def less(self) -> int:
        """In how many the cU-Net's is smaller."""
        return sum(high < 1 for _, (_, _, high) in self.known)

    @property
    def more(self) -> int:
        """In how many it is larger."""
        return sum(low > 1 for _, (_, low, _) in self.known)

    @property
    def holds(self) -> Holds:
        """Whether it is smaller: open where most comparisons are undecided (docs/protocol.md)."""
        if self.less and self.more:
            return Holds.PARTLY
        decided = self.less + self.more
        if decided <= len(self.known) - decided:
            return Holds.OPEN
        return Holds.YES if self.less else Holds.NO

    @property
    def words(self) -> str:
        """The counts, and the ends of the range."""
        count, ends = len(self.known), sorted(self.known, key=lambda one: one[1][0])
        tied = count - self.less - self.more
        told = f"less in {self.less}, more in {self.more}, undecided in {tied} of {count} cases"
        if len(ends) < 2:
            return f"{told}: {words(ends[0][1])}"
        (low, first), (high, last) = ends[0], ends[-1]
        return f"{told}, from {words(first)} ({low}) to {words(last)} ({high})"

    def numbers(self, what: str) -> dict[str, float]:
        """Return every ratio by its condition."""
        return {f"{what}, {condition}": value[0] for condition, value in self.known}
