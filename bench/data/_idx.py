"""The idx format of MNIST and its kin: magic, dimensions, bytes; gzipped.

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

import gzip
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError
from bench.data._arrays import cached, check_size, check_split, resize_rule, resized
from bench.inputs import open_regular, printable

IMAGES, LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes (08) in three dimensions (03), and in one (01)."""
SIDE = 28
CLASSES = 10


def read_images(path: Path, count: int, side: int = SIDE) -> np.ndarray:
    """Return the uint8 images [count, side, side] of a gzipped idx file.

    Raises:
        BenchError: If the file is damaged, or its header or length is not that of these images.
    """
    return _read(path, IMAGES, (count, side, side))


def read_labels(path: Path, count: int, classes: int = CLASSES) -> np.ndarray:
    """Return the int64 labels [count] of a gzipped idx file, 0 to classes - 1.

    Raises:
        BenchError: If the file is damaged, its header or length is not that of these labels, or
            one of them is no class.
    """
    labels = _read(path, LABELS, (count,))
    if labels.max() >= classes:
        raise BenchError(
            f"{printable(path)} holds the label {labels.max()}, expected 0 to {classes - 1}; "
            "it is another file: get it again"
        )
    return labels.astype(np.int64)


def _read(path: Path, magic: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the bytes of an idx file whose header has to be exactly this magic and shape."""
    where = printable(path)
    expected = (magic, *shape)
    start, length = 4 * len(expected), math.prod(shape)
    try:
        with open_regular(path) as packed, gzip.GzipFile(fileobj=packed) as file:
            header = struct.unpack(f">{len(expected)}I", file.read(start).ljust(start, b"\0"))
            if header != expected:
                raise BenchError(
                    f"{where} has the idx header {header}, expected {expected} (magic, then "
                    "how many, then rows and columns of images); it is another file: get it again"
                )
            data = file.read(length + 1)  # one more than expected tells a file that is too long
            if len(data) <= length:
                file.read(1)  # reaches the end, where gzip compares its checksum
    except (OSError, EOFError, zlib.error) as error:
        raise BenchError(
            f"{where} cannot be unpacked ({printable(error)}); it is damaged: get it again"
        ) from error
    if len(data) != length:
        size = "longer" if len(data) > length else f"{start + len(data)} bytes"
        raise BenchError(
            f"{where} unpacks to {size}, expected exactly {start + length} bytes; "
            "it is damaged: get it again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


class IdxImages:
    """Grey 28x28 images in two gzipped idx files with the official train and test parts."""

    channels = 1
    same_data = True
    mirrors = False
    counts: Mapping[str, int] = {"train": 60_000, "test": 10_000}
    files: Mapping[str, str] = {"train": assets.TRAIN_IDX, "test": assets.TEST_IDX}
    label_files: Mapping[str, str] = {
        "train": assets.TRAIN_LABELS_IDX,
        "test": assets.TEST_LABELS_IDX,
    }
    name: str
    licence: str
    paper_name: str | None

    def __init__(self, image_size: int = 64):
        self.image_size = check_size(image_size)

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,1,H,W]."""
        check_split(split)

        def make() -> np.ndarray:
            source = read_images(self._file(split), self.counts[split])
            return resized(source, self.image_size)

        return cached(self.manifest(), split, make)

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        return {
            "name": self.name,
            "channels": self.channels,
            "image_size": self.image_size,
            "files": {name: assets.sha256(self._file(split)) for split, name in self.files.items()},
            "counts": dict(self.counts),
            "split": "official",
            "resize": resize_rule(SIDE, self.image_size),
        }

    def labels(self, split: str) -> np.ndarray:
        """Return what the images of a split show, int64 [N], 0 to 9."""
        check_split(split)
        path = assets.remote_file(self.name, f"{self.name}/{self.label_files[split]}")
        return read_labels(path, self.counts[split])

    def labels_manifest(self) -> Mapping[str, Any]:
        """Return what identifies the labels: the hashes that their files must have.

        The images are worth having without them, so `manifest` does not ask for these files.
        """
        return {
            "files": {
                name: assets.known_hash(self.name, f"{self.name}/{name}")
                for name in self.label_files.values()
            },
            "classes": CLASSES,
        }

    def _file(self, split: str) -> Path:
        return assets.remote_file(self.name, f"{self.name}/{self.files[split]}")
