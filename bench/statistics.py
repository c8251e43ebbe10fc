"""Intervals: delete-block jackknife, bootstrap of means, the best point of a curve. No torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.api import Invalid

CHUNK = 4_000_000
"""Random numbers drawn at a time, so that memory does not grow with the number of images."""
FEW = 16
"""Below so many images a percentile bootstrap of their mean is too narrow: its 95 % interval covers
50 % for two normal values, 88 % for eight and 93.6 % for sixteen. Student's t has that range."""
BLOCKS = 8
"""Of a jackknife, unless said otherwise: seven degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval (95 % unless said otherwise)."""

    value: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Jackknife:
    """An estimate and what it becomes when each block of the data is left out.

    Two of them over the same blocks can be subtracted: that is the paired difference.

    Source: Efron, Tibshirani 1993, chapter 11; Kuensch 1989 for blocks.
    """

    value: float
    deleted: tuple[float, ...]

    def __sub__(self, other: "Jackknife") -> "Jackknife":
        pairs = zip(self.deleted, other.deleted, strict=True)
        return Jackknife(self.value - other.value, tuple(a - b for a, b in pairs))

    @property
    def standard_error(self) -> float:
        """The jackknife's standard error of the value."""
        blocks = len(self.deleted)
        return math.sqrt((blocks - 1) * float(np.var(self.deleted)))

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return value +- t * standard error, with one degree of freedom less than blocks."""
        return _students(self.value, self.standard_error, len(self.deleted) - 1, confidence)


@dataclass(frozen=True, slots=True)
class Best:
    """The best point of a curve, chosen on the data that score it, and chosen on other data."""

    value: float
    low: float
    high: float
    index: int
    index_low: int
    index_high: int
    index_disjoint: tuple[int, int]
    """What either half of the images chooses."""
    value_disjoint: float
    """Mean score of each half at the index that the other half chose: free of the optimism."""
    disjoint: tuple[float, ...] = ()
    """Every image's score at the index that the other half chose."""


