"""Turning source images into one array [N,C,H,W], and keeping that array.

Resizing a data set costs seconds, so the result is kept in the cache under the data set's manifest
and mapped into memory from then on.
"""

import io
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
from PIL import Image

from bench import assets, code
from bench.api import BenchError
from bench.canonical import digest
from bench.inputs import open_regular, printable

SPLITS = ("train", "test")
LONGEST_HEADER = 10_000
"""Bytes of a .npy header; those of pictures take a hundred."""
BILINEAR = Image.Resampling.BILINEAR


def check_split(split: str) -> None:
    """Raise a BenchError unless `split` is one that a data set has."""
    if split not in SPLITS:
        raise BenchError(f"no split named '{split}'; expected {' or '.join(SPLITS)}")


def check_size(image_size: int) -> int:
    """Return the image size; raise a BenchError unless it is a positive integer."""
    if not is_count(image_size):
        raise BenchError(f"image_size is {image_size!r}, expected a positive whole number")
    return image_size


def is_count(value: Any) -> bool:
    """Return whether a value that was read from a file can be a number of images."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def resize_rule(source: int | tuple[int, int], image_size: int) -> str:
    """Return what a manifest says about the resize from (width, height) to a square."""
    width, height = (source, source) if isinstance(source, int) else source
    if (width, height) == (image_size, image_size):
        return "none"
    change = "enlarged" if image_size > min(width, height) else "reduced"
    return f"bilinear {width}x{height} -> {image_size}x{image_size} ({change})"


def resized(images: np.ndarray, image_size: int) -> np.ndarray:
    """Return uint8 images [N,H,W] or [N,H,W,3] as one array [N,C,image_size,image_size].

    Pillow's bilinear filter widens when it reduces, which is what torchvision's Resize does to
    Pillow images: no aliasing.
    """
    square = (image_size, image_size)
    if images.shape[1:3] == square:
        return filled(len(images), image_size, images)
    pictures = (Image.fromarray(image).resize(square, BILINEAR) for image in images)
    return filled(len(images), image_size, pictures)


def filled(count: int, image_size: int, images: Iterable[Any]) -> np.ndarray:
    """Return `count` square images [S,S] or [S,S,3] as one uint8 array [N,C,S,S]."""
    batch = None
    for i, image in enumerate(images):
        pixels = np.asarray(image, dtype=np.uint8)
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if batch is None:
            batch = np.empty((count, len(planes), image_size, image_size), np.uint8)
        batch[i] = planes
    return batch


def cached(manifest: Mapping[str, Any], split: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return `make()`, kept in the cache under the manifest; read-only and memory-mapped.

    A kept array of another shape than the manifest's counts (cut short, say) is made again; so is
    one that is not plain bytes in C order, or a link.
    """
    check_split(split)
    made_by = code.digest(make.__module__)
    key = digest({"manifest": manifest, "pillow": PIL.__version__, "code": made_by})
    path = assets.cache_dir() / "arrays" / f"{key}-{split}.npy"
    size = manifest["image_size"]
    shape = (manifest["counts"][split], manifest["channels"], size, size)
    kept = _kept(path, shape)
    if kept is not None:
        return kept
    made = make()
    if made.shape != shape or made.dtype != np.uint8:
        raise BenchError(
            f"{manifest['name']}: the {split} split is {made.dtype} {made.shape}, expected "
            f"uint8 {shape}; the files changed while they were read: try again"
        )
    try:
        assets.write_atomically(path, lambda file: np.save(file, made, allow_pickle=False))
    except OSError:
        pass  # no room, or a read-only cache: slower next time, nothing else
    made.flags.writeable = False
    return made


def _kept(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        kept = read_array(path, follow=False)
    except (OSError, ValueError):
        return None
    return kept if kept.shape == shape else None


def read_array(path: Path, *, follow: bool = True) -> np.ndarray:
    """Return the uint8 array of a .npy file, read-only and memory-mapped.

    Raises:
        OSError: If it cannot be read or is no regular file.
        ValueError: If it is no .npy, or holds anything but plain bytes in C order, all of them.
    """
    with open_regular(path, follow=follow) as file:
        shape = read_header(file)
        start, length = file.tell(), math.prod(shape)
        size = os.fstat(file.fileno()).st_size
        if size != start + length:
            raise ValueError(f"it has {size} bytes, its header promises {start + length}")
        if length == 0:
            return np.empty(shape, np.uint8)
        return np.memmap(file, np.uint8, "r", start, shape)


def read_header(file: BinaryIO) -> tuple[int, ...]:
    """Return the shape that the header of a .npy file of uint8 in C order promises; reads no data.

    Raises:
        ValueError: If it is no such header.
    """
    try:
        shape, kind, fortran = raw_header(file)
    except Exception as error:  # numpy parses it as Python text: anything can come out
        raise ValueError(f"no .npy header: {printable(error, 100)}") from None
    if kind != np.uint8 or any(side < 0 for side in shape):
        raise ValueError(f"it holds {kind} {shape}, expected uint8")
    if fortran and len(shape) > 1:
        raise ValueError("it is in Fortran order, expected C order")
    return shape


def raw_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Return shape, type and whether the order is Fortran's, as a .npy file claims them.

    Numpy reads the claim as Python text: any exception can come out of it.
    """
    version = np.lib.format.read_magic(file)
    width, read = {
        (1, 0): (2, np.lib.format.read_array_header_1_0),
        (2, 0): (4, np.lib.format.read_array_header_2_0),
    }[version]
    length = file.read(width)  # numpy would set aside whatever this says
    text = file.read(min(int.from_bytes(length, "little"), LONGEST_HEADER))
    shape, fortran, kind = read(io.BytesIO(length + text))
    return shape, kind, fortran


def held_out(count: int, fraction: float) -> tuple[int, int]:
    """Return how many images are for training and for testing when the last part is held out.

    Raises:
        BenchError: If there are too few for both.
    """
    test = max(1, round(count * fraction))
    if count - test < 1:
        raise BenchError(f"{count} image(s) cannot be split into train and test; expected >= 2")
    return count - test, test
