"""Sums over images as a share of another sum over the same images, with intervals."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from bench.report.names import printed
from bench.report.paired import Triple
from bench.statistics import t_quantile


def share(values: ArrayLike, of: ArrayLike, *, together: int = 1) -> Triple | None:
    """Return the mean of `values` over the mean of `of`, with its 95 % interval over images.

    Of differences between two methods it is the paired difference, on the scale of `of`. None
    where the two are not of the same images, or `of` adds up to nothing.

    Args:
        values: One number an image.
        of: One number an image.
        together: So many such intervals hold together in 95 % of cases (Bonferroni).

    Source: Cochran 1977, "Sampling techniques", equation 6.13: the ratio's variance is that of the
        residuals, values - ratio * of. Student's t.
    """
    a, b = np.asarray(values, np.float64), np.asarray(of, np.float64)
    if len(a) != len(b) or len(a) < 2 or not b.mean() > 0:
        return None
    ratio = float(a.mean() / b.mean())
    spread = float((a - ratio * b).std(ddof=1)) / math.sqrt(len(a))
    reach = t_quantile(len(a) - 1, 1 - 0.05 / together) * spread / float(b.mean())
    return ratio, ratio - reach, ratio + reach


def words(found: Triple, digits: int = 2) -> str:
    """Return "0.32 (0.30 to 0.34)"."""
    value, low, high = (f"{number:.{digits}f}" for number in found)
    return f"{value} ({low} to {high})"


class Measured(Protocol):
    """Something that was measured of a network at a level of noise."""

    @property
    def network(self) -> str:
        """Name of the plug-in."""

    @property
    def sigma(self) -> float:
        """The level."""


def by_network(known: Sequence[tuple[Measured, Triple]]) -> str:
    """Return numbers in words, network by network; levels that several share are named once."""
    groups: dict[tuple[float, ...], list[str]] = {}
    for name in dict.fromkeys(one.network for one, _ in known):
        here = [(one.sigma, interval) for one, interval in known if one.network == name]
        told = f"{printed(name)} {', '.join(words(interval) for _, interval in here)}"
        groups.setdefault(tuple(sigma for sigma, _ in here), []).append(told)
    return "; ".join(
        f"at σ {', '.join(f'{sigma:.3g}' for sigma in sigmas)}: {'; '.join(told)}"
        for sigmas, told in groups.items()
    )


def at_levels(known: Sequence[tuple[Measured, Triple]]) -> str:
    """Return the numbers of one network, or of one pair, in words."""
    sigmas = ", ".join(f"{one.sigma:.3g}" for one, _ in known)
    return f"{', '.join(words(interval) for _, interval in known)} at σ {sigmas}"
