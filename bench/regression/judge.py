"""Verdicts on two trees' numbers: what must not grow, what may by a little, what chance decides."""

import enum
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.metrics.ratio import paired_ratio
from bench.regression.mann_whitney import holm, mann_whitney

MEMORY_RATIO, MEMORY_MIB = 1.05, 2.0
"""Peak memory has changed where it is beyond both. Pages come in groups: the same code's memory was
seen to differ by 1.2 MiB, or 4 %, between processes."""


class Verdict(enum.StrEnum):
    """What became of a benchmark."""

    SAME = "same"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    NEW = "new"
    """It exists, or runs, at head only."""
    GONE = "gone"
    """It exists at the base only, or says at head that it cannot be measured."""
    NEITHER = "runs nowhere"


COMPARED = (Verdict.SAME, Verdict.IMPROVED, Verdict.REGRESSED)


@dataclass(frozen=True, slots=True)
class Side:
    """What one tree gave for a benchmark: samples in the order taken, or why there are none."""

    samples: tuple[float, ...] = ()
    """Seconds of rounds; one number of what is tracked or of memory."""
    reason: str = ""
    failed: bool = False
    """Whether it broke; else it is not there, or says that it cannot be measured."""

    @property
    def value(self) -> float | None:
        """The median of the samples, None where there are none."""
        return statistics.median(self.samples) if self.samples else None


@dataclass(frozen=True, slots=True)
class Finding:
    """One benchmark's line: both numbers, their ratio and the verdict."""

    name: str
    kind: str
    unit: str
    base: float | None
    head: float | None
    verdict: Verdict
    reason: str = ""
    ratio: float | None = None
    """Head over base; of times the median over pairs taken within moments of each other."""
    low: float | None = None
    high: float | None = None
    """Its 95 % interval; None where it is exact or has no bound."""
    p: float | None = None
    """Mann-Whitney, two-sided, adjusted by Holm's method for the number of benchmarks."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A benchmark with what both trees gave."""

    name: str
    kind: str
    unit: str
    base: Side
    head: Side


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a time counts as changed; both must hold."""

    alpha: float = 0.01
    """How often chance alone may raise an alarm about any of the times."""
    least: float = 1.05
    """The median ratio must exceed it (or fall below its inverse, to have improved)."""


def judged(pairs: Iterable[Pair], limits: Limits) -> list[Finding]:
    """Return the findings about benchmarks, in their order.

    What is tracked must not grow at all, memory not beyond both of its tolerances. A time has
    changed where a two-sided Mann-Whitney test says so, adjusted for the number of times, and its
    median ratio is beyond `limits.least`. Two-sided, so that one rule tells what got faster too.
    """
    pairs = list(pairs)
    tests = {
        pair.name: mann_whitney(pair.head.samples, pair.base.samples)
        for pair in pairs
        if pair.kind == "time" and pair.head.samples and pair.base.samples
    }
    adjusted = holm(tests)
    return [_judged(pair, adjusted, limits) for pair in pairs]


def _judged(pair: Pair, adjusted: Mapping[str, float], limits: Limits) -> Finding:
    base, head = pair.base, pair.head
    if base.value is None or head.value is None:
        return _one_sided(pair)
    ratio = head.value / base.value if base.value else None
    if pair.kind == "time":
        return _timed(pair, adjusted[pair.name], limits)
    verdict = _beyond(head.value, base.value, MEMORY_RATIO if pair.kind == "peakmem" else 1.0)
    if pair.kind == "peakmem" and abs(head.value - base.value) <= MEMORY_MIB:
        verdict = Verdict.SAME
    return Finding(
        pair.name, pair.kind, pair.unit, base.value, head.value, verdict, ratio=ratio
    )  # fmt: skip


def _beyond(head: float, base: float, least: float) -> Verdict:
    """Judge numbers of which a larger one is worse."""
    if head > base * least:
        return Verdict.REGRESSED
    return Verdict.IMPROVED if head * least < base else Verdict.SAME


def _timed(pair: Pair, p: float, limits: Limits) -> Finding:
    ratio = paired_ratio(pair.head.samples, pair.base.samples)
    verdict = _beyond(ratio.value, 1.0, limits.least) if p < limits.alpha else Verdict.SAME
    bounded = ratio.low > 0
    return Finding(
        pair.name, pair.kind, pair.unit, pair.base.value, pair.head.value, verdict,
        ratio=ratio.value, low=ratio.low if bounded else None,
        high=ratio.high if bounded else None, p=p,
    )  # fmt: skip


def _one_sided(pair: Pair) -> Finding:
    """Judge a benchmark that lacks a number: broken at head alone is a regression."""
    base, head = pair.base, pair.head
    both = base.reason if base.reason == head.reason else f"{base.reason}; head: {head.reason}"
    verdict, reason = Verdict.NEITHER, f"base: {both}"
    if head.value is not None:
        verdict, reason = Verdict.NEW, f"base: {base.reason}"
    elif base.value is not None:
        verdict = Verdict.REGRESSED if head.failed else Verdict.GONE
        reason = f"head: {head.reason}"
    return Finding(pair.name, pair.kind, pair.unit, base.value, head.value, verdict, reason)


def suspects(findings: Sequence[Finding]) -> list[str]:
    """Return the names of the benchmarks whose time counts as grown."""
    return [
        one.name
        for one in findings
        if one.kind == "time" and one.verdict is Verdict.REGRESSED and one.ratio is not None
    ]
