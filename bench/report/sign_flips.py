"""Exact paired tests for few pairs: all signs of the differences are tried.

Had the two nothing to tell them apart, either sign would have been as likely.

Source: Fisher 1935, "The Design of Experiments", section 21; Westfall and Young 1993,
    "Resampling-Based Multiple Testing", for the family.
"""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.05
"""A smaller p, or this one, tells two apart."""
MOST_PAIRS = 14
"""2^14 flips of signs are quick; trainings are fewer."""
ROUNDING = 1e-9


def least_p(pairs: int) -> float:
    """Return the smallest two-sided p that so many pairs can give: 1/32 for six."""
    return min(1.0, 2.0 ** (1 - pairs))


def sign_flips(gaps: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return two-sided p of each comparison, alone and among all of them.

    The second is the chance that the largest statistic of all comparisons reaches this one, where
    the signs of a pair flip in all comparisons at once: it holds for the family, and as they share
    their pairs it is less strict than Holm's. The statistic is the mean over the root mean square,
    which grows with Student's t and needs no variance.

    Args:
        gaps: [comparisons][pairs], the same pairs in each.

    Raises:
        ValueError: If there are no pairs, or more than `MOST_PAIRS`.
    """
    values = np.asarray(gaps, dtype=np.float64)
    if values.ndim != 2 or not 1 <= values.shape[1] <= MOST_PAIRS:
        raise ValueError(f"gaps of shape {values.shape}, expected [comparisons, 1..{MOST_PAIRS}]")
    pairs = values.shape[1]
    signs = 1.0 - 2.0 * ((np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1)
    size = np.sqrt((values**2).mean(axis=1))
    size[size == 0] = 1.0
    flipped = np.abs(signs @ values.T / pairs) / size  # [flips, comparisons]
    seen = flipped[0] - ROUNDING
    alone = (flipped >= seen).mean(axis=0)
    family = (flipped.max(axis=1)[:, None] >= seen).mean(axis=0)
    return alone.tolist(), family.tolist()


def holm(p: Sequence[float]) -> list[float]:
    """Return p adjusted for being several, in the same order.

    Source: Holm 1979.
    """
    adjusted, worst = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = worst
    return adjusted
