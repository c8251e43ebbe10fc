"""The same samples as the schedulers of diffusers make, from equal noise and equal networks."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.api import Estimate
from models.diffusion import Diffusion, Recipe
from models.process import to_state
from models.samplers.ddim import ddim
from models.samplers.ddpm import ddpm
from models.samplers.dpm_solver import dpmpp_2m
from models.samplers.grid import respaced
from models.schedule import schedule

sys.path.insert(0, str(Path(__file__).parent))
from sampler_oracle import gaussian, seeded

diffusers = pytest.importorskip("diffusers", reason="diffusers is the oracle here")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS = 50
COMMON = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
}


class Conv(nn.Module):
    """A random network that knows the step."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 1, 3, padding=1)
            ).double()

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        return self.layers(x_t + step[:, None, None, None] / 1000)


class Knowing(nn.Module):
    """The exact x0 of the data set `gaussian`."""

    exact = replace(gaussian(), schedule=schedule("linear"))

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        return self.exact.predict(x_t, float(step[0]) + 1, clip=False).x0


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "noise": (Conv, "epsilon"),
    "v": (Conv, "v_prediction"),
    "x0": (Knowing, "sample"),
}
"""Network and their word by what it predicts."""


@pytest.fixture(params=NETWORKS)
def pair(request: pytest.FixtureRequest) -> tuple[Diffusion, dict[str, Any]]:
    """Return a diffusion, and the settings of a scheduler for the same network."""
    build, word = NETWORKS[request.param]
    ours = Diffusion(build().eval(), recipe=Recipe(request.param, "linear"))
    return ours, {**COMMON, "prediction_type": word}


def start() -> Tensor:
    return torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def theirs(scheduler: Any, network: nn.Module, **options: Any) -> Tensor:
    """Return what their loop makes, which ends with the image."""
    x = start()
    for t in scheduler.timesteps:
        out = network(x, t.double().expand(len(x)))
        x = scheduler.step(out, t, x, **options).prev_sample
    return x


def ours_of(estimates: Iterable[Estimate]) -> Tensor:
    *_, last = estimates
    return to_state(last.current)


def levels_of(scheduler: Any) -> list[float]:
    """Return their steps as levels: step t is what the network is told at level t + 1."""
    return [*(float(t) + 1 for t in scheduler.timesteps), 0.0]


def assert_equal(found: Tensor, expected: Tensor) -> None:
    """Compare to 1e-4, in units of the images' range or of the largest value beyond it."""
    assert expected.dtype == torch.float64
    bound = 1e-4 * max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) < bound


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(
    ("timestep_spacing", "steps_offset"), [("trailing", 0), ("leading", 0), ("leading", 1)]
)
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_ddim(
    pair: tuple[Diffusion, dict[str, Any]],
    clip: bool,
    timestep_spacing: str,
    steps_offset: int,
    eta: float,
) -> None:
    diffusion, common = pair
    scheduler = diffusers.DDIMScheduler(
        **common,
        timestep_spacing=timestep_spacing,
        steps_offset=steps_offset,
        set_alpha_to_one=True,  # the last step ends at alpha_bar = 1
        clip_sample=clip,
        clip_sample_range=1.0,
    )
    scheduler.set_timesteps(STEPS)
    # With the x0 that was clipped goes the noise that agrees with it, as here.
    theirs_ = theirs(
        scheduler,
        diffusion.backbone,
        eta=eta,
        use_clipped_model_output=clip,
        generator=torch.Generator().manual_seed(6),
    )
    grid = levels_of(scheduler)
    if timestep_spacing == "trailing":
        assert grid == respaced(1000, STEPS)
    assert_equal(ours_of(ddim(diffusion, start(), grid, seeded(6), clip=clip, eta=eta)), theirs_)


def test_ddim_that_ends_at_the_first_level(pair: tuple[Diffusion, dict[str, Any]]) -> None:
    diffusion, common = pair
    scheduler = diffusers.DDIMScheduler(
        **common,
        timestep_spacing="leading",
        steps_offset=0,
        set_alpha_to_one=False,  # the last step ends at the alpha_bar of the first level
        clip_sample=False,
    )
    scheduler.set_timesteps(STEPS)
    *grid, _ = levels_of(scheduler)
    assert grid[-1] == 1  # from where their last step leads nowhere
    found = ours_of(ddim(diffusion, start(), grid, seeded(6), clip=False))
    found = found * float(diffusion.schedule.alpha_bar(1)) ** 0.5
    assert_equal(found, theirs(scheduler, diffusion.backbone))


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(
    ("variance", "variance_type", "timestep_spacing"),
    [
        ("posterior", "fixed_small", "trailing"),
        ("posterior", "fixed_small", "leading"),
        # With "trailing", theirs adds noise to the image in the last step: its step is not 0.
        ("beta", "fixed_large", "leading"),
    ],
)
def test_ddpm(
    pair: tuple[Diffusion, dict[str, Any]],
    clip: bool,
    variance: str,
    variance_type: str,
    timestep_spacing: str,
) -> None:
    diffusion, common = pair
    scheduler = diffusers.DDPMScheduler(
        **common,
        timestep_spacing=timestep_spacing,
        steps_offset=0,
        variance_type=variance_type,
        clip_sample=clip,
        clip_sample_range=1.0,
    )
    scheduler.set_timesteps(STEPS)
    rng = torch.Generator().manual_seed(6)
    found = ddpm(diffusion, start(), levels_of(scheduler), seeded(6), clip=clip, variance=variance)
    assert_equal(ours_of(found), theirs(scheduler, diffusion.backbone, generator=rng))


@pytest.mark.parametrize("timestep_spacing", ["linspace", "trailing"])
@pytest.mark.parametrize("steps", [1, 2, 5, 20, 50])
def test_dpm_solver(
    pair: tuple[Diffusion, dict[str, Any]], timestep_spacing: str, steps: int
) -> None:
    diffusion, common = pair
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **common,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        timestep_spacing=timestep_spacing,
        steps_offset=0,
        final_sigmas_type="zero",  # the last step ends at alpha_bar = 1 ...
        lower_order_final=True,  # ... and is of first order
        thresholding=False,  # theirs does not clip
    )
    scheduler.set_timesteps(steps)
    found = dpmpp_2m(diffusion, start(), levels_of(scheduler), seeded(6), clip=False)
    assert_equal(ours_of(found), theirs(scheduler, diffusion.backbone))
