"""Pixel-wise distance of images to the truth: mean squared error and PSNR."""

import torch

from bench.metrics.guard import check_images


def mse(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error [B] (float64) of images [B,C,H,W] in [0, 1]."""
    check_images(y, "y", like=check_images(x, "x"))
    return (x.double() - y.double()).square().flatten(1).mean(dim=1)


def psnr(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the peak signal-to-noise ratio in dB [B] (float64) for a data range of 1.

    Identical images give infinity. It is not capped: a cap would be an invented number, and a mean
    over images that holds an infinity is refused where intervals are made.
    """
    return -10 * torch.log10(mse(x, y))
