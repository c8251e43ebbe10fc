"""Picture files in a folder or in a zip: listing, reading, decoding, identifying them."""

import functools
import hashlib
import io
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from bench import assets
from bench.api import BenchError
from bench.data._arrays import BILINEAR

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
DEEP_MODES = ("I", "F")
"""More than 8 bits per channel: Pillow would clip these at 255 without a word."""
LARGEST_FILE = 256 * 2**20
"""A zip entry that claims more bytes than this is refused."""
FAULTS = (
    OSError,
    EOFError,
    SyntaxError,  # Pillow's word for a broken PNG
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombWarning,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Folder:
    """The pictures below a folder, sorted by their relative names."""

    root: Path

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Relative names, sorted; hidden files are left out."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*"))
        pictures = (
            name
            for name in found
            if name.suffix.lower() in SUFFIXES
            and (self.root / name).is_file()
            and not any(p.startswith(".") for p in name.parts)
        )
        return tuple(sorted(name.as_posix() for name in pictures))

    def read(self, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        """Yield where each file is, for messages, and its bytes."""
        for name in names:
            yield str(self.root / name), (self.root / name).read_bytes()

    def stamp(self) -> list[Any]:
        """Return what changes whenever a file does."""
        return [str(self.root.resolve()), [assets.stamp(self.root / name) for name in self.names]]


@dataclass(frozen=True)
class Archive:
    """The pictures in a zip file, sorted by name."""

    path: Path

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names in the archive, sorted; what macOS adds is left out."""
        with self._open() as archive:
            found = archive.namelist()
        pictures = (name for name in found if Path(name).suffix.lower() in SUFFIXES)
        return tuple(sorted(name for name in pictures if "__MACOSX" not in name))

    def read(self, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        """Yield where each entry is, for messages, and its bytes."""
        with self._open() as archive:
            for name in names:
                where = f"{self.path}:{name}"
                if archive.getinfo(name).file_size > LARGEST_FILE:
                    raise BenchError(f"{where} claims more than {LARGEST_FILE} bytes; not read")
                try:
                    data = archive.read(name)
                except (zipfile.BadZipFile, NotImplementedError, RuntimeError, *FAULTS) as error:
                    raise BenchError(
                        f"{where} cannot be unpacked ({error}); get it again"
                    ) from error
                yield where, data

    def stamp(self) -> list[Any]:
        """Return what changes whenever the file does."""
        return assets.stamp(self.path)

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise BenchError(
                f"{self.path} is not a readable zip file ({error}); it is damaged: get it again"
            ) from error


@dataclass(frozen=True)
class Survey:
    """What identifies a set of pictures."""

    sha256: str
    """Of all names and contents in order."""
    sizes: dict[str, int]
    """How many pictures there are of each "width x height"."""

    @property
    def dimensions(self) -> list[tuple[int, int]]:
        """The sizes as (width, height)."""
        return [tuple(int(side) for side in size.split("x")) for size in self.sizes]

    def smaller_than(self, side: int) -> int:
        """Return how many pictures have a side shorter than this."""
        sizes = zip(self.dimensions, self.sizes.values(), strict=True)
        return sum(count for dimensions, count in sizes if min(dimensions) < side)


def survey(source: Folder | Archive) -> Survey:
    """Read every file once, headers only decoded; remembered until a file changes.

    Raises:
        BenchError: If a file is no picture; the message names it.
    """

    def answer() -> dict[str, Any]:
        content = hashlib.sha256()
        sizes: Counter[str] = Counter()
        for name, (where, data) in zip(source.names, source.read(source.names), strict=True):
            content.update(f"{name}\0{len(data)}\0".encode())
            content.update(data)
            width, height = _header(where, data).size
            sizes[f"{width}x{height}"] += 1
        return {"sha256": content.hexdigest(), "sizes": dict(sizes)}

    return Survey(**assets.remembered(["survey", source.stamp()], answer))


def _refuse_transparency(where: str, picture: Image.Image) -> None:
    """Raise a BenchError for a picture that is not opaque: what shows depends on what is behind."""
    if "transparency" not in picture.info and "A" not in picture.getbands():
        return
    if picture.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise BenchError(
            f"{where} has transparency ({picture.mode}), expected an opaque picture; flatten it "
            "onto a background first"
        )


def pictures(source: Folder | Archive, names: tuple[str, ...]) -> Iterator[Image.Image]:
    """Yield the pictures of these names in RGB, turned upright as their EXIF data says.

    Raises:
        BenchError: If one cannot be decoded, or has more than 8 bits per channel.
    """
    for where, data in source.read(names):
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                header = _header(where, data)
                _refuse_transparency(where, header)
                picture = ImageOps.exif_transpose(header).convert("RGB")
            except FAULTS as error:
                raise _broken(where, error) from error
        yield picture


def centre_square(picture: Image.Image, image_size: int) -> Image.Image:
    """Return the largest centred square, resized."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((image_size, image_size), BILINEAR, box=box)


def _header(where: str, data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            picture = Image.open(io.BytesIO(data))
        except FAULTS as error:
            raise _broken(where, error) from error
    if picture.mode.partition(";")[0] in DEEP_MODES:
        raise BenchError(
            f"{where} has more than 8 bits per channel (mode {picture.mode}); convert it to 8 bits"
        )
    return picture


def _broken(where: str, error: Exception) -> BenchError:
    kind = "is too large" if "Bomb" in type(error).__name__ else "is not a readable picture"
    reason = str(error).replace("\n", " ")
    return BenchError(f"{where} {kind} ({reason}); mend it or take it out of the folder")
