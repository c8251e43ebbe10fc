"""The probability-flow ODE by Heun's method."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.api import Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.process import q_sample
from models.samplers.walk import beginning, steps_of


@register(Kind.SAMPLER, "heun", source="Karras et al. 2022, algorithm 1, with sigma(t) = t, s = 1")
@torch.no_grad()
def heun(
    diffusion: Diffusion,
    x: Tensor,
    grid: Sequence[float],
    noise: Noise,
    *,
    clip: bool = True,
) -> Iterator[Estimate]:
    """Follow the probability-flow ODE to second order: two calls per step, one in the last.

    Of y = x / sqrt(alpha_bar) at noise sigma the ODE is dy/dsigma = eps. The first slope leads to
    where `ddim` would go; the mean of the slopes here and there is the step.

    The mean is worth its calls where sigma falls by a factor of a few. Schedules that end in nearly
    no image (cosine, sigmoid) reach sigmas of thousands; there few steps, evenly spaced in levels
    or in their square roots, begin with one that divides sigma by hundreds and overshoots. Use the
    grid `log-snr`.

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Unused.
        clip: Whether the predicted x0 is held within [-1, 1].
    """
    yield beginning(diffusion, x, grid[0])
    calls = 0
    for step in steps_of(diffusion, grid):
        x0, eps = diffusion.predict(x, step.t, clip=clip)
        calls += 1
        x = q_sample(x0, eps, step.left_s)
        if not step.is_last:
            x0, there = diffusion.predict(x, step.s, clip=clip)
            calls += 1
            # Written as a correction: at sigma = 1,000 a sum of large terms would lose digits.
            half = step.left_s**0.5 * (step.sigma_s - step.sigma_t) / 2
            x = x + half * (there - eps)
        yield step.estimate(calls, x, x0)
