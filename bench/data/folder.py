"""Any folder of pictures, as `folder:<path>`."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError, Kind, Missing, register
from bench.data import _files, _pictures
from bench.data._arrays import cached, check_size, check_split, filled, held_out
from bench.inputs import printable, unreadable

TEST_FRACTION = 0.1


@register(Kind.DATASET, "folder", source="the pictures of whoever runs it")
class PictureFolder:
    """All pictures below a folder, sorted by name, in RGB; the last tenth is held out.

    Each is cut to its largest centred square and resized; one with a side shorter than
    `image_size` is enlarged, and the manifest counts those.
    """

    channels = 3
    licence = "unknown: that of the pictures in the folder"
    paper_name: str | None = None
    same_data = False
    mirrors = False

    def __init__(self, path: str | Path, image_size: int = 64):
        self.name = f"folder:{path}"
        self.image_size = check_size(image_size)
        self._source = _files.Folder(_folder(path))

    def images(self, split: str) -> np.ndarray:
        """Return uint8 [N,3,H,W]."""
        check_split(split)

        def make() -> np.ndarray:
            first = self.manifest()["counts"]["train"]
            names = self._source.names
            names = names[:first] if split == "train" else names[first:]
            return square_pictures(self._source, names, self.image_size)

        return cached(self.manifest(), split, make)

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data."""
        return self._manifest

    @functools.cached_property
    def _manifest(self) -> Mapping[str, Any]:
        return {"name": "folder", **folder_manifest(self._source, self.image_size, TEST_FRACTION)}


def _folder(path: str | Path) -> Path:
    shown = printable(path)
    if not str(path).isprintable():
        raise BenchError(f"the folder {shown} has a name that cannot be printed; rename it")
    root = assets.home_expanded(path)
    try:
        there = root.is_dir()
    except OSError as error:
        raise unreadable(root, error, "a folder of pictures") from error
    if not there:
        raise Missing(f"there is no folder {shown}; expected one that holds pictures")
    return root


def folder_manifest(
    source: _files.Folder, image_size: int, test_fraction: float
) -> Mapping[str, Any]:
    """Return the manifest of a folder of pictures of any size.

    Raises:
        BenchError: If it holds no pictures, or one that cannot be read.
    """
    if not source.names:
        raise BenchError(
            f"the folder {printable(source.root)} holds no pictures; expected files that end in "
            f"{', '.join(_files.SUFFIXES)}"
        )
    train, test = held_out(len(source.names), test_fraction)
    surveyed = _pictures.survey(source)
    return {
        "channels": 3,
        "image_size": image_size,
        "files": {"pictures": surveyed.sha256},
        "counts": {"train": train, "test": test},
        "split": f"sorted by name, the last {test} are for testing",
        "resize": f"centre square, bilinear -> {image_size}x{image_size}",
        "enlarged": surveyed.smaller_than(image_size),
    }


def square_pictures(source: _files.Folder, names: tuple[str, ...], image_size: int) -> np.ndarray:
    """Return those pictures as uint8 [N,3,S,S]."""
    found = _pictures.pictures(source, names)
    squares = (_pictures.centre_square(picture, image_size) for picture in found)
    return filled(len(names), image_size, squares)
