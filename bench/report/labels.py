"""Names written at the ends of lines instead of a legend, without overlaps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.report.names import printed
from bench.report.point_labels import count_near
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


def keys(names: Sequence[str], *, dash: bool = True, marker: bool = True) -> list[Line2D]:
    """Return what a legend shows of networks and methods: each in its colour, with its name.

    Args:
        names: Plug-in names.
        dash: Whether lines are told apart by their dashes, too.
        marker: Likewise by their marks.
    """
    looks = [(name, look(name)) for name in names]
    return [
        Line2D(
            [], [], label=printed(name), color=one.colour, linestyle=one.dash if dash else "-",
            marker=one.marker if marker else None,
        )
        for name, one in looks
    ]  # fmt: skip


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
        covered = sum(count_near(box, drawn, 0.0) for box in boxes)
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
