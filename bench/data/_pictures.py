"""Decoding picture files of whatever origin, and identifying a set of them.

A decoder meets bytes that somebody may have crafted: formats are those of the suffixes, sizes are
checked before pixels are decoded, and whatever a decoder raises becomes one line.
"""

import contextlib
import hashlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from bench import assets
from bench.api import BenchError
from bench.data._arrays import BILINEAR, is_count
from bench.data._files import Archive, Folder, Unusable
from bench.inputs import printable

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
"""A file's content counts, not its name; others - EPS would start Ghostscript - are not tried."""
MOST_PIXELS = 2**30 // 4 // 3
"""Larger pictures are refused: a quarter of a GiB decoded, as Pillow's own limit."""
MOST_FRAMES = 100
"""Pages of a TIFF file are counted so far."""
DEEP_MODES = ("I", "F")
"""More than 8 bits per channel: Pillow would clip these at 255 without a word."""
BITS_PER_SAMPLE = 258
"""A tag of TIFF."""
NAMED = 3
"""So many faults of a set are told one by one."""


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
        BenchError: If files are no pictures; the message counts them and names the first.
    """

    def answer() -> dict[str, Any]:
        content = hashlib.sha256()
        sizes: Counter[str] = Counter()
        faults = []
        for name, (where, data) in zip(source.names, source.read(source.names), strict=True):
            try:
                width, height = _header(where, data).size
            except Unusable as error:
                faults.append(error)
                continue
            content.update(name.encode("utf-8", "surrogateescape") + f"\0{len(data)}\0".encode())
            content.update(data)
            sizes[f"{width}x{height}"] += 1
        _refuse(faults, len(source.names))
        return {"sha256": content.hexdigest(), "sizes": dict(sizes)}

    return Survey(**assets.remembered(["survey", source.stamp()], answer, _is_survey))


def _is_survey(kept: Any) -> bool:
    """Return whether a remembered answer has the form of one; another program may have written."""
    return (
        isinstance(kept, dict)
        and kept.keys() == {"sha256", "sizes"}
        and isinstance(kept["sha256"], str)
        and re.fullmatch("[0-9a-f]{64}", kept["sha256"]) is not None
        and isinstance(kept["sizes"], dict)
        and all(re.fullmatch(r"[1-9]\d{0,9}x[1-9]\d{0,9}", size, re.A) for size in kept["sizes"])
        and all(is_count(count) for count in kept["sizes"].values())
    )


def pictures(source: Folder | Archive, names: tuple[str, ...]) -> Iterator[Image.Image]:
    """Yield the pictures of these names in RGB, turned upright as their EXIF data says.

    After one that cannot be used the rest is only looked through, to name all of them at once.

    Raises:
        BenchError: If some cannot be decoded, are transparent or have more than 8 bits per channel.
    """
    faults = []
    for where, data in source.read(names):
        try:
            picture = _decoded(where, data)
        except Unusable as error:
            faults.append(error)
        else:
            if not faults:
                yield picture
    _refuse(faults, len(names))


def centre_square(picture: Image.Image, image_size: int) -> Image.Image:
    """Return the largest centred square, resized."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((image_size, image_size), BILINEAR, box=box)


def _refuse(faults: list[Unusable], count: int) -> None:
    """Raise what is wrong with a set of pictures, if anything is, in one line."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        named = "; ".join(fault.short for fault in faults[:NAMED])
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise BenchError(
            f"{len(faults)} of {count} pictures cannot be used: {named}{more}; mend them or take "
            "them out"
        ) from faults[0]


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Have Pillow refuse huge and truncated pictures, whatever another library set."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _header(where: str, data: bytes | Unusable) -> Image.Image:
    """Return a picture of which only the header is decoded."""
    if isinstance(data, Unusable):
        raise data
    if not data:
        raise Unusable(where, "is not a readable picture (it is empty)")
    with _strict():
        try:
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            frames = _frames(picture)
            deep = _is_deep(picture)
        except Exception as error:  # a decoder met crafted bytes: anything can come out
            raise _broken(where, error) from error
    if picture.width * picture.height > MOST_PIXELS:
        raise Unusable(where, f"is too large ({picture.width}x{picture.height} pixels)")
    if frames > 1:
        many = f"{frames} or more" if frames == MOST_FRAMES else str(frames)
        raise Unusable(where, f"has {many} frames, expected one picture", "take it apart first")
    if deep:
        raise Unusable(
            where,
            f"has more than 8 bits per channel (mode {picture.mode})",
            "convert it to 8 bits",
        )
    return picture


def _decoded(where: str, data: bytes | Unusable) -> Image.Image:
    header = _header(where, data)
    with _strict():
        try:
            if _is_transparent(header):
                raise Unusable(
                    where,
                    f"has transparency ({header.mode}), expected an opaque picture",
                    "flatten it onto a background first",
                )
            return ImageOps.exif_transpose(header).convert("RGB")
        except Unusable:
            raise
        except Exception as error:  # a decoder met crafted bytes: anything can come out
            raise _broken(where, error) from error


def _is_transparent(picture: Image.Image) -> bool:
    """Return whether what shows depends on what is behind."""
    if "transparency" not in picture.info and "A" not in picture.getbands():
        return False
    return picture.convert("RGBA").getchannel("A").getextrema()[0] < 255


def _frames(picture: Image.Image) -> int:
    """Return the number of frames or pages; previews and depth maps in a JPEG file are none."""
    if picture.format in ("JPEG", "MPO"):
        return 1
    if picture.format != "TIFF":
        return getattr(picture, "n_frames", 1)
    count = 1
    with contextlib.suppress(EOFError):
        while count < MOST_FRAMES:  # Pillow's own count would follow millions of empty pages
            picture.seek(count)
            count += 1
    picture.seek(0)
    return count


def _is_deep(picture: Image.Image) -> bool:
    """Return whether a picture has more than 8 bits per channel; Pillow reduces some silently."""
    if picture.mode.partition(";")[0] in DEEP_MODES:
        return True
    if picture.format == "TIFF":
        return max(picture.tag_v2.get(BITS_PER_SAMPLE, (1,))) > 8
    for tile in picture.tile:
        raw, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if ";16" in str(raw):
            return True
        if picture.format == "PPM" and rest and rest[0] > 255:
            return True
    return False


def _broken(where: str, error: Exception) -> Unusable:
    kind = "is too large" if "Bomb" in type(error).__name__ else "is not a readable picture"
    why = "of no known format" if isinstance(error, UnidentifiedImageError) else error
    return Unusable(where, f"{kind} ({printable(why, 150)})")
