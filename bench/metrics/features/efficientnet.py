"""EfficientNet-Lite0's pooled features: a modern network whose weights any package index has."""

import torch

from bench import weights
from bench.api import Kind, register
from bench.metrics.efficientnet import WIDTH_HEAD, EfficientNetLite0
from bench.metrics.guard import check_images
from bench.metrics.trunk import Features, squared

SIDE = 224


@register(
    Kind.FEATURES,
    "efficientnet-lite0",
    source="Tan, Le 2019; the TPU team's EfficientNet-Lite0, ImageNet: mean of the last map",
    note="distances in it are not FIDs; weights: python -m bench fetch efficientnet-lite0",
)
class EfficientNetFeatures(Features):
    """Maps images to the 1,280 features before the classifier."""

    name = "efficientnet-lite0"
    dimension = WIDTH_HEAD
    weights_sha = weights.TABLE["efficientnet-lite0"].sha256
    resize = f"bilinear-{SIDE}"
    """Half-pixel grid; a larger image is reduced with antialiasing."""

    def __init__(self, precision: str = "float32"):
        from bench import weight_files

        trunk = EfficientNetLite0(weight_files.read(self.name), precision)
        # The network was trained on (v - 127) / 128 of values v from 0 to 255.
        super().__init__(trunk, (127 / 255,) * 3, (128 / 255,) * 3)
        self.precision = precision

    def resized(self, images: torch.Tensor) -> torch.Tensor:
        """Return images [B,3,224,224]."""
        return squared(images, SIDE)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [B,1|3,H,W] in [0, 1] to features [B,1280].

        Raises:
            Invalid: If the images are not as expected.
        """
        return self.vectors(check_images(images, "images"))
