"""From noise to images: one function per sampler, all with the same first four arguments.

A sampler gets the state at level grid[0] and visits the descending levels of the grid, one
network call between neighbours. It yields the state before the first call and after each one; the
last estimate belongs to level 0 and is the sample.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from bench.api import BenchError, Estimate, Kind, Noise, register
from models.diffusion import Diffusion
from models.process import noisy_from_state, posterior, to_image

Sampler = Callable[..., Iterator[Estimate]]


def respaced(start: float, count: int) -> list[float]:
    """Return `count` + 1 levels from `start` down to 0, evenly spaced; inner ones are whole.

    Rounding is downwards, which gives the authors' step grid.

    Raises:
        BenchError: If there are not so many whole levels.
    """
    most = max(1, math.floor(start))
    if not 1 <= count <= most or start <= 0:
        raise BenchError(
            f"{count} sampling steps from level {start:g} asked for, expected 1 to {most}; "
            "lower the number of steps"
        )
    inner = (math.floor(start * (count - n) / count + 1e-9) for n in range(1, count))
    return [float(start), *map(float, inner), 0.0]


def strided(start: float, stride: int = 1) -> list[float]:
    """Return the levels from `start` down to 0 in steps of `stride`; all but `start` are whole.

    Raises:
        BenchError: If the stride is not positive.
    """
    if stride < 1:
        raise BenchError(f"stride is {stride}, expected 1 or more")
    if start == 0:
        return [0.0]
    return [float(start), *map(float, range(math.ceil(start) - stride, 0, -stride)), 0.0]


def _first(x: Tensor, t: float, alpha_bar: float) -> Estimate:
    noisy = noisy_from_state(x, alpha_bar)
    return Estimate(0, t, noisy, noisy)


def _shares(diffusion: Diffusion, grid: Sequence[float]) -> list[float]:
    return [float(share) for share in diffusion.schedule.alpha_bar(grid)]


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
        grid: Descending levels; see `respaced` and `strided`.
        noise: Draws the noise of each image.
        clip: Whether the predicted x0 is held within [-1, 1].
        std: Constant standard deviation of a step in place of the posterior's; the paper's code
            restores images with 0.005. The last step stays without noise.
    """
    shares = _shares(diffusion, grid)
    yield _first(x, grid[0], shares[0])
    pairs = zip(pairwise(grid), pairwise(shares), strict=True)
    for call, ((t, s), (left_t, left_s)) in enumerate(pairs, start=1):
        x0 = diffusion.predict(x, t, clip=clip).x0
        x, variance = posterior(x0, x, left_t, left_s)
        if s > 0:
            x = x + (variance**0.5 if std is None else std) * noise(x)
        yield Estimate(call, s, noisy_from_state(x, left_s), to_image(x0))


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
        grid: Descending levels; see `respaced` and `strided`.
        noise: Draws the noise of each image; unused for eta = 0.
        clip: Whether the predicted x0 is held within [-1, 1].
        eta: 0 is deterministic, 1 has the variance of `ddpm`.
    """
    shares = _shares(diffusion, grid)
    yield _first(x, grid[0], shares[0])
    pairs = zip(pairwise(grid), pairwise(shares), strict=True)
    for call, ((t, s), (left_t, left_s)) in enumerate(pairs, start=1):
        x0, eps = diffusion.predict(x, t, clip=clip)
        std = eta * math.sqrt((1 - left_s) / (1 - left_t) * (1 - left_t / left_s))
        along = math.sqrt(max(1 - left_s - std**2, 0.0))
        x = math.sqrt(left_s) * x0 + along * eps
        if std > 0:
            x = x + std * noise(x)
        yield Estimate(call, s, noisy_from_state(x, left_s), to_image(x0))
