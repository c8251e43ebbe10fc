"""Digits: 1,797 real handwritten digits that travel with the package."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError, Kind, register
from bench.data._arrays import check_size, check_split, resize_rule, resized

FILE = Path(__file__).parent / "files" / "digits.npz"
SHA256 = "798a3d979f383d93069a29ccc241e438e6c6f18b8563fc238bc11d19f010248f"
SIDE = 8
WHITE = 16
"""Value of a pixel full of ink: the count in a 4x4 block."""
COUNTS = {"train": 1400, "test": 397}


@register(
    Kind.DATASET,
    "digits",
    source="Alpaydin, Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; the test part",
)
class Digits:
    """Handwritten digits, 8x8 with 17 grey levels, white ink on black.

    The last 397 are held out; the order is the original one, in which writers follow each other.
    """

    name = "digits"
    channels = 1
    licence = "CC BY 4.0 (Alpaydin, Kaynak; UCI Machine Learning Repository)"
    paper_name = "MNIST"
    same_data = False
    mirrors = False

    def __init__(self, image_size: int = 64):
        self.image_size = check_size(image_size)

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,1,H,W]; computed at once, for it takes milliseconds."""
        check_split(split)
        source = _source()
        first = COUNTS["train"]
        return resized(source[:first] if split == "train" else source[first:], self.image_size)

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        return {
            "name": self.name,
            "channels": self.channels,
            "image_size": self.image_size,
            "files": {FILE.name: SHA256},
            "counts": dict(COUNTS),
            "split": f"the last {COUNTS['test']} are for testing",
            "resize": resize_rule(SIDE, self.image_size),
        }


@functools.cache
def _source() -> np.ndarray:
    """Return the images as uint8 [1797,8,8], 0 to 255."""
    try:
        assets.verified(FILE, SHA256)
    except BenchError as error:
        raise BenchError(f"{error}; it is part of the package: install the package again") from None
    with np.load(FILE, allow_pickle=False) as archive:
        images = archive["images"]
    return np.round(images * (255 / WHITE)).astype(np.uint8)
