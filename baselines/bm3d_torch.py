"""BM3D written anew from the papers, in torch: nothing compiled, no licence but the project's."""

import math
from collections.abc import Sequence

import torch

from baselines import _bm3d_transforms as transforms
from baselines._bm3d_stages import Stage, hard_threshold, wiener
from bench.api import BenchError, Kind, Level, Noise, Trainer, register

SMALLEST = 8
"""Smallest side of an image, in pixels: that of a block."""

FILTERED = 16
"""Sides below are mirrored outwards to this many pixels, as for the package."""


def stages(sigma: float) -> tuple[Stage, Stage]:
    """Return the parameters of hard thresholding and of Wiener filtering.

    Blocks, steps, groups, window and the threshold of grey images are those of the normal profile
    at every noise level. Noise adds 2 sigma^2 to the mean squared difference of two blocks, so the
    largest difference of similar blocks grows with it.

    Source: Dabov et al. 2007, table I, "Normal Profile".
    Differs: the largest differences are 2500 + 3 sigma^2 and 400 + sigma^2 / 2 on the 0 to 255
    scale (there 2500 and 400, which at sigma = 50 leave blocks alone: -1 dB on grey images); the
    threshold of colour differences is 3.2 sigma (there 2.7 like luminance's, which leaves stains:
    -0.4 to -1.3 dB in these channels). The profile for sigma > 40 (blocks of 12 and 11 pixels,
    compared after a threshold) is not used: at sigma = 50 it loses 0.2 to 0.8 dB.
    """
    first, second = 2500 / 255**2 + 3 * sigma**2, 400 / 255**2 + 0.5 * sigma**2
    return (
        Stage("bior", 8, step=3, group=16, similar=first, threshold=2.7, colour_threshold=3.2),
        Stage("dct", 8, step=3, group=32, similar=second),
    )


@register(
    Kind.DENOISER,
    "bm3d-torch",
    source="Dabov et al. 2007, sections III and IV and table I; colours: Dabov et al. 2007 (ICIP)",
)
class Bm3dTorch:
    """Block matching and 3D filtering with the exact noise level, of grey or colour images.

    Each image is filtered on its own, all its groups of one size at once, so its result does not
    depend on the batch. Colours are filtered apart in an opponent space, matched by luminance.

    Source: Dabov, Foi, Katkovnik, Egiazarian 2007, "Image denoising by sparse 3D transform-domain
    collaborative filtering"; the same, 2007, "Color image denoising via sparse 3D collaborative
    filtering with grouping constraint in luminance-chrominance space".
    Differs: means of groups are kept whatever the noise; `stages` says which parameters; images
    below 16 pixels a side are mirrored outwards.
    """

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        del image_size, scale  # any size, no widths
        _check_channels(channels)

    def fit(
        self, clean: torch.Tensor, levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Learn nothing."""

    @torch.no_grad()
    def denoise(self, y: torch.Tensor, level: Level, noise: Noise) -> torch.Tensor:
        """Return the estimates for unclipped y [B,1|3,H,W] with noise of `level.sigma`.

        Raises:
            BenchError: If there are other than 1 or 3 channels, a side is below 8 pixels, or sigma
                is no finite number from 0.
        """
        if y.ndim != 4:
            raise BenchError(f"bm3d-torch filters batches [B,C,H,W], got shape {tuple(y.shape)}")
        _check_channels(y.shape[1])
        if min(y.shape[2:]) < SMALLEST:
            raise BenchError(
                f"bm3d-torch needs images of at least {SMALLEST} pixels a side, "
                f"got {y.shape[2]}x{y.shape[3]}; enlarge them"
            )
        if not (math.isfinite(level.sigma) and level.sigma >= 0):
            raise BenchError(f"bm3d-torch needs a finite sigma >= 0, got {level.sigma}")
        restored = torch.empty_like(y, memory_format=torch.contiguous_format)
        for image, result in zip(y, restored, strict=True):
            result.copy_(_restored(image, level.sigma))
        return restored


def _check_channels(channels: int) -> None:
    if channels not in (1, 3):
        raise BenchError(f"bm3d-torch filters grey or colour images, got {channels} channels")


def _restored(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return the estimate of one image [C,H,W]."""
    larger, inside = mirrored(image if image.dtype == torch.float64 else image.float())
    colours = transforms.opponent().to(larger) if len(larger) == 3 else larger.new_ones(1, 1)
    channels = torch.einsum("ij,jhw->ihw", colours, larger)
    mean = channels.mean((1, 2), keepdim=True)  # differences of blocks lose fewer digits without
    first, second = stages(sigma)
    basic = hard_threshold(channels - mean, sigma, first)
    final = wiener(channels - mean, basic, sigma, second) + mean
    return torch.einsum("ij,ihw->jhw", colours, final)[inside]


def mirrored(image: torch.Tensor) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """Return [C,H,W], mirrored outwards to at least 16 pixels a side, and where it lies."""
    inside = [slice(None)]
    for axis in (1, 2):
        side = image.shape[axis]
        before = max(0, FILTERED - side) // 2
        place = torch.arange(-before, max(side, FILTERED) - before, device=image.device)
        place = torch.where(place < 0, -1 - place, place)
        image = image.index_select(axis, torch.where(place < side, place, 2 * side - 1 - place))
        inside.append(slice(before, before + side))
    return image, tuple(inside)
