"""The Frechet distance between sets of images, from their features, with interval and floor.

Source: Heusel et al. 2017, in float64.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch

from bench.api import Invalid
from bench.metrics.guard import check_features, check_finite
from bench.metrics.kernel import kid as kid
from bench.metrics.kernel import kid_jackknife as kid_jackknife
from bench.metrics.moments import BLOCK as BLOCK
from bench.metrics.moments import Statistics as Statistics
from bench.metrics.moments import check_blocks
from bench.metrics.moments import merge_all as merge_all
from bench.statistics import BLOCKS, Interval, Jackknife


def frechet(a: Statistics, b: Statistics) -> float:
    """Return the (squared) Frechet distance of the normal distributions fitted to two sets.

    |m_a - m_b|^2 + tr S_a + tr S_b - 2 * (sum of the singular values of R_a R_b^T), where
    S = R^T R. No matrix square root and no eigenvalue of a product is taken, so that rank
    deficiency costs no accuracy: the distance of a set to itself is 0 up to rounding.

    Raises:
        Invalid: If a set has fewer than two elements or the dimensions differ.
    """
    if min(a.count, b.count) < 2:
        raise Invalid(f"Frechet distance: {a.count} and {b.count} images, expected 2 or more")
    if a.mean.shape != b.mean.shape:
        raise Invalid(f"Frechet distance: dimensions {len(a.mean)} and {len(b.mean)} differ")
    root_a = check_finite(a.root / math.sqrt(a.count - 1), "a")
    root_b = check_finite(b.root / math.sqrt(b.count - 1), "b")
    gap = check_finite(a.mean - b.mean, "difference of means")
    overlap = torch.linalg.svdvals(root_a @ root_b.T).sum()
    traces = root_a.square().sum() + root_b.square().sum()
    return max(0.0, float(gap.square().sum() + traces - 2 * overlap))


def frechet_jackknife(a: torch.Tensor, b: torch.Tensor, blocks: int = BLOCKS) -> Jackknife:
    """Return the Frechet distance of features a, b [N,D], also with each block left out of both.

    Block i holds the images i, i + blocks, i + 2 blocks...: each sees the whole range of a sorted
    set. Pairs of distances over the same real images can be subtracted.

    Raises:
        Invalid: If a set has fewer than two images per block.
    """
    check_features(b, "b", like=check_features(a, "a"))
    check_blocks(a, b, blocks)
    deleted = zip(_leave_out(a, blocks), _leave_out(b, blocks), strict=True)
    value = frechet(Statistics.of(a), Statistics.of(b))
    return Jackknife(value, tuple(frechet(*pair) for pair in deleted))


def frechet_interval(
    features_a: torch.Tensor, features_b: torch.Tensor, blocks: int = BLOCKS
) -> Interval:
    """Return the Frechet distance with its 95 % interval by the delete-block jackknife.

    The interval tells the spread at this number of images, not the bias, which only the floor
    (`floor`) and the extrapolation show. It is cut at 0.
    """
    interval = frechet_jackknife(features_a, features_b, blocks).interval()
    low = max(0.0, interval.low)
    return Interval(interval.value, low, interval.high, interval.standard_error)


@dataclass(frozen=True, slots=True)
class Floor:
    """What a perfect generator would score: real images against other real images."""

    value: float
    n: int
    """Images in the place of the generated ones."""
    against: int
    """Real images that they are scored against; no image is on both sides."""


def floor(real: torch.Tensor, *, generated: int | None = None, scored: int | None = None) -> Floor:
    """Return the Frechet distance between two disjoint sets of real features [N,D].

    The sets are as large as those of the distance that the floor stands beside - the first
    `scored` images and `generated` others - where there are so many; else the two halves, which
    is the largest possible N. Print it, and N, beside every distance.

    Raises:
        Invalid: If there are fewer than four images.
    """
    if generated and scored and len(real) >= generated + scored:
        base, others = real[:scored], real[scored : scored + generated]
    else:
        half = len(real) // 2
        base, others = real[0 : 2 * half : 2], real[1 : 2 * half : 2]
    if min(len(base), len(others)) < 2:
        raise Invalid(f"floor: {len(real)} real images, expected 4 or more for two halves")
    return Floor(frechet(Statistics.of(others), Statistics.of(base)), len(others), len(base))


def _leave_out(features: torch.Tensor, blocks: int) -> Iterator[Statistics]:
    """Yield the statistics without block 0, 1, ...; every block is reduced only once."""
    parts = [Statistics.of(features[i::blocks]) for i in range(blocks)]
    before = [None, *accumulate(parts[:-1], Statistics.merge)]
    after = [None, *accumulate(parts[:0:-1], Statistics.merge)][::-1]
    for left, right in zip(before, after, strict=True):
        yield left.merge(right) if left and right else left or right
