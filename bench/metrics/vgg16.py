"""VGG16's convolution trunk; its ImageNet weights and LPIPS heads are fetched.

Shared by LPIPS and by the feature extractor.
"""

from torch import Tensor, nn

from bench import weights
from bench.metrics import trunk

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Widths of the 3x3 convolutions between two poolings."""
CHANNELS = tuple(stage[-1] for stage in STAGES)
WEIGHTS = "vgg16"
WEIGHTS_SHA = weights.TABLE[WEIGHTS].sha256


class Trunk(nn.Module):
    """The thirteen convolutions of VGG16; frozen, in evaluation mode.

    Source: Simonyan, Zisserman 2015, column D; torchvision's VGG16, weights IMAGENET1K_V1.

    Args:
        tensors: Named as in torchvision ("features.0.weight"); other names are left aside.
        precision: "float32" or "bfloat16".
    """

    def __init__(self, tensors: dict[str, Tensor], precision: str = "float32"):
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for stage, widths in enumerate(STAGES):
            layers += [nn.MaxPool2d(2)] if stage else []
            for width in widths:
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
        self.features = nn.Sequential(*layers)
        wanted = {k: v for k, v in tensors.items() if k.startswith("features.")}
        trunk.load(self, wanted, WEIGHTS)
        trunk.frozen(self, precision)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map normalised images [B,3,H,W] to the last ReLU of each of the five stages."""
        taps = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                taps.append(x)
            x = layer(x)
        return [*taps, x]


def tensors() -> dict[str, Tensor]:
    """Return the fetched tensors: "features.N.weight", "features.N.bias", "lin0" to "lin4".

    Raises:
        Missing: If the weights are not on this machine.
        BenchError: If they are not what they should be.
    """
    from bench import weight_files

    return named(weight_files.read(WEIGHTS))


def named(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the published tensors under torchvision's names."""
    found: dict[str, Tensor] = {}
    place = 0
    number = 0
    for stage, widths in enumerate(STAGES):
        place += 1 if stage else 0  # the pooling
        for _ in widths:
            for theirs, ours in (("kernel", "weight"), ("bias", "bias")):
                found[f"features.{place}.{ours}"] = published[f"VGG16_0/Conv_{number}/{theirs}"]
            place, number = place + 2, number + 1
    for head in range(len(STAGES)):
        found[f"lin{head}"] = published[f"NetLinLayer_{head}/Conv_0/kernel"]
    return found
