"""Samplers converge as their theory says, on the data set whose score is known exactly."""

import math
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import registry
from bench.data.gaussian import GaussianMixture
from models.process import q_sample, to_image
from models.samplers.walk import Sampler

sys.path.insert(0, str(Path(__file__).parent))
from sampler_oracle import (
    T_END,
    Exact,
    Linear,
    endpoint,
    even_grid,
    gaussian,
    oracle,
    order,
    seeded,
    silent,
)

COUNTS = (40, 80, 160, 320, 640)
DETERMINISTIC = {"euler": 1, "ddim": 1, "heun": 2, "dpmpp-2m": 2}
STOCHASTIC = ("ddpm", "ddpm+variance=beta", "ddim+eta=1", "ddim+eta=0.5", "reverse-sde")


def run(name: str, exact: Exact, x: Tensor, steps: int, noise: object = silent) -> Tensor:
    estimates = registry.sampler(name)(exact, x, even_grid(steps), noise, clip=False)
    return endpoint(estimates, exact.schedule)


# ------------------------------------------------------------- the probability-flow ODE


@pytest.fixture(scope="module")
def starts() -> tuple[Exact, Tensor, Tensor, Tensor]:
    """Return the oracle, shared states at level 1, where they lead, and which are inland."""
    exact = gaussian()
    x = exact.draw(128, 1.0, seed=0)
    return exact, x, exact.endpoint(x, 500), exact.inland(x)


@pytest.mark.parametrize(("name", "theory"), DETERMINISTIC.items())
def test_deterministic_samplers_converge_with_their_order(
    starts: tuple[Exact, Tensor, Tensor, Tensor], name: str, theory: int
) -> None:
    exact, x, leads, inland = starts
    assert 40 < int(inland.sum())
    wrong = [run(name, exact, x[inland], steps) - leads[inland] for steps in COUNTS]
    errors = [float(e.square().mean().sqrt()) for e in wrong]
    assert order(COUNTS, errors) == pytest.approx(theory, abs=0.2)
    assert order(COUNTS[-2:], errors[-2:]) == pytest.approx(theory, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "theory"), DETERMINISTIC.items())
def test_from_most_states_they_do_so_wherever_these_lie(
    starts: tuple[Exact, Tensor, Tensor, Tensor], name: str, theory: int
) -> None:
    # Watersheds included: the root of the mean square of all would be that of the few that end in
    # another component, with an error of 0.3 whatever the number of steps.
    exact, x, leads, _ = starts
    wrong = [(run(name, exact, x, steps) - leads).flatten(1) for steps in COUNTS]
    errors = [float(e.norm(dim=1).median()) for e in wrong]
    assert order(COUNTS, errors) == pytest.approx(theory, abs=0.2)


def test_the_reference_is_exact() -> None:
    exact = gaussian(2)
    x = exact.draw(16, 1.0, seed=1)
    assert float((exact.endpoint(x, 500) - exact.endpoint(x, 1000)).abs().max()) < 1e-8
    # One Gaussian, whose flow is known: (x - mean_t) / deviation_t does not change.
    alone = oracle(GaussianMixture(image_size=8, components=1).mixture(), 2)
    first, last = (alone.moments(t)[0].view(1, 2, 2) for t in (1.0, T_END))
    expected = last + (x - first) / alone.deviation(1.0) * alone.deviation(T_END)
    torch.testing.assert_close(alone.endpoint(x, 500), expected, atol=1e-8, rtol=0)


def test_eulers_method_in_sigma_is_ddim() -> None:
    # Karras et al. 2022, equation 4 with s = 1: dy/dsigma = (y - x0) / sigma.
    exact, grid = gaussian(3), [1.0, 0.7, 0.45, 0.3, 0.1, 0.0]
    x = exact.draw(4, 1.0, seed=2)
    left = exact.schedule.alpha_bar(grid)
    sigma = (1 / left - 1) ** 0.5
    y = x / math.sqrt(left[0])
    found = registry.sampler("ddim")(exact, x, grid, silent, clip=False)
    next(found)
    for n, estimate in enumerate(found):
        x0 = exact.predict(y * math.sqrt(left[n]), grid[n], clip=False).x0
        y = y + (sigma[n + 1] - sigma[n]) * (y - x0) / sigma[n]
        torch.testing.assert_close(estimate.current, to_image(y), atol=1e-9, rtol=1e-9)


def test_heun_is_the_published_algorithm() -> None:
    exact, grid = gaussian(3), [0.9, 0.5, 0.2, 0.0]
    x = exact.draw(4, 0.9, seed=3)
    left = exact.schedule.alpha_bar(grid)
    sigma = (1 / left - 1) ** 0.5

    def slope(y: Tensor, n: int) -> Tensor:
        x0 = exact.predict(y * math.sqrt(left[n]), grid[n], clip=False).x0
        return (y - x0) / sigma[n]

    y = x / math.sqrt(left[0])
    found = registry.sampler("heun")(exact, x, grid, silent, clip=False)
    next(found)
    for n, estimate in enumerate(found):
        d = slope(y, n)
        there = y + (sigma[n + 1] - sigma[n]) * d
        if sigma[n + 1] > 0:
            there = y + (sigma[n + 1] - sigma[n]) * (d + slope(there, n + 1)) / 2
        y = there
        torch.testing.assert_close(estimate.current, to_image(y), atol=1e-9, rtol=1e-9)


# ----------------------------------------------------------------------- with noise


