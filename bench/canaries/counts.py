"""Known answers of the cost counters, and of the random generator that all noise comes from."""

import hashlib
from collections.abc import Iterator

import torch
from torch import nn

from bench.canaries.canary import Canary
from bench.metrics.cost.authors import authors_macs
from bench.metrics.cost.files import parameters
from bench.metrics.cost.run import torch_flops
from bench.metrics.cost.traced import fvcore_macs
from bench.seeds import ImageNoise

SIDE, CHANNELS, KERNEL = 16, 6, 3
WEIGHTS = CHANNELS**2 * KERNEL**2
MACS = SIDE**2 * WEIGHTS
COUNTED = "closed form: pixels x input channels x output channels x kernel area"
NOISE = "f9fe81909c153b26"
GRID = 100
"""Noise is compared in hundredths: processors differ in the last bit of a logarithm, while
another stream of random numbers differs in all digits."""


def count_canaries() -> Iterator[Canary]:
    """Yield them: one convolution by each counter, and its parameters."""
    layer = nn.Conv2d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2, bias=False).eval()
    x = torch.zeros(1, CHANNELS, SIDE, SIDE)
    counters = {
        "authors": lambda: float(authors_macs(layer, x)),
        "fvcore": lambda: float(fvcore_macs(layer, x).macs),
        "torch": lambda: torch_flops(layer, x) / 2,
    }
    for name, count in counters.items():
        yield Canary(f"macs-by-{name}", float(MACS), 0.0, count, COUNTED)
    yield Canary(
        "parameters",
        float(WEIGHTS),
        0.0,
        lambda: float(parameters(layer).total),
        "closed form: input channels x output channels x kernel area",
    )


def noise_canaries() -> Iterator[Canary]:
    """Yield it: numbers measured with another noise cannot be compared with other runs."""
    yield Canary(
        "noise-stream",
        NOISE,
        0.0,
        lambda: noise_sha(fixed_noise()),
        "sha256 of the noise of a fixed seed in hundredths, made with torch 2.13",
    )


def fixed_noise() -> torch.Tensor:
    """Return the noise on four small images of a seed that never changes."""
    return ImageNoise("canary", images=range(4))(torch.zeros(4, 1, 8, 8))


def noise_sha(noise: torch.Tensor) -> str:
    """Return the first 16 digits of the sha256 of noise rounded to hundredths."""
    hundredths = (noise.double() * GRID).round().to(torch.int16).numpy().astype("<i2")
    return hashlib.sha256(hundredths.tobytes()).hexdigest()[:16]
