"""Names written beside lines and points instead of a legend, without overlaps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.report.names import printed
from bench.report.style import look
from bench.report.vector import HALO


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


NEAR_ENDS = 0.12
"""Share of a panel's width: lines that end nearer to each other have their texts in one column."""


@dataclass(frozen=True, slots=True)
class Named:
    """What to write at the end of a line."""

    text: str
    x: float
    y: float
    colour: str


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
    texts = [", ".join(part for part in (printed(n), notes.get(n)) if part) for n, _, _ in ends]
    named = [
        Named(text, x, y, look(name).colour) for text, (name, x, y) in zip(texts, ends, strict=True)
    ]
    line_ends(axes, named, size=7.5, weight="bold")


def line_ends(axes: Axes, ends: Sequence[Named], *, size: float, weight: str = "normal") -> None:
    """Write texts at the right of the last points, those that end far from the others at theirs.

    Args:
        axes: The panel; its limits and its place must be final.
        ends: What to write, and where the line ends.
        size: Of the letters, in points.
        weight: Of the letters.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    points = [tuple(map(float, to_axes.transform((one.x, one.y)))) for one in ends]
    panel = axes.get_position()
    wide, high = axes.get_figure().get_size_inches() * 72 * (panel.width, panel.height)
    parts = [one.text.split("\n") for one in ends]
    line = 1.25 * size * max(map(len, parts), default=1) / max(high, 1.0)
    lengths = [(0.58 * size * max(map(len, one)) + 10) / max(wide, 1.0) for one in parts]
    columns, drawn = _columns(points, lengths, line), _along_lines(axes)
    for column, members in columns.items():
        heights = spread([points[i][1] for i in members], gap=line)
        if column < max(columns):
            length = max(lengths[i] for i in members)
            heights = _aside(heights, (column, column + length), drawn, line)
        taken = [
            [column + lengths[i] * k / 20, y]
            for i, y in zip(members, heights, strict=True)
            for k in range(21)
        ]
        drawn = np.concatenate([drawn, taken])
        for i, height in zip(members, heights, strict=True):
            place = column + 9 / max(wide, 1.0), height  # clear of a marked point
            ways, gap = (points[i], place), 2 / max(wide, 1.0)
            _line_end(axes, ends[i], ways, gap=gap, size=size, weight=weight)


def _columns(
    points: Sequence[tuple[float, ...]], lengths: Sequence[float], line: float
) -> dict[float, list[int]]:
    """Return where texts begin -> which do: those of near ends together, else where there is room.

    Args:
        points: The ends of the lines, as shares of the panel.
        lengths: Of the texts, likewise.
        line: Height of a text, likewise.
    """
    columns: dict[float, list[int]] = {}
    for i in sorted(range(len(points)), key=lambda i: -points[i][0]):
        x, y = points[i]
        near = next((at for at in columns if at - x < NEAR_ENDS), None)
        if near is None:
            near, end = x, x + lengths[i]
            for at, members in columns.items():
                if end > at + 0.1 and any(abs(points[j][1] - y) < 3 * line for j in members):
                    near = at  # no room here
        columns.setdefault(near, []).append(i)
    return columns


def _along_lines(axes: Axes, parts: int = 12) -> np.ndarray:
    """Return places along what is drawn in a panel [N,2], as shares of it."""
    to_axes, places = axes.transData + axes.transAxes.inverted(), [np.zeros((0, 2))]
    for line in axes.lines:
        x, y = to_axes.transform(line.get_xydata()).T if len(line.get_xdata()) else ([], [])
        if line.get_transform() == axes.transData and len(x):
            at = np.linspace(0, len(x) - 1, parts * len(x))
            count = range(len(x))
            places.append(np.stack([np.interp(at, count, x), np.interp(at, count, y)], axis=1))
    return np.concatenate(places)


def _aside(
    heights: Sequence[float], across: tuple[float, float], drawn: np.ndarray, line: float
) -> list[float]:
    """Return heights of texts in a panel, moved together to where they cover least.

    Args:
        heights: Of their middles, as shares of the panel.
        across: Where they begin and end, likewise.
        drawn: Places that should stay free [N,2], likewise.
        line: Height of a text, likewise.
    """
    best, least = list(heights), math.inf
    for halves in range(-8, 9):
        moved = [height + halves * line / 2 for height in heights]
        boxes = [(across[0], y - 0.4 * line, across[1], y + 0.4 * line) for y in moved]
        outside = min(moved) < 0.6 * line or max(moved) > 1 - 0.6 * line
        covered = sum(_count_near(box, drawn, 0.0) for box in boxes)
        cost = covered + 0.4 * abs(halves) + 100 * outside
        if cost < least:
            best, least = moved, cost
    return best


def _line_end(
    axes: Axes,
    end: Named,
    ways: Sequence[tuple[float, ...]],
    *,
    gap: float,
    size: float,
    weight: str,
) -> None:
    """Write a text, and a thin line to it, up to a gap, from where its own ends: both `ways`."""
    (x, y), (left, height) = ways
    # A line of its own: to find where an arrow leaves its text takes as long as to draw a panel.
    look = {"color": end.colour, "linewidth": 0.5, "alpha": 0.6, "clip_on": False}
    axes.add_artist(Line2D((x, left - gap), (y, height), transform=axes.transAxes, **look))
    letters = {"color": end.colour, "va": "center", "fontsize": size, "fontweight": weight}
    rim = HALO if left < 1 else None
    axes.text(left, height, end.text, transform=axes.transAxes, gid=rim, **letters)


Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in points."""
CORNERS = (
    *((6, 4), (6, -9), (-6, 4), (-6, -9), (7, -3), (-7, -3), (0, 8), (0, -13)),
    *((12, 10), (12, -16), (-12, 10), (-12, -16), (20, -3), (-20, -3), (0, 16), (0, -22)),
    *((26, 20), (26, -26), (-26, 20), (-26, -26), (38, 8), (38, -14), (-38, 8), (-38, -14)),
    *((0, 28), (0, -34), (34, -40), (-34, 34)),  # where many are near each other
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
    lines = axes.transData.transform(np.reshape(avoid, (-1, 2))) * scale
    frame = [float(edge) * scale for edge in axes.get_window_extent().extents]
    taken: list[Box] = []
    for i, (text, x, y) in enumerate(points):
        places = [_inward(_box(spots[i], offset, text), frame) for offset in CORNERS]
        others = spots[:i] + spots[i + 1 :]
        costs = [
            20 * sum(_overlap(box, old) for old in taken)
            + 12 * _near(box, spots[i], 1.0)
            + 8 * sum(_near(box, other, 5.0) for other in others)
            + _count_near(box, lines, 1.0)
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
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _near(box: Box, spot: Sequence[float], margin: float) -> bool:
    across = box[0] - margin < spot[0] < box[2] + margin
    return across and box[1] - margin < spot[1] < box[3] + margin


def _count_near(box: Box, spots: np.ndarray, margin: float) -> int:
    """Return how many of many places [N,2] are near a box."""
    left, bottom, right, top = box
    across = (spots[:, 0] > left - margin) & (spots[:, 0] < right + margin)
    return int((across & (spots[:, 1] > bottom - margin) & (spots[:, 1] < top + margin)).sum())
