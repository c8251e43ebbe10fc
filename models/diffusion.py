"""A backbone with what it predicts and under which schedule: loss and prediction."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.api import BenchError, Kind, options_of, register
from models import process
from models.schedule import network_step, schedule

PREDICTIONS = ("v", "noise", "x0")
WEIGHTINGS = ("uniform", "alpha-bar")
LEVELS = ("whole", "continuous")


@dataclass(frozen=True)
class Recipe:
    """What a network learns and how its samples are drawn."""

    prediction: str
    """"v", "noise" or "x0"."""
    schedule: str
    weighting: str = "uniform"
    """How much an image's squared error counts; see `WEIGHTINGS`."""
    sampler: str = "ddim"
    levels: str = "whole"
    """"whole": trained at the levels 1..T; "continuous": at any in (0, T]."""

    def __post_init__(self) -> None:
        schedule(self.schedule)
        for value, known in (
            (self.prediction, PREDICTIONS),
            (self.weighting, WEIGHTINGS),
            (self.levels, LEVELS),
        ):
            if value not in known:
                raise BenchError(f"no '{value}' in a recipe; expected one of {', '.join(known)}")


@register(Kind.RECIPE, "authors", source="the paper's released code and its library's defaults")
def authors(
    prediction: str = "v",
    schedule: str = "sigmoid",
    weighting: str = "alpha-bar",
    sampler: str = "ddim",
    levels: str = "whole",
) -> Recipe:
    """Return the recipe of the released code.

    Its library weights the squared error of v by snr / (snr + 1), which is alpha_bar: nearly pure
    noise hardly counts.
    """
    return Recipe(prediction, schedule, weighting, sampler, levels)


@register(Kind.RECIPE, "ho2020", source="Ho et al. 2020, which the paper's text names")
def ho2020(
    prediction: str = "noise",
    schedule: str = "linear",
    weighting: str = "uniform",
    sampler: str = "ddpm",
    levels: str = "whole",
) -> Recipe:
    """Return the recipe of the text: the network predicts the noise."""
    return Recipe(prediction, schedule, weighting, sampler, levels)


RECIPES = {"authors": authors, "ho2020": ho2020}


def recipe_of(recipe: str | Recipe) -> Recipe:
    """Return the recipe of that name (`authors+weighting=min-snr` changes one), or itself.

    Raises:
        BenchError: If there is none, or what it is to be changed in is not known.
    """
    if isinstance(recipe, Recipe):
        return recipe
    name, changes = options_of(recipe)
    if name not in RECIPES:
        raise BenchError(f"no recipe named '{name}'; expected one of {', '.join(RECIPES)}")
    known = [field.name for field in fields(Recipe)]
    for change in changes:
        if change not in known:
            raise BenchError(f"recipe '{recipe}': no option '{change}'; known: {', '.join(known)}")
    return RECIPES[name](**{key: str(value) for key, value in changes.items()})


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
