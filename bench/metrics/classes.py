"""How sure a classifier is of images, and how evenly it finds the classes among them. No torch.

Two warnings. A network can be sure of images that show nothing at all (Hein, Andriushchenko,
Bitterwolf 2019, arXiv:1812.05720), so a share of confident images means something only beside that
of real ones, and beside distances. And N images never fall evenly: the distance between the
classes found and the expected shares is above 0 for every generator, by `expected_variation`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from bench.api import Invalid


@dataclass(frozen=True, slots=True)
class Share:
    """A share of images, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Variation:
    """Total variation distance from expected shares, with its 95 % interval and its floor."""

    value: float
    low: float
    high: float
    floor: float
    """What as many images drawn exactly by the expected shares have on average."""


def share(successes: int, count: int, confidence: float = 0.95) -> Share:
    """Return a share with its score interval, which holds at 0 and 1 and for few images too.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference;
    preferred to the usual one by Brown, Cai, DasGupta 2001, Statistical Science 16.

    Raises:
        Invalid: If there are no images, or more successes than images.
    """
    if not 0 <= successes <= count or count < 1:
        raise Invalid(f"a share of {successes} in {count} images, expected 0 to all of 1 or more")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    value, weight = successes / count, z * z / count
    middle = (value + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(value * (1 - value) / count + weight / (4 * count))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else middle - reach
    high = 1.0 if successes == count else middle + reach
    return Share(value, low, high)


def variation(
    counts: Sequence[int], shares: Sequence[float], confidence: float = 0.95
) -> Variation:
    """Return half the sum of |count / N - share|, with an interval for more and more images.

    What a judge says of a generator's images has a distribution p over the classes, of which the
    counts are a multinomial sample; what is found is biased upwards, by as much as
    `expected_variation` where p is what is expected. A bootstrap would add that bias once more,
    and is not consistent there (the distance has a kink at 0; Andrews 2000, Econometrica 68). So
    the interval takes nothing for granted: one image changes what is found by at most 1 / N, so
    that it lies within sqrt(ln(2 / 0.05) / (2 N)) of its mean in 95 % of cases (McDiarmid 1989);
    and that mean is at least the distance of p (Jensen) and at most that plus sqrt((K - 1) / N) /
    2 for K classes (triangle; Cauchy and Schwarz). It holds for every N and p, and is wider than
    it had to be.

    Args:
        counts: Images found of each class [K].
        shares: Expected shares [K], which add up to 1.
        confidence: Coverage of the interval, at least.

    Raises:
        Invalid: If they do not fit each other.
    """
    found, expected = _checked(counts, shares)
    n = int(found.sum())
    value = float(np.abs(found / n - expected).sum() / 2)
    reach = math.sqrt(math.log(2 / (1 - confidence)) / (2 * n))
    bias = math.sqrt((len(found) - 1) / n) / 2
    low, high = max(0.0, value - reach - bias), min(1.0, value + reach)
    return Variation(value, low, high, expected_variation(n, shares))


def expected_variation(count: int, shares: Sequence[float]) -> float:
    """Return the mean distance of `count` images drawn by the shares themselves; exact.

    Each class's count is binomial, whose mean absolute deviation is 2 v C(n,v) p^v (1-p)^(n-v+1)
    with v = floor(n p) + 1; means add up, however the counts depend on each other.

    Source: De Moivre 1730; Diaconis, Zabell 1991, Statistical Science 6, equation 1.1.
    """
    return sum(_deviation(count, float(p)) for p in shares) / (2 * count)


def _deviation(n: int, p: float) -> float:
    """Return E|X - n p| of a binomial X."""
    if p <= 0 or p >= 1:
        return 0.0
    v = math.floor(n * p) + 1
    ways = math.lgamma(n + 1) - math.lgamma(v + 1) - math.lgamma(n - v + 1)
    return 2 * v * math.exp(ways + v * math.log(p) + (n - v + 1) * math.log1p(-p))


def even(classes: int) -> list[float]:
    """Return equal shares."""
    return [1 / classes] * classes


def _checked(counts: ArrayLike, shares: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    found = np.asarray(counts, dtype=np.float64)
    expected = np.asarray(shares, dtype=np.float64)
    if found.ndim != 1 or found.shape != expected.shape:
        raise Invalid(f"counts {found.shape} and shares {expected.shape}, expected one per class")
    if not (found >= 0).all() or found.sum() < 1:
        raise Invalid("counts of classes: expected numbers of images, 1 or more in all")
    if not (expected >= 0).all() or abs(expected.sum() - 1) > 1e-9:
        raise Invalid("shares of classes: expected numbers of 0 or more that add up to 1")
    return found, expected
