"""What two measured numbers say beside each other: pure functions, one rule for each kind.

All rules are antisymmetric: with the runs exchanged, better becomes worse and nothing else changes.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bench.comparison.kinds import Kind, Measure
from bench.regression.judge import MEMORY_MIB, MEMORY_RATIO
from bench.report.paired import Triple, paired_jackknife, paired_mean
from bench.report.verdicts import difference
from bench.statistics import students_mean

ROUNDING = 1e-6
"""Numbers this near are one number: the last bits depend on the processor."""
EXACT = 1e-12
"""Counts this near are equal: giga-operations are sums of whole ones."""
ALPHA, LEAST = 0.01, 1.05
"""A time has changed where both hold: p below, ratio of the medians above."""


class Verdict(StrEnum):
    """What became of a number from the first run to the second."""

    SAME = "same"
    """Equal, or no farther apart than chance explains."""
    BETTER = "better"
    WORSE = "worse"
    DIFFERS = "differs"
    """Not equal, and neither better nor worse: the reason says why not."""
    ONLY_A = "only in A"
    ONLY_B = "only in B"


EXCHANGED = {
    Verdict.BETTER: Verdict.WORSE,
    Verdict.WORSE: Verdict.BETTER,
    Verdict.ONLY_A: Verdict.ONLY_B,
    Verdict.ONLY_B: Verdict.ONLY_A,
}
"""What a verdict becomes where the runs are exchanged; all others stay."""


@dataclass(frozen=True, slots=True)
class Side:
    """One run's number with all that its rule needs."""

    value: float | bool | str
    low: float | None = None
    """Ends of its 95 % interval."""
    high: float | None = None
    quartiles: tuple[float, float] | None = None
    samples: tuple[float, ...] = ()
    """Of a time: seconds of every call."""
    each: tuple[float, ...] = ()
    """Of a mean over images: the numbers of all images."""
    left_out: tuple[float, ...] = ()
    """Of a distance: its values without each block of images in turn (jackknife)."""
    noisy: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What the two runs have in common where a number was measured."""

    unlike: str = ""
    """Which condition differs, so that the numbers mean different things; "" where none does."""
    same_images: bool = False
    same_machine: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, why, and the difference B - A with its 95 % interval where there is one."""

    verdict: Verdict
    reason: str = ""
    gap: Triple | None = None


def judge(
    measure: Measure, a: Side, b: Side, setting: Setting, *, p: float | None = None
) -> Judged:
    """Return the verdict on a number of two runs.

    Args:
        measure: What is compared.
        a: The first run's.
        b: The second run's.
        setting: What both have in common.
        p: Of two sets of timings, adjusted for the number of times; None without samples.
    """
    if isinstance(a.value, str) or isinstance(b.value, str) or measure.kind is Kind.FLAG:
        return _words(measure, a, b)
    if _finite(a.value) != _finite(b.value) or not _finite(a.value):
        both = repr(a.value) == repr(b.value)
        return Judged(Verdict.SAME if both else Verdict.DIFFERS, "" if both else "not finite")
    if measure.kind is Kind.COUNT:
        equal = math.isclose(a.value, b.value, rel_tol=EXACT)
        return Judged(Verdict.SAME) if equal else Judged(_turned(measure, a, b), "counted")
    if setting.unlike:
        return _undecided(a, b, setting.unlike)
    if measure.kind in (Kind.TIME, Kind.MEMORY):
        return _of_machine(measure, a, b, setting, p)
    return _quality(measure, a, b, setting)


def _finite(value: float | bool | str) -> bool:
    return not isinstance(value, str) and math.isfinite(value)


def _words(measure: Measure, a: Side, b: Side) -> Judged:
    if a.value == b.value:
        return Judged(Verdict.SAME)
    if measure.kind is Kind.FLAG and isinstance(a.value, bool) and isinstance(b.value, bool):
        return Judged(_turned(measure, a, b))
    return Judged(Verdict.DIFFERS)


def _undecided(a: Side, b: Side, why: str) -> Judged:
    return Judged(Verdict.SAME) if _near(a, b) else Judged(Verdict.DIFFERS, why)


def _near(a: Side, b: Side) -> bool:
    return math.isclose(float(a.value), float(b.value), rel_tol=ROUNDING)


def _turned(measure: Measure, a: Side, b: Side) -> Verdict:
    """Return which way a number that differs beyond doubt went."""
    if not measure.sign:
        return Verdict.DIFFERS
    grew = 1 if float(b.value) > float(a.value) else -1
    return Verdict.BETTER if grew == measure.sign else Verdict.WORSE


