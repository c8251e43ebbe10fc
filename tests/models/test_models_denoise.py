"""The diffusion as a model to train and as a denoiser."""

import math

import pytest
import torch
from torch import Tensor, nn

from bench.api import (
    ENTRIES,
    BenchError,
    Denoiser,
    Entry,
    Invalid,
    Kind,
    Level,
    Restorer,
    image_to_image,
)
from models.denoise import DiffusionDenoiser
from models.diffusion import Diffusion, Recipe, recipe_of
from models.samplers.ddim import ddim
from models.schedule import Schedule, schedule

MEAN, STD = 0.55, 0.2  # of the images, on the [0, 1] scale


class Oracle(nn.Module):
    """Predicts what the recipe asks for, exactly, for images ~ N(MEAN, STD^2)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.schedule = schedule(recipe.schedule)
        self.told: list[float] = []

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        self.told.append(float(step[0]))
        left = torch.tensor(self.schedule.alpha_bar(step.double().numpy() + 1))
        left = left[:, None, None, None]
        mean, variance = 2 * MEAN - 1, (2 * STD) ** 2
        gain = left.sqrt() * variance / (left * variance + 1 - left)
        x0 = mean + gain * (x_t.double() - left.sqrt() * mean)
        eps = (x_t - left.sqrt() * x0) / (1 - left).sqrt()
        v = left.sqrt() * eps - (1 - left).sqrt() * x0
        return {"x0": x0, "noise": eps, "v": v}[self.recipe.prediction].to(x_t.dtype)


def denoiser(recipe: Recipe) -> DiffusionDenoiser:
    return DiffusionDenoiser(Oracle(recipe), recipe, clip=False)


def wiener(y: Tensor, sigma: float) -> Tensor:
    return MEAN + STD**2 / (STD**2 + sigma**2) * (y - MEAN)


ALL = [Recipe(p, s) for p in ("v", "noise", "x0") for s in ("linear", "cosine", "sigmoid")]


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: f"{r.prediction}-{r.schedule}")
@pytest.mark.parametrize("sigma", [0.05, 0.209, 1.465])
def test_one_step_is_the_wiener_filter_on_gaussian_data(recipe: Recipe, sigma: float) -> None:
    y = MEAN + 1.5 * torch.randn(2, 1, 4, 4, dtype=torch.float64)
    found = denoiser(recipe).denoise(y, Level(sigma), torch.randn_like)
    torch.testing.assert_close(found, wiener(y, sigma), atol=1e-9, rtol=1e-9)


def test_levels_are_met_by_sigma_and_told_by_index() -> None:
    sigmoid, linear = schedule("sigmoid"), schedule("linear")
    ours = denoiser(Recipe("v", "linear"))
    y = torch.zeros(1, 1, 2, 2)
    ours.denoise(y, linear.level(150), torch.randn_like)
    ours.denoise(y, sigmoid.level(150), torch.randn_like)
    told = ours.diffusion.backbone.told
    assert told[0] == 149
    assert told[1] == pytest.approx(linear.step_of_sigma(sigmoid.level(150).sigma) - 1, abs=1e-3)


def test_no_noise_is_no_work() -> None:
    ours = denoiser(recipe_of("authors"))
    y = torch.rand(1, 1, 2, 2)
    assert torch.equal(ours.denoise(y, Level(0.0), torch.randn_like), y)
    assert [e.calls for e in ours.restore(y, Level(0.0), torch.randn_like)] == [0]


@pytest.mark.parametrize(("stride", "calls"), [(1, 50), (7, 8), (50, 1)])
def test_restore_starts_at_the_input_and_goes_down(stride: int, calls: int) -> None:
    level = schedule("sigmoid").level(50)
    ours = denoiser(recipe_of("authors"))
    y = torch.rand(1, 1, 2, 2, dtype=torch.float64)
    found = list(ours.restore(y, level, torch.randn_like, stride))
    torch.testing.assert_close(found[0].current, y)
    assert found[0].t == 50
    assert found[-1].calls == len(found) - 1 == calls
    torch.testing.assert_close(found[1].x0, wiener(y, level.sigma))


def test_restored_images_are_draws_from_the_posterior() -> None:
    # Ancestral sampling from y draws from p(x | y) = N(wiener, STD^2 sigma^2 / (STD^2 + sigma^2)).
    level = schedule("sigmoid").level(250)
    rng = torch.Generator().manual_seed(0)
    y = torch.full((1, 1, 150, 150), 0.7, dtype=torch.float64)
    *_, final = denoiser(recipe_of("authors")).restore(
        y, level, lambda like: torch.randn(like.shape, generator=rng, dtype=like.dtype)
    )
    spread = STD * level.sigma / math.hypot(STD, level.sigma)
    assert float(final.x0.mean()) == pytest.approx(float(wiener(y, level.sigma).mean()), abs=0.004)
    assert float(final.x0.std()) == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize("sampler", [None, "ddim", "ddpm", ddim])
def test_generate_takes_as_many_calls_as_asked(sampler: object) -> None:
    ours = denoiser(recipe_of("ho2020"))
    x = torch.randn(2, 1, 2, 2)
    *_, final = ours.generate(x, torch.randn_like, steps=7, sampler=sampler)
    assert (final.calls, final.t) == (7, 0)
    assert len(ours.diffusion.backbone.told) == 7
    assert ours.diffusion.backbone.told[0] == 999


class Zero(nn.Module):
    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        return torch.zeros_like(x_t)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("recipe", ["authors", "ho2020"])
def test_loss_of_a_silent_network_is_the_variance_of_its_target(recipe: str) -> None:
    # Images 0 or 1 are states of square 1, so noise and v both have mean square 1; `authors`
    # multiplies by alpha_bar, whose mean over levels is known.
    batch = (torch.rand(4000, 1, 4, 4, generator=rng(1)) > 0.5).float()
    model = Diffusion(Zero(), recipe=recipe)
    shares = schedule("sigmoid").alpha_bars[1:]
    expected = {"ho2020": 1.0, "authors": float(shares.mean())}[recipe]
    assert float(model.loss(batch, rng())) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: f"{r.prediction}-{r.schedule}")
def test_the_posterior_mean_is_no_worse_than_its_neighbours(recipe: Recipe) -> None:
    clean = MEAN + STD * torch.randn(512, 1, 4, 4, generator=rng(1))
    oracle = Oracle(recipe)

    class Off(nn.Module):
        def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
            return oracle(x_t, step) + 0.1

    best = float(Diffusion(oracle, recipe=recipe).loss(clean, rng()))
    off = float(Diffusion(Off(), recipe=recipe).loss(clean, rng()))
    assert off == pytest.approx(best + 0.01, abs=0.004)


def test_loss_depends_on_the_generator_alone() -> None:
    batch = torch.rand(8, 1, 4, 4, generator=rng(1))
    model = Diffusion(Zero())
    assert torch.equal(model.loss(batch, rng(5)), model.loss(batch, rng(5)))
    assert not torch.equal(model.loss(batch, rng(5)), model.loss(batch, rng(6)))


def test_prediction_agrees_with_itself_after_clipping() -> None:
    model = Diffusion(Oracle(recipe_of("authors")))
    x = 5 * torch.randn(2, 1, 4, 4)
    x0, eps = model.predict(x, 300.0)
    left = float(model.schedule.alpha_bar(300))
    assert x0.abs().max() == 1
    torch.testing.assert_close(math.sqrt(left) * x0 + math.sqrt(1 - left) * eps, x)


def test_a_checkpoint_holds_the_network_and_nothing_else() -> None:
    ours = DiffusionDenoiser(nn.Conv2d(1, 1, 1))
    assert set(ours.state_dict()) == {
        "diffusion.backbone.weight",
        "diffusion.backbone.bias",
    }


def test_fit_hands_itself_to_the_trainer() -> None:
    seen = []

    class Trainer:
        def train(self, module: object, clean: Tensor, seed: int) -> None:
            seen.append((module, clean.shape, seed))

    ours = denoiser(recipe_of("authors"))
    ours.fit(torch.zeros(3, 1, 4, 4), [], Trainer(), 7)
    assert seen == [(ours, (3, 1, 4, 4), 7)]
    assert isinstance(ours, Denoiser)
    assert isinstance(ours, Restorer)


def test_wrong_names_are_one_clear_line() -> None:
    with pytest.raises(BenchError, match="no recipe named 'author'; known: authors, ho2020"):
        DiffusionDenoiser(Zero(), "author")
    with pytest.raises(BenchError, match="no 'score' in a recipe; expected one of v"):
        Recipe("score", "linear")
    with pytest.raises(BenchError, match=r"no sampler named 'dmip'; known: .*ddim, ddpm"):
        denoiser(recipe_of("authors")).generate(
            torch.zeros(1, 1, 2, 2), torch.randn_like, steps=5, sampler="dmip"
        )


def test_a_registered_recipe_and_schedule_are_trained_and_sampled_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def short() -> Schedule:
        return Schedule("short", schedule("linear").alpha_bars[:101])

    def mine(schedule: str = "short") -> Recipe:
        return Recipe("x0", schedule)

    for kind, build in ((Kind.SCHEDULE, short), (Kind.RECIPE, mine)):
        entry = Entry(kind, build.__name__, build, "a test")
        monkeypatch.setitem(ENTRIES, (kind, entry.name), entry)
    ours = DiffusionDenoiser(Zero(), "mine")
    assert (ours.recipe.prediction, ours.diffusion.schedule.steps) == ("x0", 100)
    assert ours.diffusion.schedule is schedule("short"), "what it remembers is remembered once"
    assert bool(torch.isfinite(ours.loss(torch.rand(2, 1, 4, 4), torch.Generator())))
    states = ours.generate(torch.zeros(1, 1, 2, 2), torch.randn_like, steps=4)
    assert next(states).t == 100
    assert recipe_of("authors+schedule=short").schedule == "short"
    with pytest.raises(BenchError, match="no option 'levels'; known: schedule"):
        recipe_of("mine+levels=whole")


class Returns(nn.Module):
    """A backbone that returns what it is told to."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x_t, told):
        return self.output(x_t)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (lambda x: x[:, :1], r"\[2, 1, 8, 8\]"),
        (lambda x: x[..., ::2, ::2], r"\[2, 3, 4, 4\]"),
        (lambda x: (x, None), "tuple"),
    ],
    ids=["one channel", "half the size", "tuple"],
)
def test_what_a_backbone_returns_has_the_shape_of_the_state(output, found):
    """One channel for three would be broadcast, trained and given a number."""
    denoiser = DiffusionDenoiser(Returns(output))
    message = f"Returns returned {found}.* expected the same shape"
    with pytest.raises(Invalid, match=message):
        denoiser.loss(torch.rand(2, 3, 8, 8), torch.Generator())
    with pytest.raises(Invalid, match=message):
        list(denoiser.generate(torch.zeros(2, 3, 8, 8), torch.zeros_like, steps=2))


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (lambda x: x.double(), "returned torch.float64 for an input of torch.float32"),
        (lambda x: x.byte(), "returned torch.uint8 for an input of torch.float32"),
        (lambda x: x.clamp_(min=0), "changed its input number 1 in place"),
    ],
    ids=["wider", "bytes", "in place"],
)
def test_what_a_backbone_returns_is_its_own_and_of_the_type_of_the_state(output, found):
    """An input that was changed is what the sampler goes on with: a worse image, and no error."""
    denoiser = DiffusionDenoiser(Returns(output))
    with pytest.raises(Invalid, match=found):
        denoiser.loss(torch.rand(2, 3, 8, 8), torch.Generator())
    with pytest.raises(Invalid, match=found):
        list(denoiser.generate(torch.zeros(2, 3, 8, 8), torch.zeros_like, steps=2))


def test_a_narrower_type_as_of_autocast_is_taken():
    x = torch.zeros(1, 3, 8, 8)
    assert image_to_image(Returns(lambda x: x.bfloat16()), x, None).dtype is torch.bfloat16
    with torch.inference_mode():  # here torch does not count changes
        assert image_to_image(Returns(lambda x: x + 1), x + 0, None).sum() == x.numel()
