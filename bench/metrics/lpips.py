"""Learned perceptual distance (LPIPS 0.1, AlexNet) that works offline."""

import torch
from torch import nn

from bench.metrics import alexnet
from bench.metrics.guard import check_images


class LPIPS(nn.Module):
    """Perceptual distance of pairs of images; smaller is nearer, 0 for identical images.

    Values of images of different sizes are not comparable. Images with a side below 64 pixels are
    enlarged bilinearly to 64 first: `resize` names that policy, `resize_of` what happens to given
    images, and a row carries the latter.

    Source: Zhang, Isola, Efros, Shechtman, Wang 2018, equation 1; weights of version 0.1.
    Differs: small images are enlarged (the original fails below 31 pixels); grey images are
        repeated to three channels.
    """

    name = "lpips-alex"
    weights_sha = alexnet.WEIGHTS_SHA
    resize = alexnet.RESIZE

    def __init__(self):
        super().__init__()
        self.trunk = alexnet.Trunk()
        # The published mean and standard deviation of the inputs, which lie in [-1, 1].
        mean, std = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        for layer in range(len(alexnet.CHANNELS)):
            self.register_buffer(f"lin{layer}", alexnet.weights()[f"lin{layer}"].clone())

    @staticmethod
    def resize_of(images: torch.Tensor) -> str:
        """Return "none" or "bilinear-64": what happens to images of this size."""
        return alexnet.resize_of(images)

    @torch.no_grad()
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances [B] of images x, y [B,1|3,H,W] in [0, 1].

        Raises:
            Invalid: If the images are not as expected.
        """
        check_images(y, "y", like=check_images(x, "x"))
        # The trunk twice, not once on a doubled batch: then identical images give exactly 0.
        pairs = zip(self._features(x), self._features(y), strict=True)
        heads = (self.get_buffer(f"lin{layer}") for layer in range(len(alexnet.CHANNELS)))
        return sum(
            ((f - g).square() * head).sum(dim=1).mean(dim=(1, 2))
            for (f, g), head in zip(pairs, heads, strict=True)
        )

    def _features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the five feature maps, each pixel's vector scaled to length 1."""
        images = alexnet.prepare(images.to(self.mean.dtype))
        taps = self.trunk((2 * images - 1 - self.mean) / self.std)
        return [tap / (torch.linalg.vector_norm(tap, dim=1, keepdim=True) + 1e-10) for tap in taps]
