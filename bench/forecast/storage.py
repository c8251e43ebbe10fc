"""How many bytes a cell leaves in the store, read off the shapes of what it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.api import Cell
from bench.forecast.calls import calls_of_restoring
from bench.forecast.work import NOTHING, Counts, images_of
from bench.metrics.neighbours import CLOSEST
from bench.shipped import CHECKPOINT
from bench.tasks.denoise import SHOWN
from bench.tasks.restore import ESTIMATES, FRAMES, KEPT, PATH, SHARES

FLOAT = 4
UPDATE = 20
"""Of the loss curve's text, a line."""
RECORD = 3_000
"""Of a record: what was measured on what, of which the rows are the smaller part."""
ROW = 250
"""Of each state of a restoration, in either reading."""
SCORE = 20
"""Of one image's score in a record."""
HELD = 4
"""Copies of its weights that a training holds: network, moving average, Adam's two moments."""


@dataclass(frozen=True)
class Sizes:
    """Of what a cell works on."""

    image: int
    """Bytes of an image: channels x height x width."""
    numbers: int = 0
    """Parameters and buffers of the network."""
    dimension: int = 0
    """Numbers in a feature vector."""


def kept_bytes(cell: Cell, sizes: Sizes, counts: Counts = NOTHING) -> int:
    """Return the bytes of a cell's record and files."""
    return RECORD + _files(cell, sizes, counts)


def scratch_bytes(cell: Cell, sizes: Sizes) -> int:
    """Return the bytes that a cell keeps beside them until it is done, to go on where it was."""
    if cell.task in ("train", "distil", "convergence") and CHECKPOINT not in cell.spec:
        return HELD * FLOAT * sizes.numbers
    return _files(cell, sizes, NOTHING) if cell.task in ("sample", "features") else 0


def _files(cell: Cell, sizes: Sizes, counts: Counts) -> int:
    spec, image = cell.spec, sizes.image
    match cell.task:
        case "train" | "distil":
            curve = 0 if CHECKPOINT in spec else UPDATE * spec["training"]["updates"]
            return FLOAT * sizes.numbers + curve
        case "judge":
            return FLOAT * sizes.numbers
        case "sample":
            return int(spec["n"]) * image
        case "features":
            return images_of(cell, counts) * sizes.dimension * FLOAT
        case "frechet":
            return 2 * CLOSEST * image
        case "denoise":
            return (int(spec["n"]) + 3 * SHOWN) * image
        case "restore":
            return _restored(spec, image)
        case _:
            return 0


def _restored(spec: Mapping[str, Any], image: int) -> int:
    states = calls_of_restoring(spec) + 1
    images = min(PATH, states) + len(SHARES) + len(ESTIMATES) * min(KEPT + 2, states)
    shown = 5 * SHOWN + min(FRAMES, states)
    rows = len(ESTIMATES) * (ROW * states + 6 * SCORE * spec["n"])
    return (images * int(spec["n"]) + shown) * image + rows
