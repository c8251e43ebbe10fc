"""ImageNet's churches: a stand-in for LSUN church_outdoor, and never called that."""

import functools
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError, Kind, register
from bench.data._arrays import (
    cached,
    check_size,
    check_split,
    held_out,
    is_count,
    read_header,
    resize_rule,
    resized,
)
from bench.inputs import open_regular, printable, unreadable

FILE = "church/church64.npz"
TEST_FRACTION = 0.1
LARGEST = 2 * 2**30
"""An array that promises more bytes is not read."""


def read_npz(path: Path) -> np.ndarray:
    """Return the array `images`, uint8 [N,64,64,3].

    Raises:
        BenchError: If the file is damaged or holds anything else.
    """
    where = printable(path)
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            shape, data = _entry(archive)
    except OSError as error:
        raise unreadable(path, error, "a .npz with the array 'images'") from error
    except Exception as error:  # a zip and a header of others: anything can come out
        raise BenchError(
            f"{where} cannot be read ({printable(error, 200)}); expected a .npz with the array "
            "'images'"
        ) from error
    if len(shape) != 4 or shape[1:] != (64, 64, 3):
        raise BenchError(f"{where} holds {shape}, expected uint8 [N,64,64,3]")
    if len(data) != math.prod(shape):
        raise BenchError(f"{where} holds {len(data)} bytes of {shape}; it is damaged: get it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _entry(archive: zipfile.ZipFile) -> tuple[tuple[int, ...], bytes]:
    """Return the shape and the bytes of the array; no more bytes than its shape promises."""
    with archive.open("images.npy") as entry:
        shape = read_header(entry)
        length = math.prod(shape)
        if length > LARGEST:
            raise ValueError(f"{shape} is more than {LARGEST} bytes")
        return shape, entry.read(length + 1)


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
        count = assets.remembered(
            ["images in", hashed], lambda: len(read_npz(self._file)), is_count
        )
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
