"""CelebA, aligned and cropped faces: the paper's second data set."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench import assets
from bench.api import BenchError, Kind, Missing, register
from bench.data import _files, _pictures
from bench.data._arrays import (
    BILINEAR,
    cached,
    check_size,
    check_split,
    filled,
    held_out,
    resize_rule,
)
from bench.inputs import printable

FOLDER = "celeba"
INSIDE = "img_align_celeba"
FULL = 202_599
OFFICIAL_TRAIN = 162_770
OFFICIAL_VALID = 182_637
"""Official partition: train up to the first, validation up to the second, test after it."""
TEST_FRACTION = 0.05
CROPS = ("whole", "centre")
WIDTH = 178
"""Width of the aligned pictures; `CENTRE` is in their pixels."""
CENTRE = (18, 38, 158, 178)


@register(
    Kind.DATASET,
    "celeba",
    source="Liu, Luo, Wang, Tang 2015, Deep learning face attributes in the wild; aligned faces",
)
class Celeba:
    """Faces, from a folder or a zip of the aligned JPEG files, whole or reduced.

    Source: the authors' code resizes the whole aligned picture, which changes its proportions;
    that is `crop="whole"`. `crop="centre"` takes the usual square around the face first.
    Differs: with fewer than all 202,599 pictures the last 5 % by number are held out instead of the
    official test part.
    """

    name = "celeba"
    channels = 3
    licence = "non-commercial research (CelebA)"
    paper_name = "CelebA"
    mirrors = True

    def __init__(self, image_size: int = 64, crop: str = "whole"):
        if crop not in CROPS:
            raise BenchError(f"no crop named '{crop}'; expected {' or '.join(CROPS)}")
        self.image_size = check_size(image_size)
        self.crop = crop

    @property
    def same_data(self) -> bool:
        """Whether all pictures of CelebA are there; not so where none is."""
        try:
            return len(self._source.names) == FULL
        except Missing:
            return False

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,3,H,W]."""
        check_split(split)

        def make() -> np.ndarray:
            names = self._split()[split]
            faces = (self._cut(face) for face in _pictures.pictures(self._source, names))
            return filled(len(names), self.image_size, faces)

        return cached(self.manifest(), split, make)

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        return self._manifest

    @functools.cached_property
    def _manifest(self) -> Mapping[str, Any]:
        names = self._source.names
        first, last = _number(names[0]), _number(names[-1])
        surveyed = _pictures.survey(self._source)
        if len(surveyed.sizes) != 1:
            raise BenchError(
                f"celeba: the pictures in {printable(self._place)} have several sizes "
                f"({printable(', '.join(surveyed.sizes))}); expected the aligned ones, "
                "all 178x218 or all reduced alike"
            )
        size = surveyed.dimensions[0]
        rule = resize_rule(size, self.image_size)
        box = self._box(size[0])
        return {
            "name": self.name,
            "channels": self.channels,
            "image_size": self.image_size,
            "files": {"pictures": surveyed.sha256},
            "counts": {split: len(part) for split, part in self._split().items()},
            "subset": f"{len(names)} of {FULL} pictures, numbers {first} to {last}",
            "split": "official" if self.same_data else "the last 5 % by number are for testing",
            "crop": self.crop if box is None else f"centre {box}",
            "resize": rule,
        }

    @functools.cached_property
    def _place(self) -> Path:
        folder = assets.locate(
            self.name, f"{FOLDER}/{INSIDE}", f"{FOLDER}/{INSIDE}.zip", FOLDER, f"{INSIDE}.zip"
        )
        if folder.is_file() or folder.name == INSIDE:
            return folder
        archives = sorted(folder.glob("*.zip"))
        if len(archives) > 1:
            names = printable(", ".join(path.name for path in archives))
            raise BenchError(
                f"celeba: {printable(folder)} holds several archives ({names}); expected one"
            )
        return archives[0] if archives else folder

    @functools.cached_property
    def _source(self) -> _files.Folder | _files.Archive:
        kind = _files.Archive if self._place.is_file() else _files.Folder
        source = kind(self._place)
        if not source.names:
            raise BenchError(
                f"celeba: {printable(self._place)} holds no pictures; expected 000001.jpg, ..."
            )
        for name in source.names:
            _number(name)
        return source

    def _split(self) -> dict[str, tuple[str, ...]]:
        names = self._source.names
        if self.same_data:
            return {"train": names[:OFFICIAL_TRAIN], "test": names[OFFICIAL_VALID:]}
        train, _ = held_out(len(names), TEST_FRACTION)
        return {"train": names[:train], "test": names[train:]}

    def _box(self, width: int) -> tuple[int, int, int, int] | None:
        if self.crop == "whole":
            return None
        return tuple(round(edge * width / WIDTH) for edge in CENTRE)

    def _cut(self, face: Image.Image) -> Image.Image:
        size = (self.image_size, self.image_size)
        return face.resize(size, BILINEAR, box=self._box(face.width))


def _number(name: str) -> int:
    """Return the number of a picture: 17 for "000017.jpg"."""
    found = re.fullmatch(r"(\d{6})\.jpg", Path(name).name, re.ASCII)
    if found is None:
        raise BenchError(
            f"celeba: {printable(name)} is no aligned face; expected names such as 000001.jpg"
        )
    return int(found[1])
