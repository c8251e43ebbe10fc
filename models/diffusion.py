"""A backbone with what it predicts and under which schedule: loss and prediction."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.api import BenchError, Kind, register
from models import process
from models.schedule import network_step, schedule

PREDICTIONS = ("v", "noise", "x0")
WEIGHTINGS = ("uniform", "alpha-bar")


@dataclass(frozen=True)
class Recipe:
    """What a network learns and how its samples are drawn."""

    prediction: str
    """"v", "noise" or "x0"."""
    schedule: str
    weighting: str = "uniform"
    """"uniform", or "alpha-bar": each image's squared error times alpha_bar = snr / (snr + 1)."""
    sampler: str = "ddim"

    def __post_init__(self) -> None:
        schedule(self.schedule)
        for value, known in ((self.prediction, PREDICTIONS), (self.weighting, WEIGHTINGS)):
            if value not in known:
                raise BenchError(f"no '{value}' in a recipe; expected one of {', '.join(known)}")


@register(Kind.RECIPE, "authors", source="the paper's released code and its library's defaults")
def authors() -> Recipe:
    """Return the recipe of the released code.

    Its library weights the squared error of v by snr / (snr + 1), which is alpha_bar: nearly pure
    noise hardly counts.
    """
    return Recipe("v", "sigmoid", "alpha-bar", "ddim")


@register(Kind.RECIPE, "ho2020", source="Ho et al. 2020, which the paper's text names")
def ho2020() -> Recipe:
    """Return the recipe of the text: the network predicts the noise."""
    return Recipe("noise", "linear", "uniform", "ddpm")


RECIPES = {"authors": authors(), "ho2020": ho2020()}


def recipe_of(recipe: str | Recipe) -> Recipe:
    """Return the recipe of that name, or the recipe itself.

    Raises:
        BenchError: If there is none.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise BenchError(f"no recipe named '{recipe}'; expected one of {', '.join(RECIPES)}")
    return RECIPES[recipe]


class Prediction(NamedTuple):
    """What a network makes of x_t; the two agree: x_t = sqrt(alpha_bar) x0 + ... eps."""

    x0: Tensor
    eps: Tensor


class Diffusion(nn.Module):
    """A denoising diffusion model.

    Source: Ho et al. 2020, section 3; Salimans and Ho 2022 for v.
    """

    alpha_bars: Tensor

    def __init__(self, backbone: nn.Module, *, recipe: str | Recipe = "authors") -> None:
        super().__init__()
        self.backbone = backbone
        self.recipe = recipe_of(recipe)
        self.schedule = schedule(self.recipe.schedule)
        # Not persistent: a checkpoint holds what was learnt and nothing else.
        table = torch.tensor(self.schedule.alpha_bars, dtype=torch.float64)
        self.register_buffer("alpha_bars", table.to(torch.float32), persistent=False)

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        """Return the weighted mean squared error of the prediction at random levels.

        Args:
            batch: Clean images [B,C,H,W] in [0, 1].
            rng: Draws the levels, uniformly from 1..T, and the noise.
        """
        x0 = process.to_state(batch)
        steps = self.schedule.steps
        draw = torch.randint(1, steps + 1, batch.shape[:1], generator=rng, device=rng.device)
        eps = torch.randn(batch.shape, generator=rng, device=rng.device).to(x0)
        t = draw.to(x0.device)
        left = self.alpha_bars[t][:, None, None, None]
        predicted = self.backbone(process.q_sample(x0, eps, left), (t - 1).to(x0.dtype))
        error = (predicted - self._target(x0, eps, left)).square().flatten(1).mean(dim=1)
        if self.recipe.weighting == "alpha-bar":
            error = error * left.flatten()
        return error.mean()

    def _target(self, x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
        match self.recipe.prediction:
            case "v":
                return process.v_from(x0, eps, alpha_bar)
            case "noise":
                return eps
            case _:
                return x0

    def predict(self, x_t: Tensor, t: float, *, clip: bool = True) -> Prediction:
        """Return the predicted clean image and noise of states that all belong to level t.

        Args:
            x_t: States [B,C,H,W] on the [-1, 1] scale.
            t: Their level, above 0 and up to T; need not be whole.
            clip: Whether x0 is held within [-1, 1]; eps then follows from x0.
        """
        left = float(self.schedule.alpha_bar(t))
        told = torch.full((x_t.shape[0],), network_step(t), dtype=x_t.dtype, device=x_t.device)
        out = self.backbone(x_t, told)
        match self.recipe.prediction:
            case "v":
                x0 = process.x0_from_v(x_t, out, left)
            case "noise":
                x0 = process.x0_from_eps(x_t, out, left)
            case _:
                x0 = out
        if clip:
            x0 = x0.clamp(-1, 1)
        return Prediction(x0, process.eps_from_x0(x_t, x0, left))
