"""A set of pictures that somebody made: looking at it, identifying it, finding it again.

What is scored is the content: a cell names the sha256 of the set and not where it lies, so that a
set that was copied or renamed is not measured again. Where it lies is noted in the cache.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import assets
from bench.api import BenchError, Missing
from bench.canonical import dumps
from bench.data._files import SUFFIXES as PICTURES
from bench.data._files import Archive, Folder
from bench.data._pictures import Survey, centre_square, pictures, survey
from bench.inputs import printable, read_whole
from bench.score.arrays import SUFFIXES as ARRAYS
from bench.score.arrays import read_array_file
from bench.score.conventions import Conventions, as_bytes

LONGEST_NOTE = 2**16


@dataclass(frozen=True)
class Found:
    """What a look at a set of pictures told."""

    sha256: str
    form: str
    """"folder", "zip", "npz", "npy" or "safetensors"."""
    count: int
    width: int
    height: int
    """Of the largest picture."""
    sizes: int
    """How many different sizes there are."""
    channels: int | None
    """None where only decoding every picture would tell."""

    @property
    def name(self) -> str:
        """What the set is called in labels and tables: its form and the start of its hash."""
        return f"{self.form}:{self.sha256[:8]}"


def look(path: Path, stated: Conventions) -> Found:
    """Return what a set of pictures is, after checking all that can be checked without decoding.

    Raises:
        Missing: If there is nothing.
        BenchError: If it is no set of pictures, or its conventions are not clear.
    """
    source = source_of(path)
    if source is None:
        images = as_bytes(read_array_file(path), stated)
        _, channels, height, width = images.shape
        content = assets.sha256(path)
        form = path.suffix.lower().removeprefix(".")
        return Found(content, form, len(images), width, height, 1, channels)
    if not source.names:
        raise BenchError(
            f"{printable(path)} holds no pictures; expected files that end in {', '.join(PICTURES)}"
        )
    if stated != Conventions():
        raise BenchError("--layout and --range are for arrays; picture files need neither")
    seen = survey(source)
    width, height = max(seen.dimensions)
    form = "zip" if isinstance(source, Archive) else "folder"
    return Found(seen.sha256, form, len(source.names), width, height, len(seen.sizes), None)


def source_of(path: Path) -> Folder | Archive | None:
    """Return where picture files are read from; None for a file with one array.

    Raises:
        Missing: If there is nothing.
        BenchError: If it is something else.
    """
    path = assets.home_expanded(path)
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise Missing(f"there is no {printable(path)}; expected a folder or a file of pictures")
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return Archive(path)
    if suffix in ARRAYS:
        return None
    raise BenchError(
        f"{printable(path)} is nothing that can be scored; expected a folder of pictures, a .zip "
        f"of them, or one array as {', '.join(ARRAYS)}"
    )


def remember(found: Found, path: Path) -> None:
    """Note where a set lies.

    Raises:
        BenchError: If the cache cannot be written.
    """
    note_place(found.sha256, path)


def note_place(sha256: str, path: Path) -> None:
    """Note where the file or folder with a content lies, for the worker that will read it."""
    text = dumps({"path": str(path.resolve())})
    place = _note(sha256)
    try:
        assets.write_atomically(place, lambda file: file.write(text.encode()))
    except OSError as error:
        raise BenchError(
            f"cannot write {place} ({error.strerror}); name a folder with BENCH_CACHE_DIR"
        ) from error


def place_of(sha256: str) -> Path:
    """Return where the content with a hash was last seen.

    Raises:
        Missing: If nobody noted it.
    """
    try:
        kept = json.loads(read_whole(_note(sha256), LONGEST_NOTE, follow=False))
        return Path(kept["path"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise Missing(
            f"nobody noted where the content {sha256[:12]} lies; run `bench score` with it again"
        ) from None


def _note(sha256: str) -> Path:
    return assets.cache_dir() / "scored" / f"{sha256}.json"


@dataclass(frozen=True)
class Wanted:
    """How a set enters a comparison: a specification that JSON can hold."""

    name: str
    sha256: str
    layout: str
    low: float | None
    high: float | None
    size: int
    """Side of the pictures that are compared."""
    channels: int
    resize: bool
    """Whether pictures of another size are cut to their centre square and resized."""

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Wanted":
        """Return the specification that a cell holds."""
        return cls(**spec)

    @property
    def spec(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def load(wanted: Wanted) -> tuple[np.ndarray, list[str]]:
    """Return a set as uint8 [N,C,S,S], and what was done to it on the way.

    Raises:
        Missing: If it is not there any more.
        BenchError: If it does not fit.
    """
    path = place_of(wanted.sha256)
    source, seen = _as_looked_at(path, wanted.sha256)
    done: list[str] = []
    if source is None or seen is None:
        raw = read_array_file(path)
        images = as_bytes(raw, Conventions(wanted.layout, wanted.low, wanted.high))
        done += [] if raw.dtype == np.uint8 else [f"{raw.dtype} rounded to bytes"]
    else:
        images = _decoded(source, wanted, seen, done)
    images = _in_channels(_of_size(images, wanted, done), wanted, done)
    return images, done


def _as_looked_at(path: Path, sha256: str) -> tuple[Folder | Archive | None, Survey | None]:
    """Return where picture files are read from and what they are; nothing for one array.

    Raises:
        Missing: If it is not what was looked at. Whatever is wrong with what lies there instead is
            no fault of the set that is asked for.
    """
    try:
        source = source_of(path)
        seen = None if source is None else survey(source)
        content = assets.sha256(path) if seen is None else seen.sha256
    except Missing:
        raise
    except BenchError as fault:
        raise Missing(
            f"{printable(path)} is not as it was looked at: {fault}; run again"
        ) from fault
    if content != sha256:
        raise Missing(f"{printable(path)} has changed since it was looked at; run again")
    return source, seen


def _decoded(source: Folder | Archive, wanted: Wanted, seen: Survey, done: list[str]) -> np.ndarray:
    square = {(wanted.size, wanted.size)} == set(seen.dimensions)
    made = np.empty((len(source.names), 3, wanted.size, wanted.size), np.uint8)
    for i, picture in enumerate(pictures(source, source.names)):
        fitting = (
            picture if picture.size == (wanted.size,) * 2 else centre_square(picture, wanted.size)
        )
        made[i] = np.asarray(fitting, np.uint8).transpose(2, 0, 1)
    if not square:
        done.append(_resize_words(wanted.size))
    return made


def _of_size(images: np.ndarray, wanted: Wanted, done: list[str]) -> np.ndarray:
    size = wanted.size
    if images.shape[2:] == (size, size):
        return images
    from PIL import Image

    made = np.empty((*images.shape[:2], size, size), np.uint8)
    for i, image in enumerate(images):
        for j, plane in enumerate(image):  # the same for grey and colour
            made[i, j] = np.asarray(centre_square(Image.fromarray(plane), size))
    done.append(_resize_words(size))
    return made


def _resize_words(size: int) -> str:
    return f"centre square, bilinear -> {size}x{size}"


def _in_channels(images: np.ndarray, wanted: Wanted, done: list[str]) -> np.ndarray:
    """Return the images with the channels of the data set; colour is never thrown away."""
    if images.shape[1] == wanted.channels:
        return images
    if images.shape[1] == 1:
        raise BenchError(
            "the pictures are grey and the data set is in colour; a grey set is far from it "
            "whatever it shows: compare with a grey data set"
        )
    coloured = (images != images[:, :1]).any(axis=(1, 2, 3))
    if coloured.any():
        raise BenchError(
            f"{int(coloured.sum())} of {len(images)} pictures are in colour (the first is number "
            f"{int(coloured.argmax())}), and the data set is grey; convert them to grey first"
        )
    done.append("three equal channels taken as one")
    return np.ascontiguousarray(images[:, :1])