def exact_moments(name: str, exact: Exact, steps: int) -> tuple[float, float]:
    """Return mean and variance of what a sampler makes of one pixel of a single Gaussian.

    There every step is linear. So a state that starts at 0 without noise tells the mean; one that
    starts at 1, and one for each draw of noise that gets it as a 1, tell what variances add.
    """
    x = torch.zeros(steps + 2, 1, 1, 1, dtype=torch.float64)
    x[-1] = 1
    draw = count()

    def impulse(like: Tensor) -> Tensor:
        out = torch.zeros_like(like)
        out[next(draw)] = 1
        return out

    ends = run(name, exact, x, steps, impulse).flatten()
    assert next(draw) == steps
    gains = ends - ends[-2]
    mean, variance = exact.moments(1.0)
    spread = gains[-1] ** 2 * variance.item() + gains[:-1].square().sum()
    return float(ends[-2] + gains[-1] * mean.item()), float(spread)


def biases(name: str, variance: float) -> np.ndarray:
    """Return [4,2]: by number of steps, the bias of mean and variance on one Gaussian."""
    mean = torch.full((1, 1, 1, 1), 0.37, dtype=torch.float64)
    exact = Exact(torch.ones(1, dtype=torch.float64), mean, variance)
    true = [float(moment) for moment in exact.moments(T_END)]
    return np.array([exact_moments(name, exact, steps) for steps in COUNTS[:4]]) - true


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("variance", [0.01, 0.16, 1.0])
def test_the_bias_of_stochastic_samplers_is_of_weak_order_1(name: str, variance: float) -> None:
    found = np.abs(biases(name, variance))
    for moment in found.T:
        if moment[0] > 1e-9:  # some are without any, see below
            assert order(COUNTS[:4], moment) == pytest.approx(1, abs=0.1)
    assert (found[-1] < 0.04 * variance).all()


def test_each_variance_of_ddpm_is_exact_for_the_data_it_is_meant_for() -> None:
    # Ho et al. 2020, section 3.2: beta for white noise, the posterior's for a single image.
    assert np.abs(biases("ddpm+variance=beta", 1.0)[:, 1]).max() < 1e-12
    assert np.abs(biases("ddpm", 0.0)[:, 1]).max() < 1e-12
    assert np.abs(biases("ddpm", 1.0)[:, 1]).min() > 1e-3
    for name in ("ddpm", "ddpm+variance=beta", "ddim+eta=0.5"):
        assert np.abs(biases(name, 0.16)[:, 0]).max() < 1e-12  # any of them carries the mean


@pytest.mark.slow
@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_samplers_draw_from_the_mixture(name: str) -> None:
    # 3 standard errors of 4,096 samples, and the bias of so many steps: 400,000 samples show at
    # most 0.55 / steps in a mean and 0.41 / steps in a covariance.
    exact, samples = gaussian(2), 4096
    mean, covariance = exact.moments(T_END)
    for steps in COUNTS[:3]:
        x = exact.draw(samples, 1.0, seed=steps)
        found = run(name, exact, x, steps, seeded(steps + 1)).flatten(1)
        away = found - found.mean(0)
        products = (away[:, :, None] * away[:, None, :]).flatten(1)
        error = 3 * found.std(0) / math.sqrt(samples)
        assert ((found.mean(0) - mean).abs() < error + 0.6 / steps).all(), steps
        error = 3 * products.std(0) / math.sqrt(samples)
        wrong = products.mean(0) - covariance.flatten()
        assert (wrong.abs() < error + 0.45 / steps).all(), steps


def test_the_reverse_sde_is_stable_where_a_step_is_long() -> None:
    # In the time tau = -log(alpha_bar) this step lasts 14. Where all is noise it should stay a
    # standard normal; the plain method of Euler and Maruyama would make its variance 50.
    exact = gaussian(1)

    class Steep(Linear):
        def alpha_bar(self, t: object) -> object:
            return super().alpha_bar(t) ** 2

    steep = Exact(exact.weights, exact.means, exact.variance, Steep())
    x = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)[:, None, None, None]

    def third_alone(like: Tensor) -> Tensor:
        return torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)[:, None, None, None]

    found = registry.sampler("reverse-sde")(steep, x, [1.0, 0.55], third_alone, clip=False)
    base, from_x, from_noise = endpoint(found, steep.schedule).flatten()
    assert float((from_x - base) ** 2 + (from_noise - base) ** 2) == pytest.approx(1.25, abs=0.02)


def test_both_variances_of_ddpm_are_those_of_the_paper() -> None:
    # Ho et al. 2020, section 3.2, for a step that leaps: the noise is what two equal states differ
    # by after one of them got a draw.
    exact, grid = gaussian(1), [0.6, 0.4]
    left_t, left_s = exact.schedule.alpha_bar(grid)
    x = q_sample(torch.zeros(2, 1, 1, 1, dtype=torch.float64), torch.ones(1), left_t)

    def first_alone(like: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None, None, None]

    beta = 1 - left_t / left_s
    expected = {"beta": beta, "posterior": beta * (1 - left_s) / (1 - left_t)}
    for variance, square in expected.items():
        sample = registry.sampler(f"ddpm+variance={variance}")
        one, other = endpoint(
            sample(exact, x, grid, first_alone, clip=False), exact.schedule
        ).flatten()
        assert float(one - other) ** 2 == pytest.approx(square)


def test_stochastic_is_whatever_is_not_deterministic() -> None:
    def is_noisy(sample: Sampler) -> bool:
        called = []
        exact = gaussian(1)
        x = exact.draw(2, 1.0, seed=0)
        noise = lambda like: called.append(1) or torch.zeros_like(like)  # noqa: E731
        list(sample(exact, x, [1.0, 0.5, 0.0], noise))
        return len(called) == 1

    assert not any(is_noisy(registry.sampler(name)) for name in DETERMINISTIC)
    assert all(is_noisy(registry.sampler(name)) for name in STOCHASTIC)
