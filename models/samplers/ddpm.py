"""Ancestral sampling."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.api import Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.process import posterior
from models.samplers.walk import beginning, steps_of


@register(
    Kind.SAMPLER,
    "ddpm",
    source="Ho et al. 2020, algorithm 2; respaced as in Nichol and Dhariwal 2021, section 4",
)
@torch.no_grad()
def ddpm(
    diffusion: Diffusion,
    x: Tensor,
    grid: Sequence[float],
    noise: Noise,
    *,
    clip: bool = True,
    std: float | None = None,
) -> Iterator[Estimate]:
    """Sample ancestrally: draw x_s from q(x_s | x_t, predicted x0).

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Draws the noise of each image.
        clip: Whether the predicted x0 is held within [-1, 1].
        std: Constant standard deviation of a step in place of the posterior's; the paper's code
            restores images with 0.005. The last step stays without noise.
    """
    yield beginning(diffusion, x, grid[0])
    for calls, step in enumerate(steps_of(diffusion, grid), start=1):
        x0 = diffusion.predict(x, step.t, clip=clip).x0
        x, variance = posterior(x0, x, step.left_t, step.left_s)
        if not step.is_last:
            x = x + (variance**0.5 if std is None else std) * noise(x)
        yield step.estimate(calls, x, x0)
