"""Optimal transport of a share of the mass, on the line: what total variation asks for.

A law whose total variation to the data's is at most delta has all but delta of its mass in common
with it. So an estimator that starts from the posterior mean moves a share 1 - delta of the mass
onto the data, and leaves the rest where it is, which costs nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

ATOMS = 120
"""Quantiles that stand for a law."""
GRID = 40_001
"""Points of a density's support that its integrals are taken over."""
BINS = 2_000
"""Of the support, in which masses are compared for the total variation."""


def least_costs(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return [n+1]: the least sum of squared distances of k disjoint pairs, for k = 0..n.

    On the line the pairs of a cheapest choice do not cross, so a table over prefixes knows all.

    Args:
        ours: [n] positions, sorted.
        theirs: [n] positions, sorted.
    """
    n = len(ours)
    costs = (ours[:, None] - theirs) ** 2
    above = np.full((n + 1, n + 1), np.inf)  # [j, k] for the row of i - 1
    above[:, 0] = 0.0
    for i in range(n):
        row = np.full_like(above, np.inf)
        row[:, 0] = 0.0
        for j in range(n):
            row[j + 1] = np.minimum(above[j + 1], row[j])
            row[j + 1, 1:] = np.minimum(row[j + 1, 1:], above[j, :-1] + costs[i, j])
        above = row
    return above[n]


@dataclass(frozen=True)
class Line:
    """The law of clean x, a mixture of two Gaussians of one width, and of noisy y = x + sigma n."""

    weights: Sequence[float]
    centres: Sequence[float]
    spread: float
    sigma: float

    @property
    def support(self) -> np.ndarray:
        """[GRID] points that hold all of y but 1e-14."""
        reach = 8 * math.hypot(self.spread, self.sigma)
        return np.linspace(min(self.centres) - reach, max(self.centres) + reach, GRID)

    def cumulated(self, at: np.ndarray, width: float) -> np.ndarray:
        """Return P(value <= at) where each component has that width."""
        return sum(
            weight * _normal_below((at - centre) / width)
            for weight, centre in zip(self.weights, self.centres, strict=True)
        )

    def mean(self, y: np.ndarray) -> np.ndarray:
        """Return the posterior mean E[x | y], which rises with y."""
        total = self.spread**2 + self.sigma**2
        logits = np.stack(
            [
                math.log(weight) - (y - centre) ** 2 / (2 * total)
                for weight, centre in zip(self.weights, self.centres, strict=True)
            ]
        )
        share = np.exp(logits - logits.max(0))
        share /= share.sum(0)
        means = (centre + self.spread**2 / total * (y - centre) for centre in self.centres)
        return sum(one * mean for one, mean in zip(share, means, strict=True))

    def least_error(self) -> float:
        """Return D* = E x^2 - E m(y)^2, the mean squared error of the posterior mean."""
        y, width = self.support, math.hypot(self.spread, self.sigma)
        mass = np.diff(self.cumulated(y, width))
        second = sum(
            weight * (centre**2 + self.spread**2)
            for weight, centre in zip(self.weights, self.centres, strict=True)
        )
        return float(second - mass @ self.mean((y[1:] + y[:-1]) / 2) ** 2)

    def total_variation(self) -> float:
        """Return that between the laws of the posterior mean and of the data."""
        y, width = self.support, math.hypot(self.spread, self.sigma)
        edges = np.linspace(y[0], y[-1], BINS + 1)
        of_mean = np.interp(edges, self.mean(y), self.cumulated(y, width), left=0.0, right=1.0)
        gaps = np.diff(of_mean) - np.diff(self.cumulated(edges, self.spread))
        return float(np.abs(gaps).sum() / 2)

    def atoms(self, count: int = ATOMS) -> tuple[np.ndarray, np.ndarray]:
        """Return quantiles of the posterior mean and of the data, [count] each."""
        y, width = self.support, math.hypot(self.spread, self.sigma)
        levels = (np.arange(count) + 0.5) / count
        noisy, clean = (np.interp(levels, self.cumulated(y, w), y) for w in (width, self.spread))
        return self.mean(noisy), clean


def _normal_below(z: np.ndarray) -> np.ndarray:
    return torch.special.ndtr(torch.from_numpy(z)).numpy()
