"""AlexNet's convolution trunk with its packaged ImageNet weights.

Shared by LPIPS and by the feature extractor, so that both work offline and without torchvision.
"""

import functools
import hashlib
import importlib.resources

import safetensors.torch
import torch
from torch import nn

from bench.api import StorageError
from bench.metrics import trunk

WEIGHTS = "lpips_alex.safetensors"
WEIGHTS_SHA = "e34f609e3a72a82a5ee3b97e290c54b89577de5208ed82259bc2068adcfeaeeb"
CHANNELS = (64, 192, 384, 256, 256)


class Trunk(nn.Module):
    """The five convolutions of AlexNet; frozen, in evaluation mode.

    Source: Krizhevsky 2014 ("One weird trick"), torchvision's AlexNet, weights IMAGENET1K_V1.

    Args:
        precision: "float32" or "bfloat16".
    """

    def __init__(self, precision: str = "float32"):
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        self.features = nn.Sequential(
            nn.Conv2d(3, first, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(third, fourth, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(fourth, fifth, 3, padding=1),
            nn.ReLU(),
        )
        self.load_state_dict({k: v for k, v in weights().items() if k.startswith("features.")})
        trunk.frozen(self, precision)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map normalised images [B,3,H,W] to the outputs of the five ReLUs."""
        taps = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                taps.append(x)
        return taps


@functools.cache
def weights() -> dict[str, torch.Tensor]:
    """Return the packaged tensors; callers copy and never change them.

    Raises:
        StorageError: If the file is not there or is not the one that was shipped.
    """
    file = importlib.resources.files("bench.metrics") / "files" / WEIGHTS
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read the packaged weights {WEIGHTS} ({error}); reinstall the package"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA:
        raise StorageError(
            f"the packaged weights {WEIGHTS} have sha256 {found[:12]}, expected "
            f"{WEIGHTS_SHA[:12]}; reinstall the package"
        )
    return safetensors.torch.load(data)
