"""Names written beside lines and points instead of a legend, without overlaps."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from bench.report.names import printed
from bench.report.style import look


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Return positions near `values`, in the same order, at least `gap` apart."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = [values[i] for i in order]
    for _ in range(200):
        moved = False
        for i in range(len(placed) - 1):
            overlap = gap - (placed[i + 1] - placed[i])
            if overlap > 1e-9:
                placed[i] -= overlap / 2
                placed[i + 1] += overlap / 2
                moved = True
        if not moved:
            break
    out = [0.0] * len(values)
    for position, i in zip(placed, order, strict=True):
        out[i] = position
    return out


def end_labels(
    axes: Axes,
    ends: Sequence[tuple[str, float, float]],
    notes: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write each line's name at its right end, apart from each other.

    Args:
        axes: The panel; its limits must be final.
        ends: Plug-in name, x and y of the last point.
        notes: Plug-in name -> what to say beside it.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    points = [to_axes.transform((x, y)) for _, x, y in ends]
    height = axes.get_figure().get_size_inches()[1] * 72 * axes.get_position().height
    heights = spread([float(p[1]) for p in points], gap=9.5 / max(height, 1.0))
    right = max((float(p[0]) for p in points), default=1.0)
    for (name, x, y), position in zip(ends, heights, strict=True):
        axes.annotate(
            ", ".join(part for part in (printed(name), notes.get(name)) if part),
            (x, y),
            xytext=(right + 0.045, position),
            textcoords="axes fraction",
            color=look(name).colour,
            va="center",
            fontsize=7.5,
            fontweight="bold",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look(name).colour, "lw": 0.5, "alpha": 0.6},
        )


Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in points."""
CORNERS = (
    *((6, 4), (6, -9), (-6, 4), (-6, -9), (7, -3), (-7, -3), (0, 8), (0, -13)),
    *((12, 10), (12, -16), (-12, 10), (-12, -16), (20, -3), (-20, -3), (0, 16), (0, -22)),
)
"""Offsets in points that a label may take beside its point, the nicest first."""


def point_labels(
    axes: Axes,
    points: Sequence[tuple[str, float, float]],
    avoid: Sequence[tuple[float, float]] = (),
) -> None:
    """Write the names of plug-ins beside points; see `texts_beside`."""
    texts_beside(
        axes,
        [(printed(name), x, y) for name, x, y in points],
        colours=[look(name).colour for name, _, _ in points],
        avoid=avoid,
    )


def texts_beside(
    axes: Axes,
    points: Sequence[tuple[str, float, float]],
    *,
    colours: Sequence[str],
    avoid: Sequence[tuple[float, float]] = (),
) -> None:
    """Write texts beside points so that they overlap neither points, lines nor each other.

    Every text stays inside the axes, where no number of a tick can lie under it.

    Args:
        axes: The panel; its limits must be final.
        points: Text, x and y.
        colours: Of each text.
        avoid: Further places to leave free, such as points along a line.
    """
    scale = 72.0 / axes.get_figure().dpi
    spots = [axes.transData.transform((x, y)) * scale for _, x, y in points]
    lines = [axes.transData.transform(place) * scale for place in avoid]
    frame = [float(edge) * scale for edge in axes.get_window_extent().extents]
    taken: list[Box] = []
    for i, (text, x, y) in enumerate(points):
        places = [_inward(_box(spots[i], offset, text), frame) for offset in CORNERS]
        others = spots[:i] + spots[i + 1 :]
        costs = [
            20 * sum(_overlap(box, old) for old in taken)
            + 12 * _near(box, spots[i], 1.0)
            + 8 * sum(_near(box, other, 5.0) for other in others)
            + sum(_near(box, place, 1.0) for place in lines)
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
        path_effects=[withStroke(linewidth=2, foreground="white")],
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
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _near(box: Box, spot: Sequence[float], margin: float) -> bool:
    across = box[0] - margin < spot[0] < box[2] + margin
    return across and box[1] - margin < spot[1] < box[3] + margin
