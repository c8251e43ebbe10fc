"""ImageNet's churches: a stand-in for LSUN church_outdoor, and never called that."""

import functools
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError, Kind, register
from bench.data._arrays import cached, check_size, check_split, held_out, resize_rule, resized

FILE = "church/church64.npz"
TEST_FRACTION = 0.1


def read_npz(path: Path) -> np.ndarray:
    """Return the array `images`, uint8 [N,64,64,3].

    Raises:
        BenchError: If the file is damaged or holds anything else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            images = archive["images"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BenchError(
            f"{path} cannot be read ({error}); expected a .npz with the array 'images'"
        ) from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (64, 64, 3):
        raise BenchError(f"{path} holds {images.dtype} {images.shape}, expected uint8 [N,64,64,3]")
    return images


@register(
    Kind.DATASET,
    "imagenet-church",
    source="Russakovsky et al. 2015, ImageNet, class n03028079 (church), as 64x64 pictures",
    note="a stand-in for LSUN Church: other pictures, and few enough to memorise",
)
class ImagenetChurch:
    """Pictures of churches; the last tenth is held out."""

    name = "imagenet-church"
    channels = 3
    licence = "non-commercial research (ImageNet)"
    paper_name = "LSUN Church"
    same_data = False
    mirrors = True

    def __init__(self, image_size: int = 64):
        self.image_size = check_size(image_size)

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,3,H,W]."""
        check_split(split)

        def make() -> np.ndarray:
            first = self.manifest()["counts"]["train"]
            images = read_npz(self._file)
            part = images[:first] if split == "train" else images[first:]
            return resized(part, self.image_size)

        return cached(self.manifest(), split, make)

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        hashed = assets.sha256(self._file)
        count = assets.remembered(["images in", hashed], lambda: len(read_npz(self._file)))
        train, test = held_out(count, TEST_FRACTION)
        return {
            "name": self.name,
            "channels": self.channels,
            "image_size": self.image_size,
            "files": {self._file.name: hashed},
            "counts": {"train": train, "test": test},
            "split": f"the last {test} are for testing",
            "resize": resize_rule(64, self.image_size),
        }

    @functools.cached_property
    def _file(self) -> Path:
        return assets.locate(self.name, FILE)
