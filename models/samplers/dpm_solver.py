"""The probability-flow ODE by a multistep method that solves its linear part exactly."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.api import Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.samplers.walk import beginning, steps_of


@register(
    Kind.SAMPLER,
    "dpmpp-2m",
    source="DPM-Solver++(2M): Lu et al. 2022 (DPM-Solver++), algorithm 2",
)
@torch.no_grad()
def dpmpp_2m(
    diffusion: Diffusion,
    x: Tensor,
    grid: Sequence[float],
    noise: Noise,
    *,
    clip: bool = True,
) -> Iterator[Estimate]:
    """Follow the probability-flow ODE to second order with one call per step.

    In lambda = log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)) the predicted image is extrapolated along
    the line through its last two values. The first step has only one value and is of first order.
    So is the last one, to level 0, where lambda is infinite: it goes to the predicted image.

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Unused.
        clip: Whether the predicted x0 is held within [-1, 1]; what is extrapolated may leave it.
    """
    yield beginning(diffusion, x, grid[0])
    before, length_before = None, math.nan
    for calls, step in enumerate(steps_of(diffusion, grid), start=1):
        x0 = diffusion.predict(x, step.t, clip=clip).x0
        target, length = x0, math.inf
        if not step.is_last:
            length = math.log(step.sigma_t / step.sigma_s)
            if before is not None:
                target = x0 + length / (2 * length_before) * (x0 - before)
        kept = math.sqrt((1 - step.left_s) / (1 - step.left_t))
        x = kept * x + (math.sqrt(step.left_s) - kept * math.sqrt(step.left_t)) * target
        before, length_before = x0, length
        yield step.estimate(calls, x, x0)
