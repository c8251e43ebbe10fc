"""What a comparison with the paper says: pure functions, one verdict per number or claim.

Directions ("faster", "better LPIPS") are judged by the 95 % interval of a difference, magnitudes
by whether an interval reaches the paper's value within its printed rounding. A number measured
under other conditions is `not comparable`, whatever it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.report.paper import Printed


class Label(StrEnum):
    """The verdicts; `MISSING` where there is nothing to judge."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    CONTRADICTED = "contradicted"
    TIE = "tie"
    NOT_COMPARABLE = "not comparable"
    MISSING = "missing"


SEEN = {
    Label.REPRODUCED: "as the paper says",
    Label.CONTRADICTED: "the opposite",
    Label.TIE: "a tie",
}
"""What a direction under other conditions shows; no verdict on the paper."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A label, why, and how many times the paper's value ours is (where both are known)."""

    label: Label
    reason: str = ""
    factor: float | None = None
    seen: Label | None = None
    """What a claim that is not comparable looks like here."""

    @property
    def seen_words(self) -> str:
        """What was seen under other conditions, in words; empty where nothing can be said."""
        return SEEN.get(self.seen, "")

    def __str__(self) -> str:
        factor = "" if self.factor is None else f" (x{self.factor:.3g})"
        return f"{self.label}{factor if self.label is Label.DIFFERS else ''}"


def known(value: float | None) -> bool:
    """Return whether a number is there and finite."""
    return value is not None and math.isfinite(value)


def factor_of(paper: float | None, ours: float | None) -> float | None:
    """Return ours / paper where that means something."""
    return ours / paper if known(paper) and known(ours) and paper else None


def differences(conditions: Mapping[str, tuple[Any, Any]]) -> str:
    """Return in words where conditions (name -> (ours, the paper's)) differ; "" where nowhere.

    A condition of ours that is not known (None) counts as different: nothing is assumed.
    """
    return "; ".join(
        f"{name} {_words(ours)} instead of {_words(paper)}"
        for name, (ours, paper) in conditions.items()
        if ours is None or ours != paper
    )


def _words(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, int | float):
        return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    return str(value)


def not_comparable(reason: str, paper: float | None = None, ours: float | None = None) -> Verdict:
    """Return the verdict on a number that was measured under other conditions."""
    return Verdict(Label.NOT_COMPARABLE, reason, factor_of(paper, ours))


def under(unlike: str, found: Verdict) -> Verdict:
    """Return a verdict on a claim, as "seen here" only where the conditions differ."""
    if not unlike or found.label is Label.MISSING:
        return found
    return Verdict(Label.NOT_COMPARABLE, unlike, None, found.label)


def missing(reason: str = "not measured in this run; its command does") -> Verdict:
    """Return the verdict on a number that is not there."""
    return Verdict(Label.MISSING, reason)


def magnitude(
    paper: Printed, ours: float | None, *, low: float | None = None, high: float | None = None
) -> Verdict:
    """Judge a number: reproduced if its interval reaches the paper's value as it was rounded.

    Args:
        paper: The printed number.
        ours: The measured one.
        low: Lower end of its interval; the number itself where there is none.
        high: Upper end.
    """
    if not known(ours):
        return missing()
    low = low if known(low) else ours
    high = high if known(high) else ours
    factor = factor_of(paper.value, ours)
    # Half a unit more or less, and a hair for the binary representation of the printed digits.
    slack = paper.half_unit * (1 + 1e-9)
    if low - slack <= paper.value <= high + slack:
        return Verdict(Label.REPRODUCED, f"the interval reaches the printed {paper.text}", factor)
    return Verdict(Label.DIFFERS, f"the interval misses the printed {paper.text}", factor)


def count(paper: Printed, ours: float | None, *, tolerance: float, cause: str = "") -> Verdict:
    """Judge a number without sampling error by a relative tolerance beside the rounding.

    Args:
        paper: The printed number.
        ours: The counted one.
        tolerance: Accepted relative deviation, 0.005 for half a percent.
        cause: Why it differs, where that is known.
    """
    if not known(ours):
        return missing()
    factor = factor_of(paper.value, ours)
    allowed = paper.half_unit + tolerance * abs(paper.value)
    if abs(ours - paper.value) <= allowed * (1 + 1e-9):
        margin = f"{tolerance:.1%} and " if tolerance else ""
        return Verdict(Label.REPRODUCED, f"within {margin}the rounding of {paper.text}", factor)
    return Verdict(Label.DIFFERS, cause or "cause not known", factor)


def direction(low: float | None, high: float | None, *, paper_sign: int) -> Verdict:
    """Judge the sign of a difference by its 95 % interval.

    Args:
        low: Lower end of the interval of the difference.
        high: Upper end.
        paper_sign: -1 where the paper says that the difference is negative, else 1.
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return missing()
    if low <= 0 <= high:
        return Verdict(Label.TIE, "the interval of the difference contains 0")
    sign = 1 if low > 0 else -1
    if sign == paper_sign:
        return Verdict(Label.REPRODUCED, "the interval of the difference is on the paper's side")
    return Verdict(Label.CONTRADICTED, "the interval of the difference is on the other side")


def difference(
    a: tuple[float, float, float], b: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return a - b with an interval from those of a and b, each (value, low, high).

    Recovers the variances of the two from their intervals. Exact for independent values; on the
    same images or seeds, which go up and down together, it is too wide: a sign that it finds holds.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures" (MOVER).
    """
    value = a[0] - b[0]
    down = math.hypot(a[0] - a[1], b[2] - b[0])
    up = math.hypot(a[2] - a[0], b[0] - b[1])
    return value, value - down, value + up


ORDER = (
    Label.NOT_COMPARABLE,
    Label.CONTRADICTED,
    Label.DIFFERS,
    Label.TIE,
    Label.REPRODUCED,
    Label.MISSING,
)
"""From the least favourable verdict to the most; what is missing decides nothing."""


def worst(labels: Sequence[Label | None]) -> Label | None:
    """Return the least favourable label, None where there is none."""
    return min((label for label in labels if label), key=ORDER.index, default=None)


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a claim that is made of several: the least favourable one.

    The reason counts them. Missing parts are left out unless nothing else is there.
    """
    found = [v for v in verdicts if v.label is not Label.MISSING]
    if len(found) < 2:
        return found[0] if found else next(iter(verdicts), missing())
    label = worst([v.label for v in found])
    seen = worst([v.seen for v in found])
    if label is Label.NOT_COMPARABLE:
        reason = next(v.reason for v in found if v.label is label)
        return Verdict(label, reason, None, seen)
    counts = {one: sum(v.label is one for v in found) for one in ORDER}
    return Verdict(label, ", ".join(f"{n} {one}" for one, n in counts.items() if n), None, seen)
