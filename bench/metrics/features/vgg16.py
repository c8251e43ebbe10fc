"""VGG16's last convolution, averaged: fetched weights, images as small as they are."""

import torch

from bench.api import Kind, register
from bench.metrics import vgg16
from bench.metrics.guard import check_images
from bench.metrics.trunk import IMAGENET_MEAN, IMAGENET_STD, Features, Pooled


@register(
    Kind.FEATURES,
    "vgg16",
    source="Simonyan, Zisserman 2015, torchvision IMAGENET1K_V1: conv5_3 after ReLU, mean",
    note="distances in it are not Inception FIDs; weights: python -m bench fetch vgg16",
)
class Vgg16Features(Features):
    """Maps images to the 512 channels of conv5_3, averaged over pixels."""

    name = "vgg16"
    dimension = vgg16.CHANNELS[-1]
    weights_sha = vgg16.WEIGHTS_SHA
    resize = "bilinear-64-if-smaller"

    def __init__(self, precision: str = "float32"):
        trunk = vgg16.Trunk(vgg16.tensors(), precision)
        super().__init__(Pooled(trunk), IMAGENET_MEAN, IMAGENET_STD)
        self.precision = precision

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [B,1|3,H,W] in [0, 1] to features [B,512].

        Raises:
            Invalid: If the images are not as expected.
        """
        return self.vectors(check_images(images, "images"))
