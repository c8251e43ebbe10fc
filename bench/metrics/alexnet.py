"""AlexNet's convolution trunk with its packaged ImageNet weights.

Shared by LPIPS and by the feature extractor, so that both work offline and without torchvision.
"""

import functools
import hashlib
import importlib.resources

import safetensors.torch
import torch
from torch import nn

from bench.api import Invalid, StorageError

WEIGHTS = "lpips_alex.safetensors"
WEIGHTS_SHA = "e34f609e3a72a82a5ee3b97e290c54b89577de5208ed82259bc2068adcfeaeeb"
CHANNELS = (64, 192, 384, 256, 256)
SMALLEST = 64
"""Smaller images are enlarged to this side: the trunk needs 31 pixels, LPIPS' authors advise 64."""
RESIZE = f"bilinear-{SMALLEST}"


class Trunk(nn.Module):
    """The five convolutions of AlexNet; frozen, in evaluation mode.

    Source: Krizhevsky 2014 ("One weird trick"), torchvision's AlexNet, weights IMAGENET1K_V1.
    """

    def __init__(self):
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
        self.eval().requires_grad_(False)

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


def resize_of(images: torch.Tensor) -> str:
    """Return what `prepare` does to images of this size: "none" or "bilinear-64"."""
    return RESIZE if min(images.shape[-2:]) < SMALLEST else "none"


def prepare(images: torch.Tensor) -> torch.Tensor:
    """Return images [B,1|3,H,W] with three channels and no side below 64.

    Grey is repeated; enlarging is bilinear with half-pixel centres and keeps the aspect ratio.

    Raises:
        Invalid: If there are neither one nor three channels.
    """
    if images.shape[1] not in (1, 3):
        raise Invalid(f"AlexNet: images with {images.shape[1]} channels, expected 1 or 3")
    images = images.expand(-1, 3, -1, -1)
    if resize_of(images) == "none":
        return images
    shortest = min(images.shape[-2:])
    size = [round(side * SMALLEST / shortest) for side in images.shape[-2:]]
    return nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
