"""The feature extractor that ships with the package: AlexNet's last convolution, averaged."""

import torch

from bench.api import Kind, register
from bench.metrics import alexnet
from bench.metrics.guard import check_images
from bench.metrics.trunk import IMAGENET_MEAN, IMAGENET_STD, Features, Pooled


@register(
    Kind.FEATURES,
    "alexnet",
    source="Krizhevsky 2014, torchvision IMAGENET1K_V1: fifth ReLU, mean over pixels",
    note="offline; distances in it are not Inception FIDs",
)
class AlexNetFeatures(Features):
    """Maps images to 256 features; needs no download."""

    name = "alexnet"
    dimension = alexnet.CHANNELS[-1]
    weights_sha = alexnet.WEIGHTS_SHA
    resize = "bilinear-64-if-smaller"

    def __init__(self, precision: str = "float32"):
        super().__init__(Pooled(alexnet.Trunk(precision)), IMAGENET_MEAN, IMAGENET_STD)
        self.precision = precision

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [B,1|3,H,W] in [0, 1] to features [B,256].

        Images with a side below 64 pixels are enlarged bilinearly to 64.

        Raises:
            Invalid: If the images are not as expected.
        """
        return self.vectors(check_images(images, "images"))
