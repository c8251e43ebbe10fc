"""From an array of whatever convention to uint8 pictures [N,C,H,W]; what is not clear is refused.

A set in [-1, 1] that is taken for [0, 1] gives a number that looks like any other. So the layout
and the range are recognised only where there is no second reading, and stated otherwise.
"""

from dataclasses import dataclass

import numpy as np

from bench.api import BenchError

LAYOUTS = {"NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2), "NHW": (0, 1, 2)}
"""Where the axes N, C, H, W of the result are found."""
CHANNELS = (1, 3)
TOLERANCE = 1e-6
"""How far a value may lie outside its range, as a share of it: the rounding of a clamp."""
AT_ONCE = 2**24
"""Values that are looked at together, so that a large set needs little memory."""
KNOWN = {(-1.0, 1.0): "-1,1", (0.0, 255.0): "0,255"}
"""Ranges that floats are likely to have, as they are stated on the command line."""


@dataclass(frozen=True)
class Conventions:
    """What a person says about a set of pictures; nothing is guessed where it is not clear."""

    layout: str = ""
    """"NCHW", "NHWC" or "NHW"; empty where the shape tells."""
    low: float | None = None
    high: float | None = None
    """The values that stand for black and white; None: 0 to 255 for bytes, 0 to 1 for floats."""

    @classmethod
    def of(cls, layout: str, value_range: str) -> "Conventions":
        """Return what the words of the command line say.

        Raises:
            BenchError: If they say nothing that is known.
        """
        layout = layout.upper()
        if layout and layout not in LAYOUTS:
            raise BenchError(f"--layout {layout}: expected one of {', '.join(LAYOUTS)}")
        if not value_range:
            return cls(layout)
        try:
            low, high = (float(part) for part in value_range.split(","))
        except ValueError:
            low = high = 0.0
        if not -1e6 <= low < high <= 1e6:
            raise BenchError(
                f"--range {value_range[:60]}: expected two numbers, black and white, such as -1,1"
            )
        return cls(layout, low, high)


def as_bytes(array: np.ndarray, stated: Conventions) -> np.ndarray:
    """Return an array of pictures as uint8 [N,C,H,W].

    Raises:
        BenchError: If the layout or the range is not clear, or a value is none of a picture.
    """
    pictures = _in_order(array, stated.layout)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise BenchError(
            f"the pictures are {array.dtype}; expected uint8 in 0..255 or floats in [0, 1]"
        )
    low, high = _range_of(pictures, stated)
    if (low, high) == (0, 255) and pictures.dtype == np.uint8:
        return np.ascontiguousarray(pictures)
    made = np.empty(pictures.shape, np.uint8)
    for part in _parts(pictures):
        values = (pictures[part].astype(np.float64) - low) / (high - low)
        made[part] = np.rint(values.clip(0, 1) * 255)
    return made


def _in_order(array: np.ndarray, layout: str) -> np.ndarray:
    """Return a view [N,C,H,W]."""
    shape = list(array.shape)
    if 0 in shape:
        raise BenchError(f"the array {shape} holds no pictures; expected [N,C,H,W] or [N,H,W,C]")
    layout = layout or _layout_of(shape)
    if len(shape) != len(layout):
        raise BenchError(f"--layout {layout} does not fit an array {shape}")
    view = array.transpose(LAYOUTS[layout])
    view = view[:, None] if layout == "NHW" else view
    if view.shape[1] not in CHANNELS:
        raise BenchError(
            f"an array {shape} read as {layout} has {view.shape[1]} channels; expected 1 or 3"
        )
    return view


def _layout_of(shape: list[int]) -> str:
    if len(shape) == 3 and shape[0] not in CHANNELS and shape[2] not in CHANNELS:
        return "NHW"
    fitting = [name for name, axis in (("NCHW", 1), ("NHWC", 3)) if _fits(shape, axis)]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) == 2:
        raise BenchError(
            f"an array {shape} can be read as NCHW and as NHWC; say which with --layout"
        )
    one = "; is it one picture? a set begins with the axis N" if len(shape) == 3 else ""
    raise BenchError(
        f"an array {shape} is no set of pictures{one}; expected [N,C,H,W] or [N,H,W,C] with 1 or 3 "
        "channels, or grey [N,H,W]; --layout says which"
    )


def _fits(shape: list[int], axis: int) -> bool:
    return len(shape) == 4 and shape[axis] in CHANNELS


def _range_of(pictures: np.ndarray, stated: Conventions) -> tuple[float, float]:
    """Return what stands for black and for white, after looking at every value."""
    found = _extremes(pictures)
    if stated.low is not None and stated.high is not None:
        return _checked(found, stated.low, stated.high, stated=True)
    if pictures.dtype != np.uint8:
        return _checked(found, 0.0, 1.0, stated=False)
    if found[1] <= 1:
        raise BenchError(
            f"the pictures are bytes from {found[0]:g} to {found[1]:g}, all but black: floats in "
            "[0, 1] that were cut to bytes? multiply by 255 before, or state --range 0,1"
        )
    return 0.0, 255.0


def _checked(
    found: tuple[float, float], low: float, high: float, *, stated: bool
) -> tuple[float, float]:
    room = TOLERANCE * (high - low)
    if low - room <= found[0] and found[1] <= high + room:
        return low, high
    values = f"the pictures hold values from {found[0]:.6g} to {found[1]:.6g}"
    if stated:
        raise BenchError(f"{values}, outside the stated range {low:g} to {high:g}; clip them first")
    for (least, most), words in KNOWN.items():
        if least <= found[0] and found[1] <= most:
            how = "(x + 1) / 2" if least < 0 else "x / 255"
            raise BenchError(
                f"{values}, expected floats in [0, 1]; they look like [{least:g}, {most:g}]: "
                f"convert them with {how}, or state it with --range {words}"
            )
    raise BenchError(
        f"{values}, expected floats in [0, 1]; scale and clip them, or state --range LOW,HIGH"
    )


def _extremes(pictures: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest value; refuse what is no number."""
    low, high, bad, first = np.inf, -np.inf, 0, -1
    for part in _parts(pictures):
        values = pictures[part]
        if values.dtype.kind == "f":
            broken = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            first = part.start + int(broken[0]) if len(broken) and first < 0 else first
            bad += len(broken)
            if len(broken):
                continue
        low, high = min(low, values.min()), max(high, values.max())
    if bad:
        raise BenchError(
            f"NaN or infinity in {bad} of {len(pictures)} pictures, the first is number {first}; "
            "a set with such pictures has no score"
        )
    return float(low), float(high)


def _parts(pictures: np.ndarray) -> list[slice]:
    size = max(1, AT_ONCE // max(1, pictures[0].size))
    return [slice(start, start + size) for start in range(0, len(pictures), size)]
