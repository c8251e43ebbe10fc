"""Grey pixels as features: a distance that no pretrained network has a say in."""

import hashlib

import torch
from torch import nn

from bench.api import Invalid, Kind, register
from bench.metrics.guard import check_images

SIDE = 16


@register(
    Kind.FEATURES,
    "pixels",
    source="own: grey images averaged to 16x16 pixels",
    note="sees brightness and coarse shape only",
)
class PixelFeatures(nn.Module):
    """Maps images to the 256 pixels of their grey 16x16 versions."""

    name = "pixels"
    dimension = SIDE * SIDE
    weights_sha = hashlib.sha256(b"").hexdigest()
    """The hash of nothing: there are no weights."""
    resize = f"average-{SIDE}"

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [B,C,H,W] in [0, 1] to features [B,256].

        Raises:
            Invalid: If the images are not as expected or have a side below 16 pixels.
        """
        check_images(images, "images")
        if min(images.shape[-2:]) < SIDE:
            raise Invalid(f"pixels: images of {list(images.shape[-2:])}, expected {SIDE} or more")
        grey = images.float().mean(dim=1, keepdim=True)
        return nn.functional.adaptive_avg_pool2d(grey, SIDE).flatten(1)
