"""The Frechet distance that an endless number of images would have.

The distance of two finite sets is too large by about c / N, where c depends on the generator: two
networks can change places when N grows. A line through the distances at several N meets 1 / N = 0
where that bias is gone.

Source: Chong and Forsyth 2020, "Effectively unbiased FID and Inception score".
Differs: both sets shrink together, since the real one is finite too; nested subsets in one seeded
order, the same for every network, instead of independent ones; an error by the jackknife.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.api import Invalid
from bench.metrics.distances import frechet_jackknife
from bench.statistics import BLOCKS, Jackknife

FRACTIONS = (0.5, 0.625, 0.75, 0.875)
"""Of both sets, beside the whole sets."""


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """A distance at N -> infinity, and what it was made of."""

    jackknife: Jackknife
    """It may be negative: nothing is cut from an estimate that is to be unbiased."""
    sizes: tuple[int, ...]
    """Numbers of images of the first set, the whole last."""
    values: tuple[float, ...]
    """The distances there."""


def frechet_at_infinity(
    a: torch.Tensor, b: torch.Tensor, blocks: int = BLOCKS, *, whole: Jackknife | None = None
) -> Extrapolated:
    """Return the Frechet distance of features a, b [N,D] extrapolated to endlessly many images.

    Args:
        a: One set; its numbers of images are the ones that are stated.
        b: The other.
        blocks: Blocks of the jackknife; each is left out of every subset.
        whole: The distance of the whole sets, where it is already known.

    Raises:
        Invalid: If a subset has fewer than two images per block.
    """
    if min(len(a), len(b)) < 4 * blocks:
        raise Invalid(
            f"extrapolation: {min(len(a), len(b))} images in {blocks} blocks, expected 4 images or "
            "more in each, so that half of them are a set of their own"
        )
    sizes = [(round(part * len(a)), round(part * len(b))) for part in FRACTIONS]
    curve = [frechet_jackknife(_some(a, m, blocks), _some(b, n, blocks), blocks) for m, n in sizes]
    curve.append(whole or frechet_jackknife(a, b, blocks))
    counts = (*(m for m, _ in sizes), len(a))
    return Extrapolated(_at_zero(curve, counts), counts, tuple(one.value for one in curve))


def intercept_weights(x: Sequence[float]) -> np.ndarray:
    """Return w with w . y = the least-squares line through (x, y), at x = 0."""
    design = np.stack([np.ones(len(x)), np.asarray(x, dtype=np.float64)], axis=1)
    return np.linalg.pinv(design)[0]


def _at_zero(curve: Sequence[Jackknife], counts: Sequence[int]) -> Jackknife:
    """Return the intercept of a line in 1 / N.

    Leaving a block out shrinks every N by the same factor, which does not move the weights.
    """
    weights = intercept_weights([1 / count for count in counts])
    deleted = weights @ np.array([one.deleted for one in curve])
    value = float(weights @ np.array([one.value for one in curve]))
    return Jackknife(value, tuple(float(one) for one in deleted))


def _some(features: torch.Tensor, count: int, blocks: int) -> torch.Tensor:
    """Return `count` rows, each of them in the block that it is in among all rows."""
    chosen = torch.empty(count, features.shape[1], dtype=features.dtype)
    for i in range(blocks):
        block = features[i::blocks]
        order = torch.randperm(len(block), generator=torch.Generator().manual_seed(i))
        place = chosen[i::blocks]
        place.copy_(block[order[: len(place)]])
    return chosen
