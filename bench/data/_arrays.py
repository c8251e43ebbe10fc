"""Turning source images into one array [N,C,H,W], and keeping that array.

Resizing a data set costs seconds, so the result is kept in the cache under the data set's manifest
and mapped into memory from then on.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from bench import assets, code
from bench.api import BenchError
from bench.canonical import digest

SPLITS = ("train", "test")
BILINEAR = Image.Resampling.BILINEAR


def check_split(split: str) -> None:
    """Raise a BenchError unless `split` is one that a data set has."""
    if split not in SPLITS:
        raise BenchError(f"no split named '{split}'; expected {' or '.join(SPLITS)}")


def check_size(image_size: int) -> int:
    """Return the image size; raise a BenchError unless it is a positive integer."""
    if not isinstance(image_size, int) or isinstance(image_size, bool) or image_size < 1:
        raise BenchError(f"image_size is {image_size!r}, expected a positive whole number")
    return image_size


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

    A kept array of another shape than the manifest's counts (cut short, say) is made again.
    """
    check_split(split)
    made_by = code.digest(make.__module__)
    key = digest({"manifest": manifest, "pillow": PIL.__version__, "code": made_by})
    path = assets.cache_dir() / "arrays" / f"{key}-{split}.npy"
    size = manifest["image_size"]
    shape = (manifest["counts"][split], manifest["channels"], size, size)
    kept = _read(path, shape)
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


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept if kept.shape == shape and kept.dtype == np.uint8 else None


def held_out(count: int, fraction: float) -> tuple[int, int]:
    """Return how many images are for training and for testing when the last part is held out.

    Raises:
        BenchError: If there are too few for both.
    """
    test = max(1, round(count * fraction))
    if count - test < 1:
        raise BenchError(f"{count} image(s) cannot be split into train and test; expected >= 2")
    return count - test, test
