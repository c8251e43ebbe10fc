"""Intervals of paired differences: the same images, blocks or turns measured with two networks.

A paired interval is narrower than one from two separate intervals, because what both share -
an easy image, a slow moment of the machine - cancels.
"""

import math
from collections.abc import Sequence

import numpy as np

from bench.report.verdicts import difference
from bench.statistics import FEW, Jackknife, students_mean

FEWEST = 6
"""Pairs whose order statistics bound the median of their differences."""
Triple = tuple[float, float, float]
"""A value with the lower and upper end of its 95 % interval."""
LEFT_OUT = {"frechet": "leave_one_out", "kid": "kid_leave_one_out"}
"""Distance -> the column of what it becomes without each block of images in turn."""


def paired_mean(
    a: Sequence[float], b: Sequence[float], *, resamples: int = 4000, seed: int = 0
) -> Triple | None:
    """Return the mean of a - b over images with its 95 % interval.

    A percentile bootstrap, and Student's t where there are too few images for one. None where the
    two are not of the same images.
    """
    if len(a) != len(b) or len(a) < 2:
        return None
    gaps = np.subtract(a, b)
    if len(gaps) < FEW:
        found = students_mean(gaps)
        return found.value, found.low, found.high
    rng = np.random.default_rng(seed)
    means = gaps[rng.integers(0, len(gaps), (resamples, len(gaps)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(gaps.mean()), float(low), float(high)


def paired_jackknife(
    values: tuple[float, float], a: Sequence[float], b: Sequence[float]
) -> Triple | None:
    """Return a difference of two statistics with its delete-block jackknife interval.

    Student's t, with one degree of freedom less than there are blocks.

    Args:
        values: The two statistics on all blocks.
        a: The first without each block in turn.
        b: The second; generated images share their starting noise, so blocks are pairs.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 11.
    """
    if len(a) != len(b) or len(a) < 2:
        return None
    gap = (Jackknife(values[0], tuple(a)) - Jackknife(values[1], tuple(b))).interval()
    return gap.value, gap.low, gap.high


def paired_median(a: Sequence[float], b: Sequence[float]) -> Triple | None:
    """Return the median of a - b with an interval from its order statistics.

    Makes no assumption on the distribution of latencies; at least 95 % by the binomial
    distribution, which fewer than six pairs cannot bound.
    """
    n = len(a)
    if n != len(b) or n < 3:
        return None
    if n < FEWEST:
        return float(np.median(np.subtract(a, b))), -math.inf, math.inf
    gaps = np.sort(np.subtract(a, b))
    below, k = 0.0, 0
    for i in range(n // 2):
        below += math.comb(n, i) / 2.0**n
        if below > 0.025:
            break
        k = i
    return float(np.median(gaps)), float(gaps[k]), float(gaps[n - 1 - k])


def side(gap: Triple | None, sign: int = 1) -> int:
    """Return 1 where a difference has the sign beyond its interval, -1 the other one; else 0."""
    if gap is None or gap[1] <= 0 <= gap[2]:
        return 0
    return sign if gap[1] > 0 else -sign


def worst_case(a: Triple | None, b: Triple | None) -> Triple | None:
    """Return a - b between the ends that lie farthest apart.

    For numbers of steps and what is made of them: they move in whole steps of the measured grid,
    so their ranges follow no distribution whose variances could be added.
    """
    if a is None or b is None:
        return None
    return a[0] - b[0], a[1] - b[2], a[2] - b[1]


def worst_ratio(a: Triple | None, b: Triple | None) -> Triple | None:
    """Return a / b between the ends that lie farthest apart; None where b reaches 0."""
    if a is None or b is None or b[1] <= 0:
        return None
    return a[0] / b[0], a[1] / b[2], a[2] / b[1]


def separate(a: Triple | None, b: Triple | None) -> Triple | None:
    """Return a - b with an interval from two separate ones; None where one is missing."""
    return difference(a, b) if a is not None and b is not None else None
