"""The convolutional autoencoder of the paper's Table 4."""

import itertools
import math

import torch
from torch import nn

from baselines._trained import TrainedDenoiser, widened
from bench.api import BenchError, Kind, register

WIDTHS = (64, 128, 256, 512)
STRIDE = 2 ** len(WIDTHS)


@register(
    Kind.DENOISER,
    "conv-ae",
    source="Table 4, 'Conv AE'; shapes from the authors' notebook",
)
class ConvAutoencoder(TrainedDenoiser):
    """Four convolutions of stride 2, four transposed ones back, a sigmoid at the end.

    Source: the authors' notebook: 3x3 kernels down, 4x4 up, ReLU between, 3-64-128-256-512 and
    back, 4,307,011 parameters with 3 channels. There are no skip connections: at 64x64 all passes
    through 512 features of 4x4.

    Differs: training starts from He et al.'s weights (2015, section 2.2), not torch's own, under
    which eight layers shrink what passes through them to nothing.
    """

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        super().__init__()
        if image_size % STRIDE:
            raise BenchError(
                f"conv-ae halves images {len(WIDTHS)} times: image_size is {image_size}, "
                f"expected a multiple of {STRIDE}"
            )
        widths = (channels, *(widened(width, scale) for width in WIDTHS))
        down: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            down += [_kept(nn.Conv2d(before, after, 3, stride=2, padding=1), 9), nn.ReLU()]
        up: list[nn.Module] = []
        for before, after in itertools.pairwise(reversed(widths)):
            # of 16 taps, 4 reach any one pixel
            up += [_kept(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), 4), nn.ReLU()]
        self.encoder = nn.Sequential(*down)
        self.decoder = nn.Sequential(*up[:-1], nn.Sigmoid())

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """Map noisy, unclipped images [B,C,H,W] to clean ones in (0, 1)."""
        return self.decoder(self.encoder(y))


@torch.no_grad()
def _kept(conv: nn.Conv2d | nn.ConvTranspose2d, taps: int) -> nn.Module:
    """Return a layer whose first weights keep the variance of what comes out of a ReLU.

    Source: He, Zhang, Ren, Sun 2015, equation 10: variance 2 / (channels times taps).
    """
    nn.init.normal_(conv.weight, std=math.sqrt(2 / (conv.in_channels * taps)))
    nn.init.zeros_(conv.bias)
    return conv
