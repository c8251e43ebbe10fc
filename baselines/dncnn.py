"""DnCNN: a plain convolutional network that predicts the noise."""

import torch
from torch import nn

from baselines._trained import TrainedDenoiser, widened
from bench.api import Kind, register

LAYERS = 20
FEATURES = 64
NEAR_IDENTITY = 0.3
"""Size of the random part of a hidden layer's first weights, against torch's own."""


@register(
    Kind.DENOISER,
    "dncnn",
    source="Zhang et al. 2017, Beyond a Gaussian denoiser, arXiv:1608.03981; the authors' notebook",
)
class DnCnn(TrainedDenoiser):
    """Conv-ReLU, then 18 times conv-batch norm-ReLU, then conv; its output is subtracted.

    With 3 channels 669,312 parameters: 3x3 convolutions, none with a bias.

    Source: the network of the authors' notebook (20 layers, 64 features).
    Differs: from Zhang et al. in the depth of their non-blind network (17) and in patches, which
    are whole images here; from both in where training starts: hidden layers pass their input on,
    with some noise. From random weights alone the network first learns to change nothing, and
    stays there for a hundred updates and more.
    """

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        super().__init__()
        del image_size  # fully convolutional
        width = widened(FEATURES, scale)
        layers: list[nn.Module] = [_conv(channels, width), nn.ReLU()]
        for _ in range(LAYERS - 2):
            layers += [_passing_on(_conv(width, width)), nn.BatchNorm2d(width), nn.ReLU()]
        self.noise = nn.Sequential(*layers, _conv(width, channels))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """Map noisy images [B,C,H,W] to clean ones."""
        return y - self.noise(y)


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)


@torch.no_grad()
def _passing_on(conv: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution that begins as the identity with a little of its random weights."""
    identity = nn.init.dirac_(torch.empty_like(conv.weight))
    conv.weight.mul_(NEAR_IDENTITY).add_(identity)
    return conv
