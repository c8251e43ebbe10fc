"""The frames that restorations keep of their first test image, on its way back."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.report import pictures as p
from bench.report import restoration as r
from bench.report.names import ordered
from bench.report.rows import RunLike

EXAMPLES = "examples.safetensors"
MISSING = "the frames of the restorations are missing"


@dataclass(frozen=True)
class Film:
    """One restoration of the first test image."""

    t: int
    backbone: str
    frames: np.ndarray
    """[F,C,H,W], from the noisy image to the restored one."""
    clean: np.ndarray


def films(run: RunLike, block: r.Block, *, levels: int) -> Iterator[Film]:
    """Yield the films of a block, by noise level and network.

    Args:
        run: The run.
        block: Of Tables 2 and 3.
        levels: How many noise levels at most, evenly chosen.
    """
    found = r.best_of(r.restored(run, "best"), block)
    there = sorted({t for t, _, _ in found})
    for t in [there[i] for i in p.evenly(len(there), levels)]:
        for backbone in ordered(b for level, b, _ in found if level == t):
            row = next(one.row for (u, b, _), one in found.items() if (u, b) == (t, backbone))
            images = p.arrays(run, row["key"], EXAMPLES)
            if "movie" in images and "clean" in images:
                yield Film(t, backbone, images["movie"], images["clean"][0])
