"""Equations 16 to 18: perception against distortion, where the optimum is known."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.api import Checked, Claim, Curve, Holds, Kind, register
from models.theory.partial_transport import Line, least_costs

DRAWS = 100_000
"""Times the effort."""
WEIGHTS = (0.35, 0.65)
CENTRES = (-0.6, 0.5)
SPREAD = 0.15
SIGMA = 0.5
"""Noise on what is observed."""
SHARES = tuple(i / 10 for i in range(11))
"""Of the posterior mean in a combination."""
NEAR = 0.03
PANEL = "Perception against distortion, a mixture on the line"
PANEL_VARIATION = "The same with total variation"


@dataclass(frozen=True)
class Point:
    """What an estimator is worth."""

    distortion: float
    """Mean squared error."""
    perception: float
    """Wasserstein-2 distance between the law of the estimates and that of the data."""


@dataclass(frozen=True)
class Problem:
    """Draws x of the data, noisy y = x + sigma n, and three estimates of x."""

    x: Tensor
    """[N]"""
    mean: Tensor
    """The posterior mean, of least mean squared error."""
    sample: Tensor
    """A draw from the posterior."""
    moved: Tensor
    """The posterior mean, carried onto the law of the data by optimal transport."""
    others: Tensor
    """Further draws of the data, sorted: the law that estimates are held against."""

    def point(self, estimate: Tensor) -> Point:
        """Return the distortion and the perception of an estimate [N]."""
        gap = estimate.sort().values - self.others
        return Point(
            float((estimate - self.x).square().mean()), math.sqrt(float(gap.square().mean()))
        )


def problem(count: int, seed: int) -> Problem:
    """Return draws of the problem."""
    rng = torch.Generator().manual_seed(seed)
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    centres = torch.tensor(CENTRES, dtype=torch.float64)

    def normal() -> Tensor:
        return torch.randn(count, generator=rng, dtype=torch.float64)

    def data() -> Tensor:
        # As many of each component every time: else the distance of two samples of one law would
        # be that of their counts, across the gap.
        first = round(WEIGHTS[0] * count)
        which = (torch.randperm(count, generator=rng) >= first).long()
        return centres[which] + SPREAD * normal()

    x, others = data(), data().sort().values
    y = x + SIGMA * normal()
    total = SPREAD**2 + SIGMA**2
    logits = weights.log() - (y[:, None] - centres).square() / (2 * total)
    share = logits.softmax(dim=1)
    means = centres + SPREAD**2 / total * (y[:, None] - centres)
    mean = (share * means).sum(1)
    which = torch.multinomial(share, 1, generator=rng)
    width = SPREAD * SIGMA / math.sqrt(total)
    sample = means.gather(1, which)[:, 0] + width * normal()
    # On the line the optimal transport is the increasing map: rank to rank.
    moved = torch.empty_like(mean)
    moved[mean.argsort()] = data().sort().values
    return Problem(x, mean, sample, moved, others)


def bound(mean: Point, perception: float) -> float:
    """Return the least mean squared error of an estimator with that perception.

    Source: Freirich, Michaeli and Meir 2021, "A theory of the distortion-perception tradeoff in
    Wasserstein space", theorem 3.
    """
    return mean.distortion + max(mean.perception - perception, 0.0) ** 2


@register(
    Kind.CHECK,
    "perception-distortion",
    source="equations 16 to 18; Blau and Michaeli 2018; Freirich et al. 2021",
)
def perception_distortion(effort: int, seed: int) -> Checked:
    """Check that the optimum is convex, and where the estimates of a diffusion lie.

    Args:
        effort: Multiplies the draws.
        seed: Of the draws.
    """
    drawn = problem(DRAWS * effort, seed)
    mean, sample, moved = (drawn.point(e) for e in (drawn.mean, drawn.sample, drawn.moved))
    best = [drawn.point(a * drawn.mean + (1 - a) * drawn.moved) for a in SHARES]
    mixed = [drawn.point(a * drawn.mean + (1 - a) * drawn.sample) for a in SHARES]
    off = max(abs(one.distortion / bound(mean, one.perception) - 1) for one in best)
    above = min(one.distortion - bound(mean, one.perception) for one in mixed[:-1])
    variation = _with_total_variation()
    claims = [
        *(_convex(off, best), _not_reached(mean, sample, moved), _upper(above, mean)),
        *variation.claims,
    ]
    axes = {
        "x_axis": "mean squared error",
        "y_axis": "Wasserstein-2 distance to the data's law",
        "logarithmic": "",
    }
    levels = [mean.perception * i / 40 for i in range(41)]
    curves = [
        Curve(PANEL, "mean to transported mean", *_axes(best), **axes),
        Curve(PANEL, "mean to posterior sample", *_axes(mixed), **axes),
        Curve(PANEL, "optimum", [bound(mean, p) for p in levels], levels, reference=True, **axes),
    ]
    return Checked(claims, [*curves, *variation.curves])


def _axes(points: list[Point]) -> tuple[list[float], list[float]]:
    return [one.distortion for one in points], [one.perception for one in points]


def _convex(off: float, best: list[Point]) -> Claim:
    d, p = (torch.tensor(values, dtype=torch.float64) for values in _axes(best))
    slopes = (d[1:] - d[:-1]) / (p[1:] - p[:-1])
    convex = bool((slopes[1:] >= slopes[:-1] - 1e-3).all())
    return Claim(
        "Equations 16 to 18",
        "The perception-distortion function, here of squared error and Wasserstein-2, is convex "
        "and does not rise.",
        Holds.YES if convex and off < NEAR else Holds.NO,
        "The optimum is D* + (P* - P)^2; combinations of the posterior mean and its optimal "
        f"transport onto the data are within {100 * off:.1f} % of it.",
        {"largest distance from the optimum, relative": off},
    )


def _not_reached(mean: Point, sample: Point, moved: Point) -> Claim:
    factor, least = sample.distortion / mean.distortion, moved.distortion / mean.distortion
    return Claim(
        "Equation 17, for the reverse process",
        "A sample of the posterior, where the reverse process ends, lies on the function.",
        Holds.NO if sample.distortion > 1.05 * moved.distortion else Holds.YES,
        f"Its squared error is {factor:.2f} times that of the posterior mean; the mean carried "
        f"onto the data by optimal transport has the same perception at {least:.2f} times.",
        {"sample over mean": factor, "transported mean over mean": least},
    )


def _upper(above: float, mean: Point) -> Claim:
    holds = above > -NEAR * mean.distortion
    return Claim(
        "Equations 16 to 18, combinations",
        "Combinations of posterior mean and sample are upper bounds of the function.",
        Holds.YES if holds else Holds.NO,
        f"The nearest of those with a part of the sample is {above / mean.distortion:+.3f} of the "
        "least squared error above the optimum.",
        {"least distance above the optimum, relative": above / mean.distortion},
    )


def _with_total_variation() -> Checked:
    """Check the function of squared error and total variation, which needs no draws."""
    line = Line(WEIGHTS, CENTRES, SPREAD, SIGMA)
    least, apart = line.least_error(), line.total_variation()
    costs = least_costs(*line.atoms())
    n = len(costs) - 1
    costs /= n
    bend, at_mean = float(np.diff(costs, 2).min()), float(np.interp(1 - apart, _shares(n), costs))
    convex = bend > -NEAR * costs[n] / n and at_mean < NEAR * costs[n]
    claim = Claim(
        "Equations 16 to 18, total variation",
        "With total variation in place of Wasserstein-2 the function is convex and does not rise.",
        Holds.YES if convex else Holds.NO,
        f"It falls from {1 + costs[n] / least:.3f} times the least squared error, at none, to that "
        f"error itself at {apart:.3f}, the total variation of the posterior mean; its least bend "
        f"is {bend / costs[n]:.1g} of its fall. A posterior sample has 2 times the least error.",
        {
            "total variation of the posterior mean": apart,
            "least squared error": least,
            "squared error without variation, over the least": 1 + costs[n] / least,
            "least second difference, share of the fall": bend / costs[n],
        },
    )
    axes = {
        "x_axis": "mean squared error",
        "y_axis": "total variation to the data's law",
        "logarithmic": "",
    }
    below = [i for i in range(n + 1) if 1 - i / n <= apart]
    x, y = [least + float(costs[i]) for i in below], [1 - i / n for i in below]
    bounds = {"mean or transported mean": costs[n], "mean or posterior sample": least}
    # Choosing between two by chance: the error is the mean of theirs and the variation no more.
    mixed = [
        Curve(
            PANEL_VARIATION,
            f"{name}, by chance",
            [least + (1 - a) * float(more) for a in SHARES],
            [a * apart for a in SHARES],
            **axes,
        )
        for name, more in bounds.items()
    ]
    optimum = Curve(PANEL_VARIATION, "optimum", x, y, reference=True, **axes)
    return Checked([claim], [*mixed, optimum])


def _shares(n: int) -> np.ndarray:
    return np.arange(n + 1) / n
