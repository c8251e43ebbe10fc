"""The curves of the checks of the theory, a panel for each question."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.checked import Curve
from bench.report import style
from bench.report.labels import spread
from bench.report.rows import RunLike
from bench.report.theory import curves

COLOURS = ("#004488", "#BB5566", "#B8860B", "#117733", "#882255", "#332288", "#44AA99", "#222222")
MARKERS = "osD^vPX*"


@style.styled
def draw_theory(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw a panel for each question that the checks of a run asked."""
    found = curves(run)
    if not found:
        return "no checks of the theory in this run; make them with: python -m bench run theory"
    titles = list(dict.fromkeys(curve.panel for curve in found))
    figure, axes = style.panels(len(titles), width=4.8, height=2.9, columns=2)
    ends = [
        _draw(panel, title, [curve for curve in found if curve.panel == title])
        for panel, title in zip(axes, titles, strict=True)
    ]
    figure.draw_without_rendering()
    for panel, found in zip(axes, ends, strict=True):
        _name(panel, found)
    return style.save(figure, folder, "theory")


def _draw(axes: Axes, title: str, found: Sequence[Curve]) -> list[tuple[str, str, float, float]]:
    """Draw the curves of a panel; return label, colour and last point of each."""
    ends, number = [], 0
    for curve in found:
        if curve.reference:
            colour, look = style.GREY, {"linestyle": (0, (2, 2)), "linewidth": 1.0}
        else:
            colour = COLOURS[number % len(COLOURS)]
            look = {"marker": MARKERS[number % len(MARKERS)], "markersize": 3.5}
            number += 1
        axes.plot(curve.x, curve.y, color=colour, **look)
        if curve.low and curve.high:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        last = int(np.argmax(curve.x))
        ends.append((curve.label, colour, float(curve.x[last]), float(curve.y[last])))
    first = found[0]
    if "x" in first.logarithmic:
        _plain_powers(axes, axes.xaxis, "x")
    if "y" in first.logarithmic:
        _plain_powers(axes, axes.yaxis, "y")
    axes.set_title(title)
    axes.set_xlabel(first.x_axis)
    axes.set_ylabel(first.y_axis)
    return ends


def _plain_powers(axes: Axes, axis: Axis, which: str) -> None:
    """Make an axis logarithmic with a plain number at some powers of ten, or between them."""
    getattr(axes, f"set_{which}scale")("log")
    low, high = getattr(axes, f"get_{which}lim")()
    narrow = high < 200 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _name(axes: Axes, ends: Sequence[tuple[str, str, float, float]]) -> None:
    """Write each curve's label at its right end, apart from each other."""
    to_axes = axes.transData + axes.transAxes.inverted()
    points = [to_axes.transform((x, y)) for *_, x, y in ends]
    height = axes.get_figure().get_size_inches()[1] * 72 * axes.get_position().height
    heights = spread([float(point[1]) for point in points], gap=8.5 / max(height, 1.0))
    for (label, colour, x, y), position in zip(ends, heights, strict=True):
        axes.annotate(
            label,
            (x, y),
            xytext=(1.04, position),
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontsize=7,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "alpha": 0.6},
        )
