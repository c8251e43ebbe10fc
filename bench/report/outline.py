"""Paths, pictures and colours as text, in as few bytes as show the same."""

import io
from functools import lru_cache

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.path import Path
from PIL import Image

Attributes = str
"""As they stand in a tag, each after a space."""


def data(vertices: np.ndarray, codes: np.ndarray) -> str:
    """Return a path in whole numbers, each place from the one before it.

    Args:
        vertices: [N,2].
        codes: [N], as Matplotlib has them.
    """
    parts: list[str] = []
    begin, at, kind = (0, 0), (0, 0), ""
    waiting: list[int] = []
    for (x, y), code in zip(np.rint(vertices).astype(int).tolist(), codes.tolist(), strict=True):
        if code == Path.STOP:
            break
        if code == Path.CLOSEPOLY:
            parts.append("z")
            at, kind = begin, "z"
        elif code == Path.MOVETO:
            parts.append(f"M{x} {y}")
            begin, at, kind = (x, y), (x, y), "M"
        else:
            letter, needed = {Path.LINETO: ("l", 1), Path.CURVE3: ("q", 2)}.get(code, ("c", 3))
            waiting += [x - at[0], y - at[1]]
            if len(waiting) == 2 * needed:
                numbers = " ".join(map(str, waiting)).replace(" -", "-")
                said = "" if letter == kind else letter
                gap = " " if not said and numbers[0] != "-" else ""
                parts.append(f"{said}{gap}{numbers}")
                at, kind, waiting = (x, y), letter, []
    return "".join(parts) if parts[1:] else ""


def as_png(picture: np.ndarray) -> bytes:
    """Return a picture [H,W,4] in as few bytes as show the same pixels."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    rgb, alpha = picture[..., :3], picture[..., 3]
    if (alpha == 255).all():
        grey = (rgb == rgb[..., :1]).all()
        image = image.convert("L" if grey else "RGB")
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def paint(name: str, colour: tuple[float, ...]) -> Attributes:
    """Return a colour, and how opaque it is unless wholly."""
    seen = f' {name}="{_hex(tuple(colour[:3]))}"'
    alpha = colour[3] if len(colour) > 3 else 1.0
    return seen if alpha >= 1 else f'{seen} {name}-opacity="{alpha:.3g}"'


@lru_cache(maxsize=1024)
def _hex(colour: tuple[float, ...]) -> str:
    text = to_hex(colour)
    return f"#{text[1::2]}" if text[1::2] == text[2::2] else text
