"""Learned perceptual distance (LPIPS 0.1): AlexNet's works offline, VGG16's after one download."""

import torch
from torch import nn

from bench.api import BenchError
from bench.metrics import alexnet, trunk, vgg16
from bench.metrics.guard import check_images

TRUNKS = ("alex", "vgg")


class LPIPS(nn.Module):
    """Perceptual distance of pairs of images; smaller is nearer, 0 for identical images.

    Values of images of different sizes, or of different trunks, are not comparable. Images with a
    side below 64 pixels are enlarged bilinearly to 64 first: `resize` names that policy,
    `resize_of` what happens to given images, and a row carries the latter.

    Source: Zhang, Isola, Efros, Shechtman, Wang 2018, equation 1; weights of version 0.1.
    Differs: small images are enlarged (the original fails below 31 pixels with AlexNet, below 16
        with VGG16); grey images are repeated to three channels.

    Args:
        trunk: "alex", which the authors advise for distances, or "vgg", whose weights are fetched.

    Raises:
        BenchError: If there is no such trunk.
        Missing: If its weights are not on this machine.
    """

    name = "lpips-alex"
    weights_sha = alexnet.WEIGHTS_SHA
    resize = trunk.ENLARGED

    def __init__(self, trunk: str = "alex"):
        super().__init__()
        if trunk not in TRUNKS:
            raise BenchError(f"LPIPS has no trunk named '{trunk}'; expected alex or vgg")
        if trunk == "alex":
            tensors = alexnet.weights()
            self.trunk: nn.Module = alexnet.Trunk()
        else:
            tensors = vgg16.tensors()
            self.trunk = vgg16.Trunk(tensors)
            self.name, self.weights_sha = "lpips-vgg", vgg16.WEIGHTS_SHA
        # The published mean and standard deviation of the inputs, which lie in [-1, 1].
        mean, std = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.heads = sum(name.startswith("lin") for name in tensors)
        for layer in range(self.heads):
            self.register_buffer(f"lin{layer}", tensors[f"lin{layer}"].clone())

    @staticmethod
    def resize_of(images: torch.Tensor) -> str:
        """Return "none" or "bilinear-64": what happens to images of this size."""
        return trunk.resize_of(images)

    @torch.no_grad()
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances [B] of images x, y [B,1|3,H,W] in [0, 1].

        Raises:
            Invalid: If the images are not as expected.
        """
        check_images(y, "y", like=check_images(x, "x"))
        # The trunk twice, not once on a doubled batch: then identical images give exactly 0.
        return self.between(self._features(x), self._features(y))

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the five feature maps of images [B,1|3,H,W] in [0, 1], for `between`.

        They are what costs: of images that many others are compared with, they are made once.

        Raises:
            Invalid: If the images are not as expected.
        """
        return self._features(check_images(images, "images"))

    def between(self, f: list[torch.Tensor], g: list[torch.Tensor]) -> torch.Tensor:
        """Return the distances [B] of images, from the feature maps of either side."""
        heads = (self.get_buffer(f"lin{layer}") for layer in range(self.heads))
        return sum(
            ((a - b).square() * head).sum(dim=1).mean(dim=(1, 2))
            for a, b, head in zip(f, g, heads, strict=True)
        )

    def _features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the five feature maps, each pixel's vector scaled to length 1."""
        images = trunk.three_channels(images.to(self.mean.dtype), self.name)
        taps = self.trunk((2 * trunk.enlarged(images) - 1 - self.mean) / self.std)
        return [tap / (torch.linalg.vector_norm(tap, dim=1, keepdim=True) + 1e-10) for tap in taps]
