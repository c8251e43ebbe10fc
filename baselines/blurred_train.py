"""Blurred training images as the start of sampling: a control that leaks its training data."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import BenchError, Kind, Level, Noise, Trainer, register

WIDTH = 0.125
"""Standard deviation of the blur, in image heights."""


@register(
    Kind.GENERATOR,
    "blurred-train",
    source="ours: what ES-DDPM (Lyu et al. 2022) would be with a generator that copies",
    note="a control: its images are training images, so whatever it gains is leakage",
)
class BlurredTrain:
    """Draws training images and blurs them."""

    leaks = True

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        self._shape = (channels, image_size, image_size)
        self._clean: Tensor | None = None

    def fit(self, clean: Tensor, levels: Sequence[Level], trainer: Trainer, seed: int) -> None:
        """Keep the images; nothing is learnt."""
        self._clean = clean

    def draw(self, noise: Noise, count: int) -> Tensor:
        """Return blurred training images [count,C,H,W]; each is chosen by its own noise stream.

        Raises:
            BenchError: If there are no images yet.
        """
        if self._clean is None:
            raise BenchError("generator blurred-train: no images yet, call fit first")
        draws = noise(torch.empty(count, 1)).double().flatten()
        # A normal draw to a uniform one to an image.
        chosen = (
            (torch.special.ndtr(draws) * len(self._clean)).long().clamp(0, len(self._clean) - 1)
        )
        return blurred(self._clean[chosen.to(self._clean.device)], WIDTH * self._shape[-1])


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Return images [B,C,H,W] under a Gaussian of standard deviation `sigma` pixels, mirrored."""
    reach = min(max(1, round(3 * sigma)), min(images.shape[-2:]) - 1)
    at = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    window = torch.exp(-0.5 * (at / sigma) ** 2)
    window = (window / window.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, [reach] * 4, mode="reflect")
    across = F.conv2d(padded, window, groups=images.shape[1])
    return F.conv2d(across, window.transpose(-1, -2), groups=images.shape[1])
