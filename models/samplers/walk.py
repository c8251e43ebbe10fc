"""What all samplers share: the steps of a grid, and the estimates that they yield."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from bench.api import Estimate
from models.diffusion import Diffusion
from models.process import noisy_from_state, to_image

Sampler = Callable[..., Iterator[Estimate]]


@dataclass(frozen=True, slots=True)
class Step:
    """From level t down to level s."""

    t: float
    s: float
    left_t: float
    """alpha_bar at level t."""
    left_s: float

    @property
    def sigma_t(self) -> float:
        """Noise of x_t / sqrt(alpha_bar_t), on the [-1, 1] scale: the sigma of Karras et al."""
        return math.sqrt(1 / self.left_t - 1)

    @property
    def sigma_s(self) -> float:
        """The same at level s."""
        return math.sqrt(1 / self.left_s - 1)

    @property
    def is_last(self) -> bool:
        """Whether it ends at the image."""
        return self.s == 0

    def score(self, eps: Tensor) -> Tensor:
        """Return the gradient of the log-density at level t of the states with that noise."""
        return eps * (-1 / math.sqrt(1 - self.left_t))

    def estimate(self, calls: int, x: Tensor, x0: Tensor) -> Estimate:
        """Return the estimate after this step: state x at level s, predicted image x0."""
        return Estimate(calls, self.s, noisy_from_state(x, self.left_s), to_image(x0))


def steps_of(diffusion: Diffusion, grid: Sequence[float]) -> list[Step]:
    """Return the steps between neighbours of a grid of descending levels."""
    shares = [float(share) for share in diffusion.schedule.alpha_bar(grid)]
    pairs = zip(pairwise(grid), pairwise(shares), strict=True)
    return [Step(t, s, left_t, left_s) for (t, s), (left_t, left_s) in pairs]


def beginning(diffusion: Diffusion, x: Tensor, t: float) -> Estimate:
    """Return the estimate before any network call: the noisy image."""
    noisy = noisy_from_state(x, float(diffusion.schedule.alpha_bar(t)))
    return Estimate(0, t, noisy, noisy)
