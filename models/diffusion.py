"""A backbone with what it predicts and under which schedule: loss and prediction."""

import inspect
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.api import BenchError, Kind, options_of, register, untouched
from models import process
from models.registered import registered
from models.schedule import network_step, schedule

PREDICTIONS = ("v", "noise", "x0")
WEIGHTINGS = ("uniform", "alpha-bar", "min-snr")
LEVELS = ("whole", "continuous")
GAMMA = 5.0
"""Where min-snr cuts the signal-to-noise ratio off."""


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


def recipe_of(recipe: str | Recipe) -> Recipe:
    """Return the recipe of that name (`authors+weighting=min-snr` changes one), or itself.

    Raises:
        BenchError: If there is none, or what it is to be changed in is not known.
    """
    if isinstance(recipe, Recipe):
        return recipe
    name, changes = options_of(recipe)
    build = registered(Kind.RECIPE, name)
    known = inspect.signature(build).parameters
    for change in changes:
        if change not in known:
            raise BenchError(f"recipe '{recipe}': no option '{change}'; known: {', '.join(known)}")
    found: Recipe = build(**changes)
    return found


def weight_of(recipe: Recipe, alpha_bar: Tensor) -> Tensor:
    """Return how much the squared error of what a recipe predicts counts at these levels.

    "uniform" is the simple loss. "alpha-bar" is snr / (snr + 1), whatever is predicted. "min-snr"
    counts the error of x0 by min(snr, 5): the squared error of the noise is that of x0 times snr,
    and that of v times snr + 1, so that theirs are divided by these.

    Source: Ho et al. 2020, equation 14, for "uniform"; the paper's released code for "alpha-bar";
    Hang et al. 2023 (Min-SNR-gamma), section 3.4, for "min-snr".
    """
    match recipe.weighting:
        case "uniform":
            return torch.ones_like(alpha_bar)
        case "alpha-bar":
            return alpha_bar
    of_x0 = (alpha_bar / (1 - alpha_bar)).clamp(max=GAMMA)
    match recipe.prediction:
        case "v":
            return of_x0 * (1 - alpha_bar)
        case "noise":
            return of_x0 * (1 - alpha_bar) / alpha_bar
        case _:
            return of_x0


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
            rng: Draws the levels, uniformly from 1..T or from (0, T], and the noise.
        """
        x0 = process.to_state(batch)
        told, left = self._levels(len(batch), rng)
        told, left = told.to(x0), left.to(x0.device)[:, None, None, None]
        eps = torch.randn(batch.shape, generator=rng, device=rng.device).to(x0)
        # Where `left` has float64, these have it too: near level 0 float32 does not know 1 - left.
        x_t = process.q_sample(x0, eps, left).to(x0)
        target = self._target(x0, eps, left).to(x0)
        out = untouched(self.backbone, x_t, told)
        error = (out - target).square().flatten(1).mean(dim=1)
        if self.recipe.weighting != "uniform":
            error = error * weight_of(self.recipe, left.flatten()).to(x0)
        return error.mean()

    def _levels(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the steps that the network is told and the alpha_bar of `count` random levels.

        Source: Song and Ermon 2019, and Chen et al. 2021 (WaveGrad), algorithm 1: networks that are
        told how noisy their input is and learn it at levels between the whole ones.
        Differs: WaveGrad draws a segment and then sqrt(alpha_bar) uniformly in it; here the level
        is drawn uniformly, and alpha_bar is the schedule's of that level.
        """
        steps = self.schedule.steps
        if self.recipe.levels == "whole":
            t = torch.randint(1, steps + 1, (count,), generator=rng, device=rng.device)
            return t - 1, self.alpha_bars[t.to(self.alpha_bars.device)]
        uniform = torch.rand(count, generator=rng, device=rng.device, dtype=torch.float64)
        t = (1 - uniform) * steps  # above 0, and up to T
        return (t - 1).clamp(min=0), torch.from_numpy(self.schedule.alpha_bar(t.cpu().numpy()))

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
        left = self.schedule.share(t)
        told = torch.full((x_t.shape[0],), network_step(t), dtype=x_t.dtype, device=x_t.device)
        out = untouched(self.backbone, x_t, told)
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
