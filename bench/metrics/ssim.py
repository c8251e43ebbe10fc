"""Structural similarity with the Gaussian window of its authors."""

import torch

from bench.api import Invalid
from bench.metrics.guard import check_images

WINDOW = 11
SIGMA = 1.5
C1 = 0.01**2
"""(K1 * data range)^2; the data range is 1, never guessed from the images."""
C2 = 0.03**2


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the structural similarity [B] (float64) of images [B,C,H,W] in [0, 1].

    The mean over channels and over those pixels whose whole window lies inside the image, so that
    no rule for borders enters. Population (not sample) covariance.

    Source: Wang, Bovik, Sheikh, Simoncelli 2004, equation 13: window 11, sigma 1.5, K1 = 0.01,
        K2 = 0.03.
    Differs: colour images are the mean over channels; the paper treats luminance only. Equal to
        scikit-image with Gaussian weights; torchmetrics 1.9 adds windows over a mirrored border,
        which moves the value of a small image by several hundredths.

    Raises:
        Invalid: If a side is below 11 pixels: the window does not fit, and another window or a
            padded image would be another metric under the same name.
    """
    check_images(y, "y", like=check_images(x, "x"))
    if min(x.shape[-2:]) < WINDOW:
        raise Invalid(
            f"SSIM: images of {x.shape[-2]}x{x.shape[-1]} pixels, expected at least "
            f"{WINDOW}x{WINDOW}; resize them first and say so"
        )
    # Double precision: E[x^2] - E[x]^2 cancels, and flat regions are of the size of C2.
    x, y = x.double(), y.double()
    mean_x, mean_y, xx, yy, xy = _blur(torch.stack((x, y, x * x, y * y, x * y)))
    square = mean_x.square() + mean_y.square()
    product = mean_x * mean_y
    similarity = (2 * product + C1) * (2 * (xy - product) + C2)
    similarity /= (square + C1) * (xx + yy - square + C2)
    return similarity.flatten(1).mean(dim=1)


def _blur(maps: torch.Tensor) -> torch.Tensor:
    """Blur the last two dimensions where the window fits: H, W shrink by 10.

    Sums of shifted slices rather than a convolution: as fast in double precision, and every pixel
    is the same sum in the same order whatever the batch.
    """
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights = (weights / weights.sum()).tolist()
    for dim in (-2, -1):
        size = maps.shape[dim] - WINDOW + 1
        blurred = maps.narrow(dim, 0, size) * weights[0]
        for start, weight in enumerate(weights[1:], start=1):
            blurred.add_(maps.narrow(dim, start, size), alpha=weight)
        maps = blurred
    return maps
