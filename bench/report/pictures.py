"""Reading the images of a run and putting them side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bench.api import BenchError
from bench.report.rows import RunLike

WHITE = 255


def arrays(run: RunLike, key: str, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a record's file; empty where it is missing or damaged."""
    try:
        return load_file(str(Path(run.file(key, name))))
    except (OSError, KeyError, BenchError, SafetensorError):
        return {}


def as_picture(image: np.ndarray) -> np.ndarray:
    """Return one image [C,H,W] as [H,W,3]."""
    rgb = np.repeat(image, 3, axis=0) if image.shape[0] == 1 else image[:3]
    return np.ascontiguousarray(rgb.transpose(1, 2, 0))


def tile(images: np.ndarray, columns: int, *, gap: int = 2) -> np.ndarray:
    """Return images [N,C,H,W] side by side as one picture [H,W,3], white between them."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[2:]
    out = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, 3), WHITE, dtype=np.uint8
    )
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        out[top : top + height, left : left + width] = as_picture(image)
    return out


def show(axes: Axes, picture: np.ndarray) -> None:
    """Show a picture [H,W,3] pixel by pixel, without axes."""
    axes.imshow(picture, interpolation="none", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def side(axes: Axes, text: str, colour: str = "#222222") -> None:
    """Write the name of a row of pictures to its left."""
    axes.set_ylabel(
        text, rotation=0, ha="right", va="center", labelpad=6, fontsize=7.5, color=colour
    )


def evenly(count: int, most: int) -> Sequence[int]:
    """Return at most `most` places of `count`, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
