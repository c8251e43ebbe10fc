"""Samplers on a Gaussian data distribution, whose posterior mean is known exactly."""

import math

import pytest
import torch
from torch import Tensor, nn

from models.diffusion import Diffusion, Recipe
from models.process import posterior, to_image
from models.samplers.ddim import ddim
from models.samplers.ddpm import ddpm
from models.samplers.grid import respaced, strided
from models.schedule import schedule

MEAN, STD = 0.2, 0.4
SHAPE = (1, 1, 2, 2)


class Exact(nn.Module):
    """E[x0 | x_t] for x0 ~ N(MEAN, STD^2) on the [-1, 1] scale."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.schedule = schedule(name)

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        left = float(self.schedule.alpha_bar(float(step[0]) + 1))
        gain = math.sqrt(left) * STD**2 / (left * STD**2 + 1 - left)
        return MEAN + gain * (x_t - math.sqrt(left) * MEAN)


def exact(name: str = "sigmoid") -> Diffusion:
    return Diffusion(Exact(name), recipe=Recipe("x0", name))


def last(estimates: object) -> Tensor:
    *_, final = estimates
    return final.x0


def normal(count: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 1, 1, generator=rng, dtype=torch.float64)


def spread_of_ddim(steps: int) -> float:
    """DDIM is linear here, so two samples tell the standard deviation of all."""
    x = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None, None, None]
    low, high = last(
        ddim(exact(), x, respaced(1000, steps), torch.zeros_like, clip=False)
    ).flatten()
    return float(high - low)  # 2 states apart, half as far on the [0, 1] scale


def test_ddim_converges_to_the_spread_of_the_data() -> None:
    errors = [abs(spread_of_ddim(steps) - STD) for steps in (10, 100, 1000)]
    # A first-order method: ten times the steps, about a tenth of the error.
    assert errors[1] < errors[0] / 6
    assert errors[2] < errors[1] / 6
    assert errors[2] < 0.005 * STD


def test_ddim_carries_the_mean() -> None:
    x = torch.zeros(SHAPE, dtype=torch.float64)
    found = last(ddim(exact(), x, respaced(1000, 250), torch.zeros_like, clip=False))
    torch.testing.assert_close(found, torch.full_like(x, (MEAN + 1) / 2), atol=2e-3, rtol=0)


def test_ddpm_draws_from_the_data() -> None:
    rng = torch.Generator().manual_seed(3)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=rng, dtype=like.dtype)

    found = last(ddpm(exact(), normal(20_000), respaced(1000, 200), noise, clip=False)) * 2 - 1
    # Standard errors: 0.4 / sqrt(20,000) = 0.003 for the mean, 0.002 for the deviation; the rest
    # is the bias of 200 instead of 1,000 steps.
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.012)
    assert float(found.std()) == pytest.approx(STD, abs=0.012)


def test_one_ddpm_step_is_the_textbook_posterior() -> None:
    # Ho et al. 2020, equations 6 and 7, written with beta and alpha of one step.
    s, t = schedule("linear"), 400
    left, before = s.alpha_bars[t], s.alpha_bars[t - 1]
    beta = 1 - left / before
    x, eps = normal(5), normal(5, seed=1)
    x0 = Exact("linear")(x, torch.tensor([t - 1.0]))
    mean = (
        math.sqrt(before) * beta / (1 - left) * x0
        + math.sqrt(1 - beta) * (1 - before) / (1 - left) * x
    )
    expected = mean + math.sqrt((1 - before) / (1 - left) * beta) * eps
    steps = ddpm(exact("linear"), x, strided(t), lambda like: eps, clip=False)
    next(steps)
    found = next(steps)
    assert (found.calls, found.t) == (1, t - 1)
    torch.testing.assert_close(found.current, to_image(expected / math.sqrt(before)))
    torch.testing.assert_close(found.x0, to_image(x0))


@pytest.mark.parametrize("grid", [strided(1000), respaced(1000, 40), strided(123.4, 10)])
def test_ddim_with_eta_1_is_ddpm(grid: list[float]) -> None:
    # Equal mean and variance of every step, so equal paths from equal noise.
    x, eps = normal(3), normal(3, seed=2)
    one = ddim(exact(), x, grid, lambda like: eps, clip=False, eta=1.0)
    for ours, theirs in zip(one, ddpm(exact(), x, grid, lambda like: eps, clip=False), strict=True):
        torch.testing.assert_close(ours.current, theirs.current, atol=1e-8, rtol=1e-8)


def test_constant_std_replaces_the_posteriors() -> None:
    x, eps = normal(2), normal(2, seed=4)
    steps = ddpm(exact(), x, [100.0, 50.0, 0.0], lambda like: eps, clip=False, std=0.005)
    next(steps)
    s = schedule("sigmoid")
    x0 = Exact("sigmoid")(x, torch.tensor([99.0]))
    mean = posterior(x0, x, s.alpha_bars[100], s.alpha_bars[50]).mean
    expected = to_image((mean + 0.005 * eps) / math.sqrt(s.alpha_bars[50]))
    torch.testing.assert_close(next(steps).current, expected)
