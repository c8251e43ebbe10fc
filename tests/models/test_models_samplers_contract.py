"""What every registered sampler keeps to, whatever it computes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from bench import registry
from bench.api import BenchError, Estimate, Kind
from bench.seeds import ImageNoise
from models.denoise import DiffusionDenoiser
from models.diffusion import Diffusion, Recipe
from models.process import to_image
from models.samplers.grid import SPACINGS, grid_of, respaced, strided
from models.samplers.walk import Sampler
from models.schedule import schedule

NAMES = registry.names(Kind.SAMPLER)
VARIANTS = [*NAMES, "ddim+eta=0.5", "ddpm+variance=beta", "ddpm+std=0.005"]
SHAPE = (3, 1, 8, 8)


class Net(nn.Module):
    """A small network that knows the level and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1)
            )
        self.calls = 0

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        self.calls += 1
        return 3 * self.layers(x_t + step[:, None, None, None] / 1000)


def model() -> Diffusion:
    return Diffusion(Net(), recipe=Recipe("v", "sigmoid"))


def sampler(name: str, diffusion: Diffusion) -> Sampler:
    """Return the sampler, with what it wants measured beforehand."""
    sample = registry.sampler(name)
    estimate = getattr(sample.func, "estimate", None)
    if estimate is None:
        return sample
    clean = torch.rand(4, *SHAPE[1:], generator=torch.Generator().manual_seed(1))
    measured = estimate(diffusion, clean, torch.Generator().manual_seed(2))
    diffusion.backbone.calls = 0
    return partial(sample, estimated=measured)


def states(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))


def noise(images: Sequence[int] = range(SHAPE[0])) -> ImageNoise:
    return ImageNoise("samplers", images=images)


Walk = Callable[..., Iterator[Estimate]]


@pytest.fixture(params=VARIANTS)
def walk(request: pytest.FixtureRequest) -> Walk:
    """Return a sampler that is bound to a network."""
    diffusion = model()
    bound = partial(sampler(request.param, diffusion), diffusion)
    bound.net = diffusion.backbone
    return bound


def test_estimates_count_calls_and_lead_from_the_input_to_the_image(walk: Walk) -> None:
    x, grid = states(), respaced(1000, 6)
    kept = x.clone()
    found = []
    for estimate in walk(x, grid, noise()):
        assert estimate.calls == walk.net.calls
        found.append(estimate)
    assert found[0].calls == 0
    left = float(schedule("sigmoid").alpha_bar(1000))
    torch.testing.assert_close(found[0].current, to_image(x / left**0.5))
    assert torch.equal(found[0].current, found[0].x0)
    assert [e.t for e in found] == grid
    assert all(a.calls < b.calls for a, b in pairwise(found))
    torch.testing.assert_close(found[-1].current, found[-1].x0, atol=1e-6, rtol=0)
    assert torch.equal(x, kept)
    for estimate in found:
        assert estimate.current.shape == estimate.x0.shape == SHAPE
        assert not estimate.current.requires_grad
        assert not estimate.x0.requires_grad
        assert estimate.current.isfinite().all()
        assert estimate.x0.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_one_call_per_step_or_two_with_one_in_the_last(name: str) -> None:
    diffusion = model()
    *_, last = sampler(name, diffusion)(diffusion, states(), respaced(1000, 6), noise())
    assert last.calls == (11 if name == "heun" else 6)


def test_an_image_does_not_depend_on_its_neighbours(walk: Walk) -> None:
    x, grid = states(), respaced(1000, 4)
    *_, together = walk(x, grid, noise())
    *_, alone = walk(x[1:2], grid, noise([1]))
    torch.testing.assert_close(together.x0[1:2], alone.x0, atol=2e-5, rtol=0)
    assert float((together.x0[0] - together.x0[1]).abs().max()) > 1e-3


@pytest.mark.parametrize("spacing", sorted(SPACINGS))
def test_every_spacing_and_schedule_works(walk: Walk, spacing: str) -> None:
    for name in registry.names(Kind.SCHEDULE):
        walk.args[0].schedule = schedule(name)
        for count in (1, 5):
            grid = grid_of(spacing, schedule(name), 1000, count)
            *_, last = walk(states(), grid, noise())
            assert last.x0.isfinite().all()
            torch.testing.assert_close(last.current, last.x0, atol=1e-6, rtol=0)


@pytest.mark.parametrize("grid", [strided(123.4, 50), [437.5, 200.25, 31.7], [0.5, 0.0], [7.0]])
def test_grids_start_and_end_anywhere(walk: Walk, grid: list[float]) -> None:
    found = list(walk(states(), grid, noise()))
    assert [e.t for e in found] == grid
    assert all(e.current.isfinite().all() for e in found)


def test_clip_holds_the_prediction_within_the_image_range(walk: Walk) -> None:
    x, grid = states(100), [400.0, 200.0, 100.0, 0.0]
    for estimate in list(walk(x, grid, noise()))[1:]:
        assert float(estimate.x0.min()) >= 0
        assert float(estimate.x0.max()) <= 1
    assert max(float(e.x0.max()) for e in list(walk(x, grid, noise(), clip=False))[1:]) > 1


def test_samples_repeat(walk: Walk) -> None:
    one, other = (list(walk(states(), respaced(500, 3), noise()))[-1] for _ in range(2))
    assert torch.equal(one.x0, other.x0)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_knows_the_image_makes_it(name: str) -> None:
    class Known(nn.Module):
        calls = 0

        def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
            return torch.full_like(x_t, 0.3)

    diffusion = Diffusion(Known(), recipe=Recipe("x0", "cosine"))
    *_, last = sampler(name, diffusion)(diffusion, states(), respaced(1000, 5), noise())
    torch.testing.assert_close(last.current, torch.full(SHAPE, 0.65))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_options_are_one_clear_line(name: str) -> None:
    with pytest.raises(BenchError, match=f"no option of sampler '{name}' named 'etta'; .*clip"):
        registry.sampler(f"{name}+etta=1")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ddim+eta=2", "sampler ddim: eta is 2, expected 0"),
        ("ddpm+variance=best", "no variance named 'best'; expected posterior or beta"),
    ],
)
def test_wrong_values_are_one_clear_line(name: str, said: str) -> None:
    with pytest.raises(BenchError, match=said) as caught:
        next(registry.sampler(name)(model(), states(), [9.0, 0.0], noise()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_too_many_steps_are_one_clear_line(name: str) -> None:
    denoiser = DiffusionDenoiser(Net())
    with pytest.raises(BenchError, match=r"1001 sampling steps from level 1000 .*; lower the"):
        list(denoiser.generate(states(), noise(), steps=1001, sampler=name))
