"""Structural similarity with the Gaussian window of its authors, and as the paper's code has it."""

from dataclasses import dataclass

import torch

from bench.api import Invalid
from bench.metrics.guard import check_images

WINDOW = 11
SIGMA = 1.5
K1 = 0.01
K2 = 0.03
NOTEBOOK_WINDOW = 7
NOTEBOOK_RANGE = 2.0


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the structural similarity [B] (float64) of images [B,C,H,W] in [0, 1].

    The mean over channels and over those pixels whose whole window lies inside the image, so that
    no rule for borders enters. Population (not sample) covariance. The data range is 1, never
    guessed from the images.

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
    return Truth.of(y).ssim(x)


@dataclass(frozen=True, eq=False)
class Truth:
    """Images with the part of their SSIM that is theirs alone, for many estimates of them."""

    images: torch.Tensor
    """[B,C,H,W] in [0, 1]."""
    doubled: torch.Tensor
    """The same in float64."""
    blurred: torch.Tensor
    """Window means of the images and of their squares, [2,B,C,H-10,W-10] float64."""

    @classmethod
    def of(cls, images: torch.Tensor) -> "Truth":
        """Return what SSIM needs of images [B,C,H,W] in [0, 1].

        Raises:
            Invalid: If they are no images, or a side is below 11 pixels.
        """
        check_images(images, "y")
        _check_size(images, WINDOW)
        y = images.double()
        return cls(images, y, _blur(torch.stack((y, y * y)), _gaussian()))

    def ssim(self, estimate: torch.Tensor) -> torch.Tensor:
        """Return `ssim(estimate, images)` [B], bit for bit, in three fifths of its time.

        Raises:
            Invalid: If the estimate is no batch of images of the same shape.
        """
        check_images(self.images, "y", like=check_images(estimate, "x"))
        x = estimate.double()
        mean_x, xx, xy = _blur(torch.stack((x, x * x, x * self.doubled)), _gaussian())
        mean_y, yy = self.blurred
        return _similarity((mean_x, mean_y), (xx, yy, xy), data_range=1.0)


def ssim_authors(
    x: torch.Tensor, y: torch.Tensor, *, data_range: float = NOTEBOOK_RANGE
) -> torch.Tensor:
    """Return SSIM [B] (float64) as the notebook of Calvo-Ordonez et al. computes it.

    Only there to explain a gap to the paper's tables; it flatters. A flat window of 7x7, sample
    covariance, the mean over channels: scikit-image's defaults. Where the notebook follows one
    network step by step it names no data range, for which scikit-image then took 2 for floats:
    four times the constants that damp the ratio. Where it compares two networks, and for DnCNN,
    the autoencoder and BM3D, it names 1. The paper does not say which of the two it prints.

    Source: scikit-image 0.19, `structural_similarity` with no argument but the axis of channels.
    Differs: in double precision, for images in [0, 1]; the notebook does not clip.

    Raises:
        Invalid: If a side is below 7 pixels.
    """
    check_images(y, "y", like=check_images(x, "x"))
    _check_size(x, NOTEBOOK_WINDOW)
    weights = [1 / NOTEBOOK_WINDOW] * NOTEBOOK_WINDOW
    pixels = NOTEBOOK_WINDOW**2
    x, y = x.double(), y.double()
    mean_x, mean_y, xx, yy, xy = _blur(torch.stack((x, y, x * x, y * y, x * y)), weights)
    unbias = pixels / (pixels - 1)
    return _similarity((mean_x, mean_y), (xx, yy, xy), data_range=data_range, unbias=unbias)


def _check_size(x: torch.Tensor, window: int) -> None:
    if min(x.shape[-2:]) < window:
        raise Invalid(
            f"SSIM: images of {x.shape[-2]}x{x.shape[-1]} pixels, expected at least "
            f"{window}x{window}; resize them first and say so"
        )


def _gaussian() -> list[float]:
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    return (weights / weights.sum()).tolist()


def _similarity(
    means: tuple[torch.Tensor, torch.Tensor],
    squares: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    *,
    data_range: float,
    unbias: float = 1.0,
) -> torch.Tensor:
    """Return the mean over windows.

    Args:
        means: Window means of x and y, float64: E[x^2] - E[x]^2 cancels, and flat regions are of
            the size of the second constant.
        squares: Those of x x, y y and x y.
        data_range: Of the images.
        unbias: Multiplies the covariances.
    """
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    (mean_x, mean_y), (xx, yy, xy) = means, squares
    square = mean_x.square() + mean_y.square()
    product = mean_x * mean_y
    similarity = (2 * product + c1) * (2 * unbias * (xy - product) + c2)
    similarity /= (square + c1) * (unbias * (xx + yy - square) + c2)
    return similarity.flatten(1).mean(dim=1)


def _blur(maps: torch.Tensor, weights: list[float]) -> torch.Tensor:
    """Blur the last two dimensions where the window fits: H, W shrink by the window less one.

    Sums of shifted slices rather than a convolution: as fast in double precision, and every pixel
    is the same sum in the same order whatever the batch.
    """
    for dim in (-2, -1):
        size = maps.shape[dim] - len(weights) + 1
        blurred = maps.narrow(dim, 0, size) * weights[0]
        for start, weight in enumerate(weights[1:], start=1):
            blurred.add_(maps.narrow(dim, start, size), alpha=weight)
        maps = blurred
    return maps
