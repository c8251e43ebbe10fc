"""The curves of the checks of the theory, a panel for each question."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.checked import Curve
from bench.report import style
from bench.report.labels import Named, line_ends
from bench.report.rows import RunLike
from bench.report.theory import curves

COLOURS = ("#004488", "#BB5566", "#B8860B", "#117733", "#882255", "#332288", "#44AA99", "#222222")
MARKERS = "osD^vPX*"
WRAP = 25
"""Letters of a line of a label at most."""


@style.styled
def draw_theory(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw a panel for each question that the checks of a run asked."""
    found = curves(run)
    if not found:
        return "no checks of the theory in this run; make them with: python -m bench run theory"
    titles = list(dict.fromkeys(curve.panel for curve in found))
    figure, axes = style.panels(len(titles), width=4.0, height=2.7, columns=3)
    ends = [
        _draw(panel, title, [curve for curve in found if curve.panel == title])
        for panel, title in zip(axes, titles, strict=True)
    ]
    letters = max(len(line) for named in ends for one in named for line in one.text.split("\n"))
    style.fixed(figure, left=0.68, bottom=0.45, top=0.28, right=0.1 + 0.052 * letters)
    for panel, named in zip(axes, ends, strict=True):
        line_ends(panel, named, size=7)
    return style.save(figure, folder, "theory")


def _draw(axes: Axes, title: str, found: Sequence[Curve]) -> list[Named]:
    """Draw the curves of a panel; return what to write at the last point of each."""
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
        ends.append(
            Named(fill(curve.label, WRAP), float(curve.x[last]), float(curve.y[last]), colour)
        )
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
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
