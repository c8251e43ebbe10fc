"""Ancestral sampling."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.api import BenchError, Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.process import posterior
from models.samplers.walk import beginning, steps_of

VARIANCES = ("posterior", "beta")


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
    variance: str = "posterior",
    std: float | None = None,
) -> Iterator[Estimate]:
    """Sample ancestrally: draw x_s from q(x_s | x_t, predicted x0).

    Args:
        diffusion: The model.
        x: States [B,C,H,W] at level grid[0], on the [-1, 1] scale.
        grid: Descending levels.
        noise: Draws the noise of each image.
        clip: Whether the predicted x0 is held within [-1, 1].
        variance: Of a step's noise: "posterior", right where the data is a single image, or
            "beta", right where it is white noise (Ho et al. 2020, section 3.2). Of a step that
            leaps, beta is 1 - alpha_bar_t / alpha_bar_s.
        std: Constant standard deviation of a step in place of either; the paper's code restores
            images with 0.005. The last step stays without noise.

    Raises:
        BenchError: If there is no such variance, or a negative deviation.
    """
    if variance not in VARIANCES:
        raise BenchError(
            f"sampler ddpm: no variance named '{variance}'; expected {' or '.join(VARIANCES)}"
        )
    if std is not None and std < 0:
        raise BenchError(f"sampler ddpm: std is {std:g}, expected 0 or more")
    yield beginning(diffusion, x, grid[0])
    for calls, step in enumerate(steps_of(diffusion, grid), start=1):
        x0 = diffusion.predict(x, step.t, clip=clip).x0
        x, square = posterior(x0, x, step.left_t, step.left_s)
        if variance == "beta":
            square = 1 - step.left_t / step.left_s
        if not step.is_last:
            x = x + (square**0.5 if std is None else std) * noise(x)
        yield step.estimate(calls, x, x0)
