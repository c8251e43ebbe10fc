"""Do two samples of times come from one distribution? A test of ranks, and many of them at once."""

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

LARGEST_EXACT = 30
"""Up to so many samples a side the distribution is counted, where no two times are equal."""


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of equal distributions.

    Exact for up to `LARGEST_EXACT` samples a side without ties. Otherwise the normal
    approximation, its variance corrected for ties and its distance for continuity.

    Args:
        first: n samples.
        second: m samples.

    Raises:
        ValueError: If a side is empty or a sample is NaN.

    Source: Mann, Whitney 1947, "On a Test of Whether One of Two Random Variables Is
        Stochastically Larger than the Other" (the recursion of section 3 as a product of
        polynomials); the correction for ties after Lehmann 1975, "Nonparametrics", section 1.4.
    """
    n, m = len(first), len(second)
    if not n or not m or any(map(math.isnan, (*first, *second))):
        raise ValueError(f"{n} and {m} samples, expected one or more a side and none NaN")
    u = wins(first, second)
    ties = [count for count in Counter((*first, *second)).values() if count > 1]
    if not ties and max(n, m) <= LARGEST_EXACT:
        ways = arrangements(n, m)
        tail = sum(ways[: math.floor(min(u, n * m - u)) + 1])
        return min(1.0, 2 * tail / math.comb(n + m, n))
    size = n + m
    spread = n * m / 12 * (size + 1 - sum(t**3 - t for t in ties) / (size * (size - 1)))
    if spread <= 0:  # all are equal
        return 1.0
    z = max(0.0, abs(u - n * m / 2) - 0.5) / math.sqrt(spread)
    return math.erfc(z / math.sqrt(2))


def wins(first: Sequence[float], second: Sequence[float]) -> float:
    """Return U: in how many of the n * m pairs the first is larger; a tie counts one half."""
    return sum((a > b) + (a == b) / 2 for a in first for b in second)


@functools.cache
def arrangements(n: int, m: int) -> tuple[int, ...]:
    """Return how many orders of n and m samples give U = 0, 1, ..., n * m.

    They are the coefficients of the Gaussian binomial: the product over i = 1..n of
    (1 - q^(m + i)) / (1 - q^i).
    """
    ways = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for power in range(n * m, m + i - 1, -1):
            ways[power] -= ways[power - m - i]
        for power in range(i, n * m + 1):
            ways[power] += ways[power - i]
    return tuple(ways)


def least_p(count: int) -> float:
    """Return the smallest p-value that `count` samples a side can give."""
    return min(1.0, 2 / math.comb(2 * count, count))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted so that one false alarm among all is as rare as alpha says.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    adjusted: dict[str, float] = {}
    worst = 0.0
    for rank, name in enumerate(sorted(values, key=values.__getitem__)):
        worst = max(worst, min(1.0, (len(values) - rank) * values[name]))
        adjusted[name] = worst
    return adjusted
