"""The feature extractor that ships with the package: AlexNet's last convolution, averaged."""

import torch
from torch import nn

from bench.api import Kind, register
from bench.metrics import alexnet
from bench.metrics.guard import check_images


@register(
    Kind.FEATURES,
    "alexnet",
    source="Krizhevsky 2014, torchvision IMAGENET1K_V1: fifth ReLU, mean over pixels",
    note="offline; distances in it are not Inception FIDs",
)
class AlexNetFeatures(nn.Module):
    """Maps images to 256 features; needs no download."""

    name = "alexnet"
    dimension = alexnet.CHANNELS[-1]
    weights_sha = alexnet.WEIGHTS_SHA
    resize = "bilinear-64-if-smaller"

    def __init__(self):
        super().__init__()
        self.trunk = alexnet.Trunk()
        # ImageNet's mean and standard deviation in [0, 1].
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [B,1|3,H,W] in [0, 1] to features [B,256].

        Images with a side below 64 pixels are enlarged bilinearly to 64.

        Raises:
            Invalid: If the images are not as expected.
        """
        images = alexnet.prepare(check_images(images, "images").to(self.mean.dtype))
        return self.trunk((images - self.mean) / self.std)[-1].mean(dim=(2, 3))