# ------------------------------------------------------------------ times and memory


def _of_machine(measure: Measure, a: Side, b: Side, setting: Setting, p: float | None) -> Judged:
    """Judge what a machine has a part in: on two machines there is no better and no worse."""
    if not setting.same_machine:
        return _undecided(a, b, "other machine")
    noisy = [name for name, side in (("A", a), ("B", b)) if side.noisy]
    if noisy:
        return _undecided(a, b, f"noisy in {' and '.join(noisy)}")
    if measure.kind is Kind.MEMORY:
        small, large = sorted((float(a.value), float(b.value)))
        if large <= small * MEMORY_RATIO or large - small <= MEMORY_MIB:
            return Judged(Verdict.SAME, "" if _near(a, b) else "within 5 % or 2 MiB")
        return Judged(_turned(measure, a, b), "beyond 5 % and 2 MiB")
    if None not in (a.low, a.high, b.low, b.high) and None in (a.quartiles, b.quartiles):
        return _quality(measure, a, b, setting)
    return _timed(measure, a, b, p)


def _timed(measure: Measure, a: Side, b: Side, p: float | None) -> Judged:
    """Judge two times: their quartiles must be apart, their medians too, and chance be unlikely."""
    if a.quartiles is None or b.quartiles is None:
        return _undecided(a, b, "no quartiles")
    small, large = sorted((float(a.value), float(b.value)))
    if large <= small * LEAST:
        return Judged(Verdict.SAME, "medians within 5 %")
    if a.quartiles[0] <= b.quartiles[1] and b.quartiles[0] <= a.quartiles[1]:
        return Judged(Verdict.SAME, "quartiles overlap")
    if p is not None and p >= ALPHA:
        return Judged(Verdict.SAME, f"p = {p:.2g}")
    test = "" if p is None else f", p = {p:.1g}"
    return Judged(_turned(measure, a, b), f"quartiles apart{test}")


def quartiles(samples: Sequence[float]) -> tuple[float, float] | None:
    """Return the quartiles of samples, None of fewer than two."""
    if len(samples) < 2:
        return None
    q1, _, q3 = statistics.quantiles(samples, n=4, method="inclusive")
    return q1, q3


# ------------------------------------------------------------------ quality


def _quality(measure: Measure, a: Side, b: Side, setting: Setting) -> Judged:
    """Judge by the 95 % interval of the difference: paired where the images are the same."""
    if _near(a, b):
        return Judged(Verdict.SAME)
    gap, how = _gap(a, b, setting)
    if gap is None:
        return Judged(Verdict.DIFFERS, "no interval")
    if gap[1] <= 0 <= gap[2]:
        return Judged(Verdict.SAME, f"{how} contains 0", gap)
    if not measure.sign:
        return Judged(Verdict.DIFFERS, f"{how} is off 0", gap)
    way = 1 if gap[1] > 0 else -1
    verdict = Verdict.BETTER if way == measure.sign else Verdict.WORSE
    return Judged(verdict, f"{how} is off 0", gap)


def _gap(a: Side, b: Side, setting: Setting) -> tuple[Triple | None, str]:
    """Return B - A with its interval, by the narrowest rule that holds, and which one that is."""
    first, second = float(a.value), float(b.value)
    if setting.same_images:
        if len(a.left_out) == len(b.left_out) > 1:
            values = (second, first)
            return paired_jackknife(values, b.left_out, a.left_out), "paired interval"
        if len(a.each) == len(b.each) > 1:
            return _paired(a.each, b.each), "paired interval"
    if None in (a.low, a.high, b.low, b.high):
        if min(len(a.each), len(b.each)) < 2:
            return None, ""
        means = [students_mean(np.array(side.each)) for side in (b, a)]
        return difference(*((mean.value, mean.low, mean.high) for mean in means)), "interval"
    one, two = (first, float(a.low or 0), float(a.high or 0)), (
        second, float(b.low or 0), float(b.high or 0),
    )  # fmt: skip
    return difference(two, one), "interval"


def _paired(a: Sequence[float], b: Sequence[float]) -> Triple | None:
    """Return the mean of b - a over images; with a and b exchanged exactly its opposite.

    A bootstrap's two ends are not mirror images of each other to the last bit, so it is always
    computed in one order.
    """
    if tuple(a) <= tuple(b):
        return paired_mean(b, a)
    found = paired_mean(a, b)
    return None if found is None else (-found[0], -found[2], -found[1])
