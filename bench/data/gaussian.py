"""A Gaussian mixture in pixel space: the data set whose score is known in closed form."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bench.api import BenchError, Kind, register
from bench.data._arrays import check_size, check_split

COUNTS = {"train": 4096, "test": 1024}
BLOCK = 256
"""Images drawn at a time; bounds the memory."""
SEED = 20_240_229
AMPLITUDE = 0.2
SIGMA = 0.05
"""Means stay within 0.5 +- 0.2, so black and white are six standard deviations away."""


class Mixture(NamedTuple):
    """p(x) = sum_k weights[k] N(x; means[k], variance I), for images x in [0, 1]."""

    weights: np.ndarray
    """[K], sums to 1."""
    means: np.ndarray
    """[K,C,H,W]"""
    variance: float


@register(
    Kind.DATASET,
    "gaussian",
    source="closed form: the noised density is the mixture with variance + sigma^2",
    note="drawn, not photographed; its exact score is the oracle for samplers and denoisers",
)
class GaussianMixture:
    """Eight plane waves, of unequal weight, under white noise.

    Images are rounded to 8 bits, which adds a variance of 1 / (12 * 255^2), 0.05 % of the
    mixture's own.
    """

    name = "gaussian"
    licence = "none needed: synthetic"
    paper_name: str | None = None
    same_data = False
    mirrors = False

    def __init__(self, image_size: int = 64, channels: int = 1, components: int = 8):
        if channels not in (1, 3) or components < 1:
            raise BenchError(
                f"gaussian: {channels} channels and {components} components; "
                "expected 1 or 3 channels and at least one component"
            )
        self.image_size = check_size(image_size)
        self.channels = channels
        self.components = components

    def mixture(self) -> Mixture:
        """Return the exact density on the [0, 1] scale."""
        k = np.arange(self.components)
        weights = (k + 1.0) / (k + 1.0).sum()
        at = (np.arange(self.image_size) + 0.5) / self.image_size
        down, right = np.meshgrid(at, at, indexing="ij")
        means = np.empty((self.components, self.channels, self.image_size, self.image_size))
        for i in k:
            angle = np.pi * i / self.components
            cycles = 1 + i % 3
            wave = 2 * np.pi * cycles * (np.cos(angle) * right + np.sin(angle) * down)
            for c in range(self.channels):
                means[i, c] = 0.5 + AMPLITUDE * np.cos(wave + c)
        return Mixture(weights, means, SIGMA**2)

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,C,H,W]; image i of a split is the same on every call."""
        check_split(split)
        weights, means, variance = self.mixture()
        count = COUNTS[split]
        images = np.empty((count, *means.shape[1:]), np.uint8)
        for start in range(0, count, BLOCK):
            random = np.random.default_rng([SEED, split == "test", start])
            block = images[start : start + BLOCK]
            which = random.choice(len(weights), size=len(block), p=weights)
            drawn = random.standard_normal(block.shape, np.float32) * np.sqrt(variance)
            block[:] = np.clip(np.round(255 * (means[which] + drawn)), 0, 255)
        return images

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        return {
            "name": self.name,
            "channels": self.channels,
            "image_size": self.image_size,
            "files": {},
            "counts": dict(COUNTS),
            "split": "drawn apart",
            "resize": "none",
            "components": self.components,
            "sigma": SIGMA,
            "seed": SEED,
        }
