"""The linear filter of least mean squared error: the floor that a learnt method must beat."""

from collections.abc import Sequence

import torch
from torch import nn

from bench.api import BenchError, Kind, Level, Noise, Trainer, register

FULL_UP_TO = 1024
"""Largest number of values per image for which the whole covariance is used (4 MiB, 0.3 s)."""
BLOCK = 256
"""Training images taken at a time; bounds the memory."""


@register(
    Kind.DENOISER,
    "wiener",
    source="Wiener 1949; E[x] + S (S + sigma^2 I)^-1 (y - E[x]) with the training covariance S",
)
class Wiener(nn.Module):
    """The linear minimum mean squared error estimate, fitted in closed form, in float64.

    Up to 1,024 values per image S is the whole empirical covariance. Above, images are taken as
    stationary, which makes S block diagonal over spatial frequencies: one C x C matrix each.
    """

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        super().__init__()
        del scale  # no widths
        shape = (channels, image_size, image_size)
        values = channels * image_size**2
        self.full = values <= FULL_UP_TO
        if self.full:
            count, size, kind = 1, values, torch.float64
        else:
            count, size, kind = image_size * (image_size // 2 + 1), channels, torch.complex128
        self.register_buffer("mean", torch.full(shape, torch.nan, dtype=torch.float64))
        self.register_buffer("variances", torch.zeros(count, size, dtype=torch.float64))
        self.register_buffer("directions", torch.zeros(count, size, size, dtype=kind))

    def fit(
        self, clean: torch.Tensor, levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Estimate mean and covariance from clean images [N,C,H,W]; levels do not matter.

        Raises:
            BenchError: If there are fewer than two images.
        """
        if len(clean) < 2:
            raise BenchError(f"wiener needs at least 2 training images, got {len(clean)}")
        blocks = clean.split(BLOCK)
        self.mean.copy_(sum(block.to(self.mean).sum(0) for block in blocks) / len(clean))
        moments = sum(_second_moment(self._spread(block.to(self.mean))) for block in blocks)
        S = moments / (len(clean) - 1)  # unbiased, as the mean comes from the same images
        variances, directions = torch.linalg.eigh(S)
        self.variances.copy_(variances.clamp_min(0))
        self.directions.copy_(directions)

    @torch.no_grad()
    def denoise(self, y: torch.Tensor, level: Level, noise: Noise) -> torch.Tensor:
        """Return the estimates for y [B,C,H,W] at its exact noise level.

        Raises:
            BenchError: If the filter was not fitted.
        """
        if self.mean.isnan().any():
            raise BenchError("wiener is not fitted; call fit with training images first")
        z = self._spread(y.to(self.mean)) @ self.directions.conj()
        gain = self.variances / (self.variances + level.sigma**2).clamp_min(1e-300)
        z = (z * gain[:, None]) @ self.directions.mT
        return self._gather(z).to(y)

    def _spread(self, images: torch.Tensor) -> torch.Tensor:
        """Return centred images [B,C,H,W] as vectors [1,B,CHW], or per frequency [F,B,C]."""
        centred = images - self.mean
        if self.full:
            return centred.flatten(1)[None]
        frequencies = torch.fft.rfft2(centred, norm="ortho")
        return frequencies.flatten(2).permute(2, 0, 1)

    def _gather(self, z: torch.Tensor) -> torch.Tensor:
        """Undo `_spread`."""
        height, width = self.mean.shape[1:]
        if self.full:
            return z[0].unflatten(1, self.mean.shape) + self.mean
        frequencies = z.permute(1, 2, 0).unflatten(2, (height, width // 2 + 1))
        return torch.fft.irfft2(frequencies, s=(height, width), norm="ortho") + self.mean


def _second_moment(z: torch.Tensor) -> torch.Tensor:
    """Return the sum of z z^H over row vectors z [F,B,D] as [F,D,D]."""
    if len(z) == 1:
        return z.mT @ z
    # with many frequencies and a few channels a product per pair of channels is 10 times as fast
    rows = [torch.stack([(a * b.conj()).sum(1) for b in z.unbind(2)], 1) for a in z.unbind(2)]
    return torch.stack(rows, 1)
