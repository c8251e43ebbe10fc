"""Inception-v3's 2,048 features: the ones whose Fréchet distance is called FID."""

from dataclasses import dataclass

import torch

from bench import weights
from bench.api import BenchError, Kind, register
from bench.metrics.guard import check_images
from bench.metrics.inception import DIMENSION, SIDE, Inception
from bench.metrics.trunk import Features, squared


@dataclass(frozen=True, slots=True)
class Resize:
    """One published way to hand images to the network."""

    antialias: bool
    mean: float
    std: float


RESIZES = {
    # The graph's own (255 x - 128) / 128. Images that shrink are averaged, as Parmar et al. 2022
    # ask for: else one pixel in nine of a large image decides.
    "bilinear-299": Resize(antialias=True, mean=128 / 255, std=128 / 255),
    # What pytorch-fid does, and with it the paper's authors: 2 x - 1 on the plain half-pixel grid.
    "pytorch-fid-299": Resize(antialias=False, mean=0.5, std=0.5),
}
"""Both enlarge alike. The third in use, TensorFlow 1's shifted grid, is not offered."""


@register(
    Kind.FEATURES,
    "inception",
    source="Heusel et al. 2017; Szegedy et al. 2015, the TensorFlow graph of 2015-12-05, pool3",
    note="weights: python -m bench fetch inception, or your own file in BENCH_DATA_DIR",
)
class InceptionFeatures(Features):
    """Maps images to the 2,048 averages before the classifier.

    Args:
        resize: "bilinear-299" or "pytorch-fid-299"; part of every distance's name.
        precision: "float32" or "bfloat16".
    """

    name = "inception"
    dimension = DIMENSION
    weights_sha = weights.TABLE["inception"].sha256
    resize = "bilinear-299"

    def __init__(self, resize: str = "bilinear-299", precision: str = "float32"):
        from bench import weight_files

        if resize not in RESIZES:
            raise BenchError(f"no resize named '{resize}'; expected one of {', '.join(RESIZES)}")
        how = RESIZES[resize]
        trunk = Inception(weight_files.read(self.name), precision)
        super().__init__(trunk, (how.mean,) * 3, (how.std,) * 3)
        self.resize, self.precision = resize, precision

    def resized(self, images: torch.Tensor) -> torch.Tensor:
        """Return images [B,3,299,299]."""
        return squared(images, SIDE, antialias=RESIZES[self.resize].antialias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [B,1|3,H,W] in [0, 1] to features [B,2048].

        Raises:
            Invalid: If the images are not as expected.
        """
        return self.vectors(check_images(images, "images"))
