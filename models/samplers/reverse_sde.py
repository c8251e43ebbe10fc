"""The reverse SDE by the method of Euler and Maruyama."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.api import Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.samplers.walk import beginning, steps_of


@register(
    Kind.SAMPLER,
    "reverse-sde",
    source="Song et al. 2021 (score SDE), equation 6, by the method of Euler and Maruyama",
)
@torch.no_grad()
def reverse_sde(
    diffusion: Diffusion,
    x: Tensor,
    grid: Sequence[float],
    noise: Noise,
    *,
    clip: bool = True,
) -> Iterator[Estimate]:
    """Follow the variance-preserving process back in time.

    In its own time tau = -log(alpha_bar) the SDE is dx = -(x / 2 + score) dtau + dw.

    Differs: a step lasts beta = 1 - alpha_bar_t / alpha_bar_s, as in the chain that the process is
    the limit of (their equation 10), in place of its logarithm. Both agree to first order; but
    schedules end with steps of tau = 7, after which the plain method has variance 13, while beta
    is never above 1 - alpha_bar_t, and such a step never overshoots.
    Differs: the last step, to level 0, goes to the predicted image and adds no noise
    (Jolicoeur-Martineau et al. 2021, the expected denoised sample).

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Draws the noise of each image.
        clip: Whether the predicted x0 is held within [-1, 1].
    """
    yield beginning(diffusion, x, grid[0])
    for calls, step in enumerate(steps_of(diffusion, grid), start=1):
        x0, eps = diffusion.predict(x, step.t, clip=clip)
        if step.is_last:
            x = x0
        else:
            beta = 1 - step.left_t / step.left_s
            x = x + beta * (x / 2 + step.score(eps)) + math.sqrt(beta) * noise(x)
        yield step.estimate(calls, x, x0)
