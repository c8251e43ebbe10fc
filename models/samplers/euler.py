"""The probability-flow ODE by Euler's method."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.api import Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.samplers.walk import beginning, steps_of


@register(
    Kind.SAMPLER,
    "euler",
    source="Song et al. 2021 (score SDE), equation 13, by Euler's method",
)
@torch.no_grad()
def euler(
    diffusion: Diffusion,
    x: Tensor,
    grid: Sequence[float],
    noise: Noise,
    *,
    clip: bool = True,
) -> Iterator[Estimate]:
    """Follow the probability-flow ODE of the variance-preserving process, one call per step.

    In the process' own time tau = -log(alpha_bar), in which its noise has rate 1, the ODE is
    dx/dtau = -(x + score) / 2, whatever the schedule.

    Euler's method in the variables of Karras et al. 2022, equation 4 with s = 1 - x divided by
    sqrt(alpha_bar), and sigma for time - is another sampler, and exists: it is `ddim`.

    Differs: the last step, to level 0, goes to the predicted image, as it does in sigma. In tau
    the field grows as 1 / sqrt(tau), and Euler's step would leave half of the noise.

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Unused.
        clip: Whether the predicted x0 is held within [-1, 1].
    """
    yield beginning(diffusion, x, grid[0])
    for calls, step in enumerate(steps_of(diffusion, grid), start=1):
        x0, eps = diffusion.predict(x, step.t, clip=clip)
        if step.is_last:
            x = x0
        else:
            elapsed = math.log(step.left_s / step.left_t)
            x = x + elapsed / 2 * (x + step.score(eps))
        yield step.estimate(calls, x, x0)
