"""LSUN church_outdoor, the paper's third data set: a folder of pictures, or the authors' .npy."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError, Kind, Missing, register
from bench.data import _files
from bench.data._arrays import (
    cached,
    check_size,
    check_split,
    held_out,
    read_array,
    resize_rule,
    resized,
)
from bench.data.folder import folder_manifest, square_pictures
from bench.inputs import printable, unreadable

FOLDER = "lsun-church"
TEST_FRACTION = 0.05
FULL = 126_227
"""Training pictures of LSUN's church_outdoor, all of them."""


def read_npy(path: Path) -> np.ndarray:
    """Return uint8 images [N,S,S,3] of a .npy file, memory-mapped; [N,3,S,S] is turned round.

    Raises:
        BenchError: If it holds anything else.
    """
    where = printable(path)
    try:
        images = read_array(path)
    except OSError as error:
        raise unreadable(path, error, "a .npy of images") from error
    except ValueError as error:
        raise BenchError(f"{where} cannot be read ({error}); expected a .npy of images") from error
    if images.ndim == 4 and images.shape[1] == 3 and images.shape[3] != 3:
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] != 3:
        raise BenchError(f"{where} holds {images.shape}, expected uint8 [N,H,W,3] or [N,3,H,W]")
    if images.shape[1] != images.shape[2] or images.size == 0:
        raise BenchError(f"{where} holds images of {images.shape[1:3]}, expected square ones")
    return images


@register(
    Kind.DATASET,
    "lsun-church",
    source="Yu et al. 2015, arXiv:1506.03365, category church_outdoor; as the paper's Table 1",
)
class LsunChurch:
    """Pictures of churches; the last 5 % by name or position are held out."""

    name = "lsun-church"
    channels = 3
    licence = "research use (LSUN)"
    paper_name = "LSUN Church"
    mirrors = True

    def __init__(self, image_size: int = 64):
        self.image_size = check_size(image_size)

    @property
    def same_data(self) -> bool:
        """Whether all training pictures of LSUN Church are there; not so where none is."""
        try:
            array = self._array
            found = _files.Folder(self._folder).names if array is None else read_npy(array)
        except Missing:
            return False
        return len(found) == FULL

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,3,H,W]."""
        check_split(split)
        return cached(self.manifest(), split, lambda: self._make(split))

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        return self._manifest

    @functools.cached_property
    def _manifest(self) -> Mapping[str, Any]:
        array = self._array
        if array is None:
            source = _files.Folder(self._folder)
            return {"name": self.name, **folder_manifest(source, self.image_size, TEST_FRACTION)}
        images = read_npy(array)
        train, test = held_out(len(images), TEST_FRACTION)
        return {
            "name": self.name,
            "channels": self.channels,
            "image_size": self.image_size,
            "files": {array.name: assets.sha256(array)},
            "counts": {"train": train, "test": test},
            "split": f"the last {test} are for testing",
            "resize": resize_rule(images.shape[1], self.image_size),
        }

    @functools.cached_property
    def _folder(self) -> Path:
        return assets.locate(self.name, FOLDER)

    @functools.cached_property
    def _array(self) -> Path | None:
        arrays = sorted(self._folder.glob("*.npy"))
        if len(arrays) > 1:
            names = printable(", ".join(path.name for path in arrays))
            raise BenchError(
                f"{printable(self._folder)} holds several arrays ({names}); expected one"
            )
        return arrays[0] if arrays else None

    def _make(self, split: str) -> np.ndarray:
        first = self.manifest()["counts"]["train"]
        part = slice(None, first) if split == "train" else slice(first, None)
        if self._array is None:
            source = _files.Folder(self._folder)
            return square_pictures(source, source.names[part], self.image_size)
        return resized(np.ascontiguousarray(read_npy(self._array)[part]), self.image_size)
