"""Names written beside points instead of a legend, without overlaps."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bench.report.vector import HALO

Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in points."""
GAP = 4.0
"""Points between two labels on one line."""
CORNERS = (
    *((6, 4), (6, -9), (-6, 4), (-6, -9), (7, -3), (-7, -3), (0, 8), (0, -13)),
    *((12, 10), (12, -16), (-12, 10), (-12, -16), (20, -3), (-20, -3), (0, 16), (0, -22)),
    *((26, 20), (26, -26), (-26, 20), (-26, -26), (38, 8), (38, -14), (-38, 8), (-38, -14)),
    *((0, 28), (0, -34), (34, -40), (-34, 34)),  # where many are near each other
)
"""Offsets in points that a label may take beside its point, the nicest first."""


def texts_beside(
    axes: Axes,
    points: Sequence[tuple[str, float, float]],
    *,
    colours: Sequence[str],
    avoid: Sequence[tuple[float, float]] = (),
) -> None:
    """Write texts beside points so that they overlap neither points, lines nor any text there is.

    Every text stays inside the axes, where no number of a tick can lie under it.

    Args:
        axes: The panel; its limits must be final.
        points: Text, x and y.
        colours: Of each text.
        avoid: Further places to leave free, such as points along a line.
    """
    scale = 72.0 / axes.get_figure().dpi
    spots = [axes.transData.transform((x, y)) * scale for _, x, y in points]
    lines = axes.transData.transform(np.reshape(avoid, (-1, 2))) * scale
    frame = [float(edge) * scale for edge in axes.get_window_extent().extents]
    taken: list[Box] = [tuple(note.get_window_extent().extents * scale) for note in axes.texts]
    for i, (text, x, y) in enumerate(points):
        places = [_inward(_box(spots[i], offset, text), frame) for offset in CORNERS]
        others = spots[:i] + spots[i + 1 :]
        costs = [
            20 * sum(_overlap(box, old) for old in taken)
            + 12 * _near(box, spots[i], 1.0)
            + 8 * sum(_near(box, other, 5.0) for other in others)
            + count_near(box, lines, 1.0)
            + 0.1 * (rank + abs(moved[0]) + abs(moved[1]))
            for rank, (box, moved) in enumerate(places)
        ]
        best = costs.index(min(costs))
        box, moved = places[best]
        taken.append(box)
        offset = CORNERS[best][0] + moved[0], CORNERS[best][1] + moved[1]
        _text(axes, text, (x, y), colour=colours[i], side=CORNERS[best][0], offset=offset)


def _text(
    axes: Axes,
    text: str,
    place: tuple[float, float],
    *,
    colour: str,
    side: float,
    offset: tuple[float, float],
) -> None:
    """Write one text; farther away than its neighbourhood it gets a leader line."""
    line = {"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkB": 3}
    axes.annotate(
        text,
        place,
        xytext=offset,
        textcoords="offset points",
        ha="left" if side > 0 else "right" if side < 0 else "center",
        fontsize=7,
        color=colour,
        gid=HALO,
        arrowprops=line if math.hypot(offset[0], offset[1] + 4) > 11 else None,
    )


def _box(spot: Sequence[float], offset: tuple[float, float], text: str) -> Box:
    """Return the rectangle of a label in points: a character is about 4.2 wide, 8 high."""
    width = 4.2 * len(text)
    left = spot[0] + offset[0] - (0 if offset[0] > 0 else width if offset[0] < 0 else width / 2)
    return left, spot[1] + offset[1], left + width, spot[1] + offset[1] + 8


def _inward(
    box: Box, frame: Sequence[float], margin: float = 5.0
) -> tuple[Box, tuple[float, float]]:
    """Return a box pushed into the frame, and by how much; wide letters need the margin."""
    moves = []
    for low in (0, 1):
        short, long = frame[low] + margin - box[low], frame[low + 2] - margin - box[low + 2]
        moves.append(max(short, 0.0) or min(long, 0.0))
    x, y = moves
    return (box[0] + x, box[1] + y, box[2] + x, box[3] + y), (x, y)


def _overlap(a: Box, b: Box) -> bool:
    """Return whether two labels overlap, or would be read as one word."""
    return a[0] - GAP < b[2] and b[0] - GAP < a[2] and a[1] < b[3] and b[1] < a[3]


def _near(box: Box, spot: Sequence[float], margin: float) -> bool:
    across = box[0] - margin < spot[0] < box[2] + margin
    return across and box[1] - margin < spot[1] < box[3] + margin


def count_near(box: Box, spots: np.ndarray, margin: float) -> int:
    """Return how many of many places [N,2] are near a box."""
    left, bottom, right, top = box
    across = (spots[:, 0] > left - margin) & (spots[:, 0] < right + margin)
    return int((across & (spots[:, 1] > bottom - margin) & (spots[:, 1] < top + margin)).sum())
