"""What the trainable baselines share: noise levels for training, loss, evaluation."""

from collections.abc import Sequence

import torch
from torch import nn

from bench.api import BenchError, Level, Noise, Trainer


class TrainedDenoiser(nn.Module):
    """A network from noisy to clean images, trained at one noise level or blind over a range.

    Differs: the authors train at the one level 0.1 of clipped noise; here the levels are those
    asked for and nothing is clipped.
    """

    levels: tuple[Level, ...] = ()
    """Those of the last `fit`: one means trained for it, several mean blind over their range."""

    def fit(
        self, clean: torch.Tensor, levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Learn from clean images [N,C,H,W] at these levels.

        Raises:
            BenchError: If there is no level.
        """
        if not levels:
            raise BenchError("fit was given no noise level; expected one, or several for a range")
        self.levels = tuple(levels)
        trainer.train(self, clean, seed)

    def loss(self, batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Return the mean squared error on clean images [B,C,H,W] with fresh noise."""
        sigma = self.draw_sigma(len(batch), rng).to(batch)
        eps = torch.randn(batch.shape, generator=rng, device=rng.device).to(batch)
        return nn.functional.mse_loss(self(batch + sigma * eps), batch)

    def draw_sigma(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """Return noise levels [B,1,1,1], uniform between the lowest and the highest of `fit`.

        Raises:
            BenchError: If `fit` has not said which levels.
        """
        if not self.levels:
            raise BenchError("no noise levels yet: fit sets them before the loss is used")
        sigmas = [level.sigma for level in self.levels]
        low, high = min(sigmas), max(sigmas)
        uniform = torch.rand(count, 1, 1, 1, generator=rng, device=rng.device)
        return low + (high - low) * uniform

    @torch.no_grad()
    def denoise(self, y: torch.Tensor, level: Level, noise: Noise) -> torch.Tensor:
        """Return the restored images; neither the level nor fresh noise is used."""
        self.eval()  # batch statistics would let an image depend on its neighbours
        return self(y)


def widened(width: int, scale: float) -> int:
    """Return a width times the scale, at least 1."""
    return max(1, round(width * scale))
