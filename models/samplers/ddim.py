"""Implicit sampling: the same marginals with as little noise as one likes."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.api import BenchError, Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.samplers.walk import beginning, steps_of


@register(Kind.SAMPLER, "ddim", source="Song et al. 2021 (DDIM), equations 12 and 16")
@torch.no_grad()
def ddim(
    diffusion: Diffusion,
    x: Tensor,
    grid: Sequence[float],
    noise: Noise,
    *,
    clip: bool = True,
    eta: float = 0.0,
) -> Iterator[Estimate]:
    """Sample implicitly: go to level s along the predicted noise.

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Draws the noise of each image; unused for eta = 0.
        clip: Whether the predicted x0 is held within [-1, 1].
        eta: 0 is deterministic, 1 has the variance of `ddpm`.

    Raises:
        BenchError: If eta is not within 0 and 1.
    """
    if not 0 <= eta <= 1:
        raise BenchError(f"sampler ddim: eta is {eta:g}, expected 0 (deterministic) to 1 (as ddpm)")
    yield beginning(diffusion, x, grid[0])
    for calls, step in enumerate(steps_of(diffusion, grid), start=1):
        x0, eps = diffusion.predict(x, step.t, clip=clip)
        std = eta * math.sqrt(
            (1 - step.left_s) / (1 - step.left_t) * (1 - step.left_t / step.left_s)
        )
        along = math.sqrt(max(1 - step.left_s - std**2, 0.0))
        x = math.sqrt(step.left_s) * x0 + along * eps
        if std > 0:
            x = x + std * noise(x)
        yield step.estimate(calls, x, x0)
