"""The denoiser that does nothing: the input's own scores."""

from collections.abc import Sequence

import torch

from bench.api import Kind, Level, Noise, Property, Trainer, register


@register(
    Kind.DENOISER,
    "identity",
    source="the noisy image itself; protocol for Table 4",
    lacks=(Property.PSNR_GAIN,),
)
class Identity:
    """Returns the noisy image; what every denoiser has to beat."""

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        del channels, image_size, scale  # the same for every size

    def fit(
        self, clean: torch.Tensor, levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Learn nothing."""

    def denoise(self, y: torch.Tensor, level: Level, noise: Noise) -> torch.Tensor:
        """Return a copy of y [B,C,H,W]."""
        return y.clone()
