"""The perfect network of `models.theory.mixture` for the data set `gaussian`, with moments."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.data.gaussian import GaussianMixture, Mixture
from models.process import to_state
from models.theory import mixture
from models.theory.slopes import order as order

T_END = mixture.T_END
Linear = mixture.Continuous
endpoint = mixture.last_state


class Exact(mixture.Exact):
    """Knows the moments of its states, too."""

    def moments(self, t: float) -> tuple[Tensor, Tensor]:
        """Return mean [D] and covariance [D,D] of the states at level t."""
        centres = math.sqrt(float(self.schedule.alpha_bar(t))) * self.means.flatten(1)
        mean = self.weights @ centres
        away = centres - mean
        own = self.deviation(t) ** 2 * torch.eye(len(mean), dtype=torch.float64)
        return mean, (away.T * self.weights) @ away + own

    def endpoint(self, x: Tensor, steps: int = 2000) -> Tensor:
        """Return where the probability-flow ODE leads x, from level 1 to T_END."""
        return self.flow(x, 1.0, T_END, steps)


def oracle(mixture: Mixture, pixels: int | None = None) -> Exact:
    """Return the oracle of a mixture of images in [0, 1], or of its first rows and columns.

    Part of the pixels of a Gaussian mixture are a Gaussian mixture.
    """
    means = to_state(torch.from_numpy(mixture.means))[:, :, :pixels, :pixels]
    return Exact(torch.from_numpy(mixture.weights), means, 4 * mixture.variance)


def gaussian(pixels: int | None = None) -> Exact:
    """Return the oracle of the data set `gaussian` at 8x8."""
    return oracle(GaussianMixture(image_size=8).mixture(), pixels)


def even_grid(steps: int, end: float = T_END) -> list[float]:
    """Return levels from 1 to `end` that are evenly spaced in the log signal-to-noise ratio."""
    return Linear().even_grid(steps, end)


def silent(like: Tensor) -> Tensor:
    raise AssertionError("this sampler needs no noise")


def seeded(seed: int) -> Callable[[Tensor], Tensor]:
    """Return a source of noise."""
    rng = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=rng, dtype=like.dtype)
