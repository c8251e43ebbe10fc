"""A diffusion model as a denoiser of images: the adapter from a backbone to the harness."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from bench.api import Estimate, Kind, Level, Noise, Trainer, options_of, register
from models.diffusion import Diffusion, Recipe
from models.process import q_sample, state_from_noisy, to_image, to_state
from models.registered import registered
from models.samplers.ddpm import ddpm
from models.samplers.grid import grid_of, strided
from models.samplers.walk import Sampler


def sampler_of(sampler: str | Sampler) -> Sampler:
    """Return the registered sampler of that name, or the function itself.

    Raises:
        BenchError: If there is none.
    """
    if callable(sampler):
        return sampler
    name, options = options_of(sampler)
    return partial(registered(Kind.SAMPLER, name), **options)


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
        x: Tensor,
        noise: Noise,
        *,
        steps: int,
        sampler: str | Sampler | None = None,
        spacing: str = "uniform",
        start: float | None = None,
    ) -> Iterator[Estimate]:
        """Make images out of states x [B,C,H,W] in `steps` steps.

        Args:
            x: State at level `start`; standard normal for level T.
            noise: Draws the noise of each image, where the sampler needs any.
            steps: Steps of the sampler; most make one network call in each.
            sampler: A registered name, with options or without (`ddim+eta=0.5`), or a function
                like `ddim`; by default the recipe's.
            spacing: How levels are chosen; see `models.samplers.grid`.
            start: Level that x belongs to; T by default.
        """
        sample = sampler_of(sampler or self.recipe.sampler)
        schedule = self.diffusion.schedule
        start = float(schedule.steps) if start is None else start
        grid = grid_of(spacing, schedule, start, steps)
        said = sample.keywords if isinstance(sample, partial) else {}
        return sample(self.diffusion, x, grid, noise, clip=said.get("clip", self.clip))

    def noised(self, images: Tensor, t: float, noise: Noise) -> Tensor:
        """Return states at level t of images [B,C,H,W] in [0, 1]: the forward process."""
        return q_sample(to_state(images), noise(images), self.diffusion.schedule.share(t))

    def _state(self, y: Tensor, t: float) -> Tensor:
        return state_from_noisy(y, self.diffusion.schedule.share(t))
