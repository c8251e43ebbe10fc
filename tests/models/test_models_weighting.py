"""How levels are drawn and weighted while training."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from models import process
from models.diffusion import GAMMA, Diffusion, Recipe, recipe_of, weight_of
from models.schedule import T, schedule

PREDICTIONS = ("v", "noise", "x0")
SCHEDULES = ("linear", "cosine", "sigmoid")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Guess(nn.Module):
    """Predicts in a recipe's terms that the clean image is what x_t is, a tenth brighter."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        self.seen.append((x_t, step))
        left = torch.tensor(schedule(self.recipe.schedule).alpha_bar(step.double().numpy() + 1))
        left, x_t = left[:, None, None, None], x_t.double()
        x0 = 0.9 * x_t + 0.1
        eps = process.eps_from_x0(x_t, x0, left)
        v = process.v_from(x0, eps, left)
        return {"x0": x0, "noise": eps, "v": v}[self.recipe.prediction].to(self.seen[-1][0])


@given(left=st.floats(1e-9, 1 - 1e-9))
def test_min_snr_counts_the_same_error_alike_whatever_is_predicted(left: float) -> None:
    """The error of the noise is that of x0 times sqrt(snr), v's times sqrt(snr + 1)."""
    snr, share = left / (1 - left), torch.tensor([left], dtype=torch.float64)
    factors = {"x0": 1.0, "noise": snr, "v": snr + 1}
    for prediction, factor in factors.items():
        weight = float(weight_of(Recipe(prediction, "linear", "min-snr"), share))
        assert weight * factor == pytest.approx(min(snr, GAMMA), rel=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("levels", ["whole", "continuous"])
def test_one_denoiser_has_one_min_snr_loss_whatever_it_predicts(name: str, levels: str) -> None:
    batch = torch.rand(64, 1, 4, 4, generator=rng(1), dtype=torch.float64)
    losses = []
    for prediction in PREDICTIONS:
        recipe = Recipe(prediction, name, "min-snr", levels=levels)
        losses.append(float(Diffusion(Guess(recipe), recipe=recipe).loss(batch, rng(2))))
    assert losses == pytest.approx([losses[0]] * 3, rel=2e-3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_alpha_bar_is_the_cut_off_free_weighting_of_v(name: str) -> None:
    left = torch.tensor(schedule(name).alpha_bars[1:])
    snr = left / (1 - left)
    found = weight_of(recipe_of("authors"), left)
    torch.testing.assert_close(found, snr / (snr + 1))
    assert torch.equal(weight_of(recipe_of("ho2020"), left), torch.ones_like(left))


def test_whole_levels_are_drawn_as_ever() -> None:
    """Bit for bit the loss that networks were trained with before there were other levels."""
    batch = torch.rand(8, 1, 4, 4, generator=rng(1))
    model = Diffusion(nn.Identity(), recipe="ho2020")
    model.backbone.forward = lambda x_t, step: x_t * (step / 1000)[:, None, None, None]
    draws = rng(5)
    t = torch.randint(1, 1001, (8,), generator=draws)
    eps = torch.randn(batch.shape, generator=draws)
    left = torch.tensor(schedule("linear").alpha_bars).float()[t][:, None, None, None]
    x_t = left**0.5 * (2 * batch - 1) + (1 - left) ** 0.5 * eps
    expected = (x_t * ((t - 1) / 1000)[:, None, None, None] - eps).square().flatten(1).mean(1)
    assert torch.equal(model.loss(batch, rng(5)), expected.mean())


@pytest.mark.parametrize("name", SCHEDULES)
def test_continuous_levels_are_uniform_and_noised_exactly(name: str) -> None:
    recipe = Recipe("noise", name, levels="continuous")
    backbone, s = Guess(recipe), schedule(name)
    batch = torch.rand(3000, 1, 1, 2, generator=rng(1))
    Diffusion(backbone, recipe=recipe).loss(batch, rng(7))
    ((x_t, step),) = backbone.seen
    draws = rng(7)
    t = (1 - torch.rand(3000, generator=draws, dtype=torch.float64)) * T
    eps = torch.randn(batch.shape, generator=draws)
    assert stats.kstest(t / T, "uniform").pvalue > 1e-3
    assert float(t.min()) > 0 and len(set((t % 1).tolist())) > 2900
    torch.testing.assert_close(step, (t - 1).clamp(min=0).float())
    left = torch.tensor(s.alpha_bar(t.numpy()))[:, None, None, None]
    exact = left.sqrt() * (2 * batch.double() - 1) + (1 - left).sqrt() * eps.double()
    torch.testing.assert_close(x_t, exact.float(), rtol=0, atol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighting", ["uniform", "alpha-bar", "min-snr"])
def test_a_level_next_to_none_has_a_finite_loss(
    monkeypatch: pytest.MonkeyPatch, prediction: str, weighting: str
) -> None:
    recipe = Recipe(prediction, "linear", weighting, levels="continuous")
    model = Diffusion(nn.Identity(), recipe=recipe)
    model.backbone.forward = lambda x_t, step: x_t
    nearly_one = lambda *size, **more: torch.full((4,), 1 - 2**-53, dtype=torch.float64)  # noqa: E731
    monkeypatch.setattr(torch, "rand", nearly_one)
    assert bool(torch.isfinite(model.loss(torch.zeros(4, 1, 2, 2), rng())))


@pytest.mark.parametrize("text", ["authors+weighting=min-snr", "ho2020+levels=continuous"])
def test_a_recipe_is_changed_by_name(text: str) -> None:
    recipe = recipe_of(text)
    assert "min-snr" in recipe.weighting or recipe.levels == "continuous"
