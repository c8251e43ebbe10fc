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
LABELS = FILE.parent / "digit_labels.txt"
LABELS_SHA256 = "8d8bc7987a1e68a142960e0bcccc983552c398b10f8d4d76cf53621c3a397865"
CLASSES = 10


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
        return resized(_part(_source(), split), self.image_size)

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

    def labels(self, split: str) -> np.ndarray:
        """Return what the images of a split show, int64 [N], 0 to 9."""
        check_split(split)
        text = _own(LABELS, LABELS_SHA256).read_text("ascii").replace("\n", "")
        return _part(np.array([int(digit) for digit in text], dtype=np.int64), split)

    def labels_manifest(self) -> Mapping[str, Any]:
        """Return what identifies the labels."""
        return {"files": {LABELS.name: LABELS_SHA256}, "classes": CLASSES}


def _part(whole: np.ndarray, split: str) -> np.ndarray:
    first = COUNTS["train"]
    return whole[:first] if split == "train" else whole[first:]


def _own(path: Path, known_hash: str) -> Path:
    """Return a file of the package, if it is as it was shipped."""
    try:
        return assets.verified(path, known_hash)
    except BenchError as error:
        raise BenchError(f"{error}; it is part of the package: install the package again") from None


@functools.cache
def _source() -> np.ndarray:
    """Return the images as uint8 [1797,8,8], 0 to 255."""
    with np.load(_own(FILE, SHA256), allow_pickle=False) as archive:
        images = archive["images"]
    return np.round(images * (255 / WHITE)).astype(np.uint8)