def bootstrap_mean(
    values: ArrayLike, *, seed: int = 0, resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """Return the mean over images with its percentile bootstrap interval.

    Below `FEW` images it is Student's, as resamples of so few vary too little.

    Args:
        values: One number per image, or per pair of images (a paired difference).
        seed: Of the resampling; equal seeds give equal intervals.
        resamples: Number of resamples.
        confidence: Coverage aimed at.

    Raises:
        Invalid: If there are fewer than two values or one is not finite.
    """
    data = _finite(values, "values", dimensions=1)
    if len(data) < FEW:
        return students_mean(data, confidence)
    means = _resampled_means(data[:, None], seed, resamples)[:, 0]
    low, high = _percentiles(means, confidence)
    return Interval(float(data.mean()), low, high, float(means.std()))


def students_mean(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Return the mean of values [N], two or more, with Student's interval."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return _students(float(values.mean()), error, len(values) - 1, confidence)


def best_of_curve(
    curves: ArrayLike,
    *,
    higher_is_better: bool = True,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Best:
    """Return the best point of the mean curve; the choice is redone inside every resample.

    The interval of the value is the pivotal one (the value minus the resamples' deviations), since
    the maximum of resampled means is optimistic; it always contains the value.

    Args:
        curves: Scores [N images, K steps].
        higher_is_better: Whether the best is the maximum.
        seed: Of the resampling and of the halves.
        resamples: Number of resamples.
        confidence: Coverage aimed at.

    Raises:
        Invalid: If there are fewer than two images or a score is not finite.
    """
    data = _finite(curves, "curves", dimensions=2)
    sign = 1.0 if higher_is_better else -1.0
    mean = sign * data.mean(axis=0)
    index = int(mean.argmax())
    value = float(mean[index])
    resampled = sign * _resampled_means(data, seed, resamples)
    low, high = _percentiles(2 * value - resampled.max(axis=1), confidence)
    low, high = sorted((sign * min(low, value), sign * max(high, value)))
    first, last = _percentiles(resampled.argmax(axis=1), confidence, method="nearest")
    chosen, score, each = _cross_fitted(sign * data, seed)
    disjoint = tuple((sign * each).tolist())
    return Best(
        sign * value, low, high, index, int(first), int(last), chosen, sign * score, disjoint
    )


def best_of_jackknife(
    curve: Sequence[Jackknife],
    *,
    higher_is_better: bool = False,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[int, int, int]:
    """Return (index, low, high): the best point of a curve of distances between sets.

    A distance has no value per image, so the curve is redrawn from the normal distribution with
    its jackknife covariance (steps share images, hence errors), and the choice redone each time.

    Raises:
        Invalid: If the curve is empty or its points have different numbers of blocks.
    """
    if len({len(point.deleted) for point in curve}) != 1:
        raise Invalid("curve: expected points that all have the same number of blocks")
    sign = 1.0 if higher_is_better else -1.0
    drawn = sign * _redrawn(curve, seed, resamples)
    low, high = _percentiles(drawn.argmax(axis=1), confidence, method="nearest")
    values = [sign * point.value for point in curve]
    return int(np.argmax(values)), int(low), int(high)


def gap_of_best(
    curves: tuple[Sequence[Jackknife], Sequence[Jackknife]],
    places: tuple[Sequence[float], Sequence[float]],
    *,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of how much later the first curve has its minimum than the second.

    Both are redrawn with the same deviations of the blocks, which they share: errors that move
    both curves alike do not widen the difference.

    Args:
        curves: Two curves of distances over the same blocks.
        places: Where their points are, such as numbers of steps.
        seed: Of the redrawing.
        resamples: Number of redrawn pairs.
        confidence: Coverage aimed at.
    """
    first, second = (
        np.asarray(place, dtype=np.float64)[_redrawn(curve, seed, resamples).argmin(axis=1)]
        for curve, place in zip(curves, places, strict=True)
    )
    return _percentiles(first - second, confidence, method="nearest")


def _redrawn(curve: Sequence[Jackknife], seed: int, resamples: int) -> np.ndarray:
    """Return curves [resamples, K] from the normal distribution with the jackknife covariance."""
    values = np.array([point.value for point in curve])
    deleted = np.array([point.deleted for point in curve])
    blocks = deleted.shape[1]
    deviation = deleted - deleted.mean(axis=1, keepdims=True)
    normal = np.random.default_rng(seed).standard_normal((resamples, blocks))
    return values + math.sqrt((blocks - 1) / blocks) * normal @ deviation.T


def t_quantile(freedom: int, confidence: float = 0.95) -> float:
    """Return t with P(|T| < t) = confidence for Student's distribution.

    Source: Abramowitz, Stegun 1964, 26.7.3 and 26.7.4 (finite sums for whole degrees of freedom).
    """
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        if _t_inside(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _students(value: float, error: float, freedom: int, confidence: float) -> Interval:
    reach = t_quantile(freedom, confidence) * error
    return Interval(value, value - reach, value + reach, error)


def _t_inside(angle: float, freedom: int) -> float:
    """Return P(|T| < sqrt(freedom) * tan(angle))."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (k - 1) / k
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total


def _cross_fitted(data: np.ndarray, seed: int) -> tuple[tuple[int, int], float, np.ndarray]:
    """Split the images in two; return either half's choice, and what the other scores there.

    That is the mean of both halves' means, and every image's own score.
    """
    order = np.random.default_rng([seed, 1]).permutation(len(data))
    halves = np.array_split(order, 2)
    one, two = (data[half].mean(axis=0) for half in halves)
    chosen = int(one.argmax()), int(two.argmax())
    each = np.empty(len(data))
    each[halves[0]], each[halves[1]] = data[halves[0], chosen[1]], data[halves[1], chosen[0]]
    return chosen, float(two[chosen[0]] + one[chosen[1]]) / 2, each


def _resampled_means(data: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return the means [resamples, K] of rows drawn with replacement from data [N, K]."""
    rng = np.random.default_rng(seed)
    count = len(data)
    at_once = max(1, CHUNK // count)
    means = []
    for start in range(0, resamples, at_once):
        draws = min(at_once, resamples - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=draws)
        means.append(weights @ data / count)
    return np.concatenate(means)


def _percentiles(
    values: np.ndarray, confidence: float, *, method: str = "linear"
) -> tuple[float, float]:
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, [tail, 100 - tail], method=method)
    return float(low), float(high)


def _finite(values: ArrayLike, name: str, *, dimensions: int) -> np.ndarray:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != dimensions or len(data) < 2 or data.size == 0:
        raise Invalid(
            f"{name}: shape {data.shape}, expected {dimensions} dimension(s) and 2 images or more"
        )
    if not np.isfinite(data).all():
        raise Invalid(f"{name}: {int((~np.isfinite(data)).sum())} are NaN or infinite")
    return data
