"""Analytic-DPM against Gaussian data, whose every moment is known, and a mixture by quadrature."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.api import BenchError, Kind
from bench.registry import entries, names
from models.diffusion import Diffusion, Recipe
from models.process import to_image, to_state
from models.samplers.analytic import LEVELS, analytic, best_variance, measured_levels
from models.samplers.ddim import ddim
from models.samplers.ddpm import ddpm
from models.samplers.grid import respaced
from models.samplers.walk import steps_of
from models.schedule import schedule

MEAN, STD = 0.2, 0.4
MIXTURE = ((0.3, -0.6, 0.1), (0.7, 0.5, 0.2))  # weight, mean and standard deviation of each part
ONE = ((1.0, MEAN, STD),)
SCHEDULE = "sigmoid"
SCHEDULES = names(Kind.SCHEDULE)


class Exact(nn.Module):
    """E[x0 | x_t] of a mixture on the [-1, 1] scale, for single pixels."""

    def __init__(self, mixture: Sequence[tuple[float, float, float]], name: str) -> None:
        super().__init__()
        self.mixture, self.schedule = mixture, schedule(name)

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        return self.at(x_t, float(self.schedule.alpha_bar(float(step[0]) + 1)))

    def at(self, x: Tensor, left: float) -> Tensor:
        root, logs, means = math.sqrt(left), [], []
        for weight, mean, std in self.mixture:
            spread = left * std**2 + 1 - left
            away = x - root * mean
            logs.append(math.log(weight / math.sqrt(spread)) - away**2 / (2 * spread))
            means.append(mean + root * std**2 / spread * away)
        return (torch.stack(logs).softmax(0) * torch.stack(means)).sum(0)

    def density(self, x: Tensor, left: float) -> Tensor:
        result = torch.zeros_like(x)
        for weight, mean, std in self.mixture:
            spread = left * std**2 + 1 - left
            away = x - math.sqrt(left) * mean
            result += (
                weight * torch.exp(-(away**2) / (2 * spread)) / math.sqrt(2 * math.pi * spread)
            )
        return result


def exact(mixture: Sequence[tuple[float, float, float]] = ONE, name: str = SCHEDULE) -> Diffusion:
    return Diffusion(Exact(mixture, name), recipe=Recipe("x0", name))


def share(t: float, name: str = SCHEDULE) -> float:
    return float(schedule(name).alpha_bar(t))


def energies(levels: Sequence[float], name: str = SCHEDULE) -> dict[str, Tensor]:
    left = schedule(name).alpha_bar(levels)
    energy = (1 - left) / (left * STD**2 + 1 - left)
    return {"levels": torch.tensor(levels, dtype=torch.float64), "energy": torch.tensor(energy)}


def moments(
    sampler: Callable[..., object], grid: Sequence[float], **options: object
) -> list[tuple[float, float]]:
    """Return mean and variance of the states at each level of the grid, from q at grid[0].

    Everything is affine in x and in the noises, so the responses to 0, to x and to each noise
    alone tell both.
    """
    count = len(grid) + 1
    left = share(grid[0])
    x = torch.full((count, 1, 1, 1), math.sqrt(left) * MEAN, dtype=torch.float64)
    x[1] += math.sqrt(left * STD**2 + 1 - left)
    drawn = iter(range(2, count))

    def noise(like: Tensor) -> Tensor:
        result = torch.zeros_like(like)
        result[next(drawn)] = 1
        return result

    found = []
    for estimate in sampler(exact(), x, grid, noise, clip=False, **options):
        state = math.sqrt(share(estimate.t)) * to_state(estimate.current).flatten()
        found.append((float(state[0]), float((state[1:] - state[0]).square().sum())))
    return found


def last(estimates: object) -> Tensor:
    return list(estimates)[-1].current


def grids() -> st.SearchStrategy[list[float]]:
    levels = st.lists(st.floats(1, 1000), min_size=1, max_size=12, unique_by=lambda t: int(t))
    return levels.map(lambda found: [*sorted(found, reverse=True), 0.0])


@settings(max_examples=40)
@given(grid=grids(), eta=st.floats(0, 1))
def test_every_state_has_the_moments_of_the_data_on_any_grid(grid: list[float], eta: float) -> None:
    found = moments(analytic, grid, eta=eta, estimated=energies(grid[:-1]))
    for t, (mean, variance) in zip(grid[:-1], found[:-1], strict=True):
        assert mean == pytest.approx(math.sqrt(share(t)) * MEAN, abs=1e-9)
        assert variance == pytest.approx(share(t) * STD**2 + 1 - share(t), rel=1e-9)
    # The last step leaves out what the network cannot know: the variance of x0 given x_t.
    left = share(grid[-2])
    unknown = STD**2 * (1 - left) / (left * STD**2 + 1 - left)
    assert found[-1][0] == pytest.approx(MEAN, abs=1e-9)
    assert found[-1][1] == pytest.approx(STD**2 - unknown, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("steps", [3, 10, 30])
def test_with_few_steps_ddpm_falls_short_where_analytic_does_not(steps: int) -> None:
    grid = respaced(1000, steps)
    estimated = energies(measured_levels(schedule(SCHEDULE)))
    left = share(grid[-2])
    wanted = left * STD**2 + 1 - left
    short = 1 - moments(ddpm, grid)[-2][1] / wanted
    ours = 1 - moments(analytic, grid, estimated=estimated)[-2][1] / wanted
    assert short > 0.2 / steps
    assert abs(ours) < min(0.003, short / 10)


@given(t=st.floats(1, 1000), part=st.floats(0.001, 0.999), name=st.sampled_from(SCHEDULES))
def test_the_best_variance_is_that_of_x_s_given_x_t(t: float, part: float, name: str) -> None:
    (step,) = steps_of(exact(name=name), [t, t * part])
    of_t, of_s = (left * STD**2 + 1 - left for left in (step.left_t, step.left_s))
    together = math.sqrt(step.left_t / step.left_s) * of_s
    wanted = of_s - together**2 / of_t
    known = (1 - step.left_s) / (1 - step.left_t) * (1 - step.left_t / step.left_s)
    unknown = STD**2 * (1 - step.left_t) / of_t
    assert best_variance(step, known, unknown) == pytest.approx(wanted, rel=1e-6, abs=1e-12)


# ------------------------------------------------------------------ a mixture


def energy_of(diffusion: Diffusion, left: float) -> tuple[float, float]:
    """Return E eps^2 for the predicted eps, and the variance of eps^2 - e^2 for the drawn e.

    By quadrature, with E[e^2 | x_t] = eps^2 + 1 - sqrt(1 - alpha_bar) d eps / d x_t.
    """
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64, requires_grad=True)
    eps = (x - math.sqrt(left) * diffusion.backbone.at(x, left)) / math.sqrt(1 - left)
    (slope,) = torch.autograd.grad(eps.sum(), x)
    drawn = eps**2 + 1 - math.sqrt(1 - left) * slope
    density = diffusion.backbone.density(x, left)
    energy, square = (
        float(torch.trapezoid((of * density).detach(), x.detach()))
        for of in (eps**2, eps**4 - 2 * eps**2 * drawn + 3)
    )
    return energy, square - (energy - 1) ** 2


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("t", "s"), [(900.0, 500.0), (500.0, 100.0), (60.0, 20.0)])
def test_a_step_keeps_the_variance_of_a_mixture(t: float, s: float, eta: float) -> None:
    # The law of total variance: what the means spread and what is added is all there is.
    model = exact(MIXTURE)
    (step,) = steps_of(model, [t, s])
    energy, _ = energy_of(model, step.left_t)
    known = {"levels": torch.tensor([t]), "energy": torch.tensor([energy], dtype=torch.float64)}
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    one, none = (
        analytic(model, x[:, None, None, None], [t, s], noise, clip=False, eta=eta, estimated=known)
        for noise in (torch.ones_like, torch.zeros_like)
    )
    means = math.sqrt(step.left_s) * to_state(last(none)).flatten()
    std = float(math.sqrt(step.left_s) * to_state(last(one))[0] - means[0])
    density = model.backbone.density(x, step.left_t)
    mean, square = (float(torch.trapezoid(means**power * density, x)) for power in (1, 2))
    centre = sum(weight * m for weight, m, _ in MIXTURE)
    of_data = sum(weight * (m**2 + d**2) for weight, m, d in MIXTURE) - centre**2
    assert mean == pytest.approx(math.sqrt(step.left_s) * centre, abs=1e-6)
    wanted = step.left_s * of_data + 1 - step.left_s
    assert square - mean**2 + std**2 == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("mixture", [ONE, MIXTURE], ids=["gaussian", "mixture"])
def test_the_measured_energy_is_the_true_one(mixture: Sequence[tuple[float, float, float]]) -> None:
    model, count = exact(mixture), 8192
    rng = torch.Generator().manual_seed(0)
    weights, means, stds = (torch.tensor(part) for part in zip(*mixture, strict=True))
    which = torch.multinomial(weights, count, replacement=True, generator=rng)
    x0 = means[which] + stds[which] * torch.randn(count, generator=rng)
    found = analytic.estimate(model, to_image(x0.double())[:, None, None, None], rng)
    assert found["levels"].dtype == found["energy"].dtype == torch.float64
    for t, energy in zip(found["levels"].tolist(), found["energy"].tolist(), strict=True):
        wanted, variance = energy_of(model, share(t))
        assert energy == pytest.approx(wanted, abs=3 * math.sqrt(variance / count)), t
        if mixture is ONE:
            assert wanted == pytest.approx(float(energies([t])["energy"]), rel=1e-6)
            assert variance == pytest.approx(2 - 2 * wanted**2, rel=1e-4)


# ------------------------------------------------------------------ bounds, options, faults


def states(seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(4, 1, 2, 2, generator=rng, dtype=torch.float64)


def of_energy(energy: float) -> dict[str, Tensor]:
    return {"levels": torch.tensor([1.0, 1000.0]), "energy": torch.tensor([energy, energy])}


@pytest.mark.parametrize("energy", [1.0, 1.5])
def test_a_network_that_knows_x0_needs_the_noise_of_ddpm_and_ddim(energy: float) -> None:
    # An energy of 1, or by chance more, leaves nothing unknown: the lower bound.
    grid, eps = respaced(1000, 9), states(1)
    for eta in (0.0, 0.5, 1.0):
        run = {"clip": True, "eta": eta}
        ours = analytic(
            exact(), states(), grid, lambda like: eps, **run, estimated=of_energy(energy)
        )
        torch.testing.assert_close(
            last(ours), last(ddim(exact(), states(), grid, lambda _: eps, **run))
        )
    ours = analytic(exact(), states(), grid, lambda like: eps, estimated=of_energy(energy))
    theirs = last(ddpm(exact(), states(), grid, lambda like: eps))
    torch.testing.assert_close(last(ours), theirs, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("t", [3.0, 400.0, 999.0])
def test_the_variance_of_an_image_is_at_most_1_and_at_most_that_of_the_noise(t: float) -> None:
    left_t, left_s = share(t), share(t / 2)
    nothing = {"levels": torch.tensor([t]), "energy": torch.zeros(1)}
    walk = analytic(
        exact(), states() * 0, [t, t / 2], torch.ones_like, clip=False, estimated=nothing
    )
    with_noise = last(walk)
    without = last(ddpm(exact(), states() * 0, [t, t / 2], torch.zeros_like, clip=False))
    known = (1 - left_s) / (1 - left_t) * (1 - left_t / left_s)
    gain = math.sqrt(left_s) * (1 - left_t / left_s) / (1 - left_t)
    highest = known + gain**2 * min(1, (1 - left_t) / left_t)
    added = 2 * math.sqrt(left_s) * (with_noise - without)
    torch.testing.assert_close(added, torch.full_like(added, math.sqrt(highest)))


@pytest.mark.parametrize("name", SCHEDULES)
def test_energies_are_measured_at_whole_levels_all_along(name: str) -> None:
    levels = measured_levels(schedule(name))
    assert LEVELS * 0.6 < len(levels) <= LEVELS
    assert levels == sorted(set(levels)) and all(t == int(t) for t in levels)
    assert (levels[0], levels[-1]) == (1, 1000)


@pytest.mark.parametrize("name", SCHEDULES)
def test_between_measured_levels_the_variance_is_nearly_right(name: str) -> None:
    estimated = energies(measured_levels(schedule(name)), name)
    model = exact(name=name)
    for t in np.linspace(2, 999, 60):
        (step,) = steps_of(model, [t, t * 0.9])
        x = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        grid = [t, t * 0.9]
        one, none = (
            last(analytic(model, x, grid, noise, clip=False, estimated=estimated))
            for noise in (torch.ones_like, torch.zeros_like)
        )
        of_t, of_s = (left * STD**2 + 1 - left for left in (step.left_t, step.left_s))
        wanted = of_s - step.left_t / step.left_s * of_s**2 / of_t
        found = step.left_s * float(2 * (one - none)) ** 2
        assert found == pytest.approx(wanted, rel=0.01)


def test_what_is_missing_or_damaged_is_one_clear_line() -> None:
    def run(**options: object) -> None:
        list(analytic(exact(), states(), [10.0, 0.0], torch.zeros_like, **options))

    with pytest.raises(BenchError, match=r"no energies .* a cell 'estimate', or pass estimated="):
        run()
    good = of_energy(0.5)
    for bad in (
        {"levels": good["levels"]},
        good | {"energy": torch.tensor([0.5])},
        good | {"energy": torch.tensor([0.5, math.nan])},
        good | {"levels": torch.tensor([0.0, 10.0])},
        {name: value[:0] for name, value in good.items()},
        {name: value[None] for name, value in good.items()},
    ):
        with pytest.raises(BenchError, match="not one energy for each level above 0; estimate"):
            run(estimated=bad)
    with pytest.raises(BenchError, match=r"eta is 1\.5, expected 0 .* to 1"):
        run(eta=1.5, estimated=good)


def test_it_is_registered_with_its_estimate() -> None:
    (entry,) = (e for e in entries(Kind.SAMPLER) if e.name == "analytic-ddpm")
    assert entry.build is analytic and callable(entry.build.estimate)
