"""Which of several values lead: what a table sets in bold."""

from collections.abc import Callable, Sequence

import pandas as pd

from bench.report.comparison import Value, bold
from bench.report.paired import LEFT_OUT, Triple, paired_jackknife, separate
from bench.report.rows import listed
from bench.report.verdicts import known

Gap = Callable[[int, int], Triple | None]
"""Two places -> the difference of their values with its 95 % interval, None where there is none."""


def leaders(values: Sequence[float | None], gap: Gap, *, largest: bool = False) -> list[bool]:
    """Return which values are best: the best one, and all that tie with it.

    Alone nothing is best, and neither is anything where all tie. Without an interval there is no
    tie.
    """
    there = [place for place, value in enumerate(values) if known(value)]
    if len(there) < 2:
        return [False] * len(values)
    first = (max if largest else min)(there, key=lambda place: values[place])
    best = {first, *(place for place in there if place != first and _tie(gap(place, first)))}
    return [place in best and len(best) < len(there) for place in range(len(values))]


def _tie(gap: Triple | None) -> bool:
    return gap is not None and gap[1] <= 0 <= gap[2]


def marked(texts: Sequence[str], best: Sequence[bool]) -> list[str]:
    """Return texts, those of the best in bold."""
    return [bold(text) if one else text for text, one in zip(texts, best, strict=True)]


def gap_of_distances(values: Sequence[Value], rows: Sequence[pd.Series | None], metric: str) -> Gap:
    """Return how distances differ that are in these rows, "frechet" or "kid"."""

    def gap(i: int, j: int) -> Triple | None:
        blocks = (listed(rows[place][LEFT_OUT[metric]]) for place in (i, j))
        return gap_over_blocks(values[i], values[j], tuple(blocks))

    return gap


def gap_over_blocks(
    a: Value, b: Value, left_out: tuple[Sequence[float], Sequence[float]]
) -> Triple | None:
    """Return how much larger one distance is than another, with its 95 % interval.

    From the two own intervals where the images were not of the same blocks.

    Args:
        a: A distance.
        b: Another, of images that were compared with the same real ones.
        left_out: What either becomes without each block of images in turn.
    """
    if a.value is None or b.value is None:
        return None
    return paired_jackknife((a.value, b.value), *left_out) or separate(a.ranged, b.ranged)
