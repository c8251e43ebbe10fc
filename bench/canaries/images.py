"""Known answers of the measures of images: PSNR, SSIM, LPIPS."""

import math
from collections.abc import Iterator

import torch

from bench.canaries.canary import Canary
from bench.metrics.fidelity import psnr
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import ssim

SIDE = 64
WAVE = 0.2
"""Amplitude of a sine over whole periods: its mean square is WAVE^2 / 2."""
SSIM_OF_PAIR = 0.664467724388708
LPIPS_OF_PAIR = 0.0234767
LPIPS_TOLERANCE = 1e-5
"""LPIPS is single precision, and convolutions differ between processors."""


def image_canaries() -> Iterator[Canary]:
    """Yield them; the images come from formulas, so that no random generator enters."""
    first, second = pair()
    lpips = LPIPS()
    yield Canary(
        "psnr-of-a-wave",
        -10 * math.log10(WAVE**2 / 2),
        1e-9,
        lambda: float(psnr(*_wave())),
        "closed form: the mean square of a sine is half its amplitude squared",
    )
    yield Canary("ssim-of-itself", 1.0, 1e-12, lambda: float(ssim(first, first)), "definition")
    yield Canary(
        "ssim-of-a-pair",
        SSIM_OF_PAIR,
        1e-9,
        lambda: float(ssim(first, second)),
        "scikit-image 0.26, Gaussian weights, inside the border",
    )
    single = first.float(), second.float()
    yield Canary(
        "lpips-of-itself", 0.0, 0.0, lambda: float(lpips(single[0], single[0])), "definition"
    )
    yield Canary(
        "lpips-of-a-pair",
        LPIPS_OF_PAIR,
        LPIPS_TOLERANCE,
        lambda: float(lpips(*single)),
        "the lpips distribution 0.1.4, AlexNet",
    )


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Return two colour images [1,3,64,64] in [0, 1], alike but for contrast and texture."""
    y, x, colour = _axes()
    first = 0.5 + 0.4 * torch.sin(x / 5 + colour) * torch.cos(y / 7)
    texture = (7 * x + 3 * y + colour) % 5 / 4
    return first[None], (0.7 * first + 0.1 + 0.15 * texture)[None]


def _wave() -> tuple[torch.Tensor, torch.Tensor]:
    _, x, _ = _axes()
    grey = torch.full((1, 3, SIDE, SIDE), 0.5, dtype=torch.float64)
    return grey, grey + WAVE * torch.sin(2 * math.pi * 4 * x / SIDE)


def _axes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return row, column and colour of every pixel, ready to be broadcast to [3,64,64]."""
    place = torch.arange(SIDE, dtype=torch.float64)
    return place[:, None], place[None, :], torch.arange(3, dtype=torch.float64)[:, None, None]
