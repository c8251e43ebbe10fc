"""DnCNN as its authors trained it, for grey pictures at one noise level."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from bench.api import BenchError, Kind, Level, Missing, Noise, Trainer, register

LAYERS = 17
FEATURES = 64
SIGMA_255 = 25
HALF_A_GREY_LEVEL = 0.5
"""Levels this near to the one of the training are taken for it."""


@register(
    Kind.DENOISER,
    "dncnn-kair-25",
    source="Zhang et al. 2017, arXiv:1608.03981, DnCNN-S; the authors' weights (KAIR, MIT)",
)
class DnCnnPretrained(nn.Module):
    """DnCNN-S for sigma = 25/255: the noise is predicted and subtracted; learns nothing here.

    555,137 parameters: 17 convolutions of 3x3 with biases and 64 features, ReLU between them.

    Source: the network of Zhang et al., section III; its weights from KAIR, where every batch
        normalisation is merged into the convolution before it.
    """

    weights = "dncnn-kair-25"
    channels = 1
    levels = (Level(SIGMA_255 / 255),)

    def __init__(self, channels: int = 1, image_size: int = 64, scale: float = 1.0):
        super().__init__()
        del image_size, scale  # fully convolutional; the width is that of the weights
        if channels != self.channels:
            raise BenchError(
                f"dncnn-kair-25 was trained on grey pictures, got {channels} channels; take grey "
                "data, or dncnn, which is trained on the run's own"
            )
        layers: list[nn.Module] = [_conv(1, FEATURES), nn.ReLU()]
        for _ in range(LAYERS - 2):
            layers += [_conv(FEATURES, FEATURES), nn.ReLU()]
        self.model = nn.Sequential(*layers, _conv(FEATURES, 1))
        self._is_given = False

    def take(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Load the published tensors, "model.0.weight" and so on.

        Raises:
            BenchError: If they are those of another network.
        """
        try:
            self.load_state_dict(dict(tensors))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise BenchError(f"dncnn-kair-25: the weights do not fit ({reason})") from error
        self.eval().requires_grad_(False)
        self._is_given = True

    def fit(
        self, clean: torch.Tensor, levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Learn nothing."""

    @torch.no_grad()
    def denoise(self, y: torch.Tensor, level: Level, noise: Noise) -> torch.Tensor:
        """Return y [B,1,H,W] without the predicted noise.

        Raises:
            Missing: If it was given no weights.
            BenchError: If the level is not the one of the training.
        """
        if not self._is_given:
            raise Missing("dncnn-kair-25 has no weights yet: `take` hands them over")
        if abs(level.sigma * 255 - SIGMA_255) > HALF_A_GREY_LEVEL + 1e-9:
            raise BenchError(
                f"dncnn-kair-25 was trained at sigma 25/255 = {SIGMA_255 / 255:.4f}, asked for "
                f"{level.sigma:.4f} ({level.sigma * 255:.3g}/255); take dncnn, which is trained "
                "at the run's own levels"
            )
        return y - self.model(y)


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel_size=3, padding=1)
