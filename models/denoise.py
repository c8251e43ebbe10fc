"""A diffusion model as a denoiser of images: the adapter from a backbone to the harness."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from bench.api import ENTRIES, BenchError, Estimate, Kind, Level, Noise, Trainer, register
from models.diffusion import Diffusion, Recipe
from models.process import state_from_noisy, to_image
from models.samplers import Sampler, ddpm, respaced, strided


def sampler_of(sampler: str | Sampler) -> Sampler:
    """Return the registered sampler of that name, or the function itself.

    Raises:
        BenchError: If there is none.
    """
    if callable(sampler):
        return sampler
    if (Kind.SAMPLER, sampler) not in ENTRIES:
        known = sorted(name for kind, name in ENTRIES if kind is Kind.SAMPLER)
        raise BenchError(f"no sampler named '{sampler}'; known: {', '.join(known)}")
    return ENTRIES[Kind.SAMPLER, sampler].build


@register(
    Kind.DENOISER,
    "diffusion",
    source="section 4.2 of the paper: the reverse process, from the level of the noise",
)
class DiffusionDenoiser(nn.Module):
    """Denoises in one step (posterior mean), step by step (ancestral), or from pure noise.

    It is told sigma and goes to the level of its own schedule that has it, so networks with
    different schedules meet the same noisy images.
    """

    def __init__(
        self,
        backbone: nn.Module,
        recipe: str | Recipe = "authors",
        *,
        clip: bool = True,
        std: float | None = None,
    ) -> None:
        """Build it.

        Args:
            backbone: The network.
            recipe: What it predicts, and under which schedule.
            clip: Whether the predicted image is held within [0, 1].
            std: Constant noise of each step of `restore`, in units of [-1, 1]; by default the
                posterior's. The paper's code has 0.005.
        """
        super().__init__()
        self.diffusion = Diffusion(backbone, recipe=recipe)
        self.clip = clip
        self.std = std

    @property
    def recipe(self) -> Recipe:
        """What the network predicts, and under which schedule."""
        return self.diffusion.recipe

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        """Return the training loss of clean images [B,C,H,W] in [0, 1]."""
        return self.diffusion.loss(batch, rng)

    def fit(self, clean: Tensor, levels: Sequence[Level], trainer: Trainer, seed: int) -> None:
        """Learn all levels at once, whichever are asked for."""
        trainer.train(self, clean, seed)

    @torch.no_grad()
    def denoise(self, y: Tensor, level: Level, noise: Noise) -> Tensor:
        """Return the network's estimate of the posterior mean: one call, no noise."""
        t = self.diffusion.schedule.step_of_sigma(level.sigma)
        if t == 0:
            return y
        return to_image(self.diffusion.predict(self._state(y, t), t, clip=self.clip).x0)

    def restore(self, y: Tensor, level: Level, noise: Noise, stride: int = 1) -> Iterator[Estimate]:
        """Go down from the level of y ancestrally, `stride` levels with each call."""
        t = self.diffusion.schedule.step_of_sigma(level.sigma)
        grid = strided(t, stride)
        return ddpm(self.diffusion, self._state(y, t), grid, noise, clip=self.clip, std=self.std)

    def generate(
        self,
        x_T: Tensor,
        noise: Noise,
        *,
        steps: int,
        sampler: str | Sampler | None = None,
    ) -> Iterator[Estimate]:
        """Make images out of standard normal x_T [B,C,H,W] with `steps` network calls.

        Args:
            x_T: State at level T.
            noise: Draws the noise of each image, where the sampler needs any.
            steps: Network calls.
            sampler: A registered name or a function like `ddim`; by default the recipe's.
        """
        sample = sampler_of(sampler or self.recipe.sampler)
        grid = respaced(self.diffusion.schedule.steps, steps)
        return sample(self.diffusion, x_T, grid, noise, clip=self.clip)

    def _state(self, y: Tensor, t: float) -> Tensor:
        return state_from_noisy(y, float(self.diffusion.schedule.alpha_bar(t)))
