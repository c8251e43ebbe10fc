"""Power of images by spatial frequency: how much detail is there, however well it is placed."""

import math

import torch
from torch import Tensor

from bench.api import Invalid
from bench.metrics.guard import check_finite

NYQUIST = 0.5
"""Cycles a pixel of the finest stripes that pixels can show."""
LEAST = 4
"""Pixels a side below which there is no band to speak of."""


def power(x: Tensor, y: Tensor | None = None, *, window: bool = True) -> Tensor:
    """Return how much of the variance of images lies at each frequency, [B,H,W] float64.

    The sum over frequencies is the variance over pixels, averaged over channels (Parseval). With a
    second batch it is the covariance: of what both have in common, by frequency.

    Each channel's mean is taken off first. The window lets the images fade towards their borders,
    as the transform goes round them: an edge between left and right border would count as detail.
    White noise has the same expected power with and without it.

    Args:
        x: Images [B,C,H,W].
        y: Images of the same shape.
        window: Whether to use it; without, the power does not change with a shift around.

    Raises:
        Invalid: If they are no such images, are below 4 pixels a side, or have a NaN.

    Source: Welch 1967, "The use of fast Fourier transform for the estimation of power spectra",
        equations 3 to 5: one segment, the window of Hann.
    Differs: two-dimensional, a product of two windows.
    """
    first = _transformed(x, "x", window=window)
    if y is None:
        return first.abs().square().mean(dim=1)
    if y.shape != x.shape:
        raise Invalid(f"y: found shape {list(y.shape)}, expected {list(x.shape)}")
    second = _transformed(y, "y", window=window)
    return (first * second.conj()).real.mean(dim=1)


def radius(height: int, width: int) -> Tensor:
    """Return the radial frequency of each entry of `power`, cycles a pixel [H,W] float64."""
    down, right = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    return torch.hypot(down[:, None], right[None, :])


def in_band(spectrum: Tensor, low: float, high: float = NYQUIST) -> Tensor:
    """Return the power [B] of `power`'s result at radial frequencies above `low` up to `high`.

    Raises:
        Invalid: If there is no frequency between them.
    """
    at = radius(*spectrum.shape[-2:])
    inside = (at > low) & (at <= high)
    if not inside.any():
        raise Invalid(
            f"no frequency above {low:g} up to {high:g} cycles a pixel in images of "
            f"{spectrum.shape[-2]}x{spectrum.shape[-1]} pixels, expected a wider band"
        )
    return (spectrum * inside).sum(dim=(-2, -1))


def radial(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    """Return frequencies [R] in cycles a pixel, and the mean power there, [B,R].

    The mean over rings one cycle per (shorter) side wide, up to `NYQUIST`; times the number of
    pixels, so that white noise of variance v is v at every frequency. The corners, beyond, are in
    no ring, and the constant is in none.
    """
    height, width = spectrum.shape[-2:]
    side = min(height, width)
    ring = torch.floor(radius(height, width) * side + 0.5).long()
    rings = side // 2
    means = [
        (spectrum * (ring == k)).sum(dim=(-2, -1)) / int((ring == k).sum())
        for k in range(1, rings + 1)
    ]
    at = torch.arange(1, rings + 1, dtype=torch.float64) / side
    return at, height * width * torch.stack(means, dim=-1)


def _transformed(x: Tensor, name: str, *, window: bool) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim != 4 or min(x.shape[-2:]) < LEAST or x.numel() == 0:
        found = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise Invalid(f"{name}: found {found}, expected images [B,C,H,W] of {LEAST} pixels or more")
    check_finite(x, name)
    x = x.double()
    x = x - x.mean(dim=(-2, -1), keepdim=True)
    height, width = x.shape[-2:]
    if window:
        x = x * _hann(height)[:, None] * _hann(width)[None, :]
    spectrum: Tensor = torch.fft.fft2(x) / (height * width)
    return spectrum


def _hann(side: int) -> Tensor:
    """Return the periodic window of Hann, scaled to a mean square of 1."""
    phase = 2 * math.pi * (torch.arange(side, dtype=torch.float64) + 0.5) / side
    return (1 - torch.cos(phase)) * math.sqrt(2 / 3)
