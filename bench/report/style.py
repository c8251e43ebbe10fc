"""How figures look: colours that survive colour blindness and grey print, direct labels, one size.

Colours are Paul Tol's "high contrast" set for the paper's pair and its reference, then his
"muted" set; each network also has a dash pattern, a marker and a hatch of its own.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from bench.report.canvas import Canvas

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "text.parse_math": False,
    "text.hinting": "none",  # of letters so large nobody sees it, and it takes a fifth of drawing
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # to look for the place costs a tenth of all drawing, and is this one
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.0,
    "hatch.linewidth": 0.6,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "savefig.facecolor": "white",
    "savefig.pad_inches": 0.05,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.06,
}
INK = "#222222"
GREY = "#666666"


@dataclass(frozen=True, slots=True)
class Look:
    """How one network or method is drawn."""

    colour: str
    dash: Any = "-"
    marker: str = "o"
    hatch: str = ""


LOOKS = {
    "unet": Look("#004488", "-", "o"),
    "cunet": Look("#BB5566", (0, (5, 1.6)), "s", "////"),
    "cunet-released": Look("#B8860B", (0, (1, 1)), "^", "...."),
    "identity": Look("#999999", (0, (1, 2)), "x"),
    "bm3d": Look("#117733", "-.", "D"),
    "conv-ae": Look("#882255", (0, (3, 1, 1, 1)), "v"),
    "dncnn": Look("#222222", (0, (2, 1)), "P"),
    "wiener": Look("#44AA99", ":", "X"),
    # The paper's ablations: drawn beside the pair.
    "cunet-no-attention": Look("#332288", (0, (6, 1, 1, 1)), "<"),
    "cunet-no-residual": Look("#6699CC", "-", "*"),
    "cunet-no-attention-no-residual": Look("#AA4499", (0, (2, 1, 1, 1)), "h"),
    "cunet-no-skip": Look("#999933", (0, (4, 2)), ">"),
    # Controls: likewise.
    "unet-2.9g": Look("#999933", (0, (8, 2)), "d"),
    "unet-8.8m": Look("#332288", (0, (4, 1, 1, 1, 1, 1)), "p"),
    "discrete-tied": Look("#AA4499", (0, (1, 2.5)), "8"),
    "discrete-untied": Look("#6699CC", (0, (2, 2)), "H"),
}
SPARE_COLOURS = ("#332288", "#999933", "#AA4499", "#6699CC")
SPARE_DASHES = ("-", (0, (4, 2)), (0, (6, 1, 1, 1)), (0, (1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
SPARE_MARKERS = ("<", ">", "h", "*", "p", "d", "8")
"""Of networks that plug in; the counts have no common divisor, so that few share all three."""


def look(name: str) -> Look:
    """Return how a network or method is drawn: always the same, in every figure."""
    if name in LOOKS:
        return LOOKS[name]
    number = sum(map(ord, name))
    colour, dash, marker = (
        spare[number % len(spare)] for spare in (SPARE_COLOURS, SPARE_DASHES, SPARE_MARKERS)
    )
    return Look(colour, dash, marker)


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that draws in this style and leaves the caller's settings alone."""

    @functools.wraps(draw)
    def inside(*args: Any) -> Any:
        with mpl.rc_context(RC):
            return draw(*args)

    return inside


def panels(count: int, *, width: float = 3.3, height: float = 2.6, columns: int = 3) -> tuple:
    """Return a figure with `count` panels in a row or several, and the list of their axes."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes[:count]


def save(figure: Figure, folder: Path, name: str, *, trim: bool = False) -> list[Path]:
    """Write PNG and SVG; equal input gives equal bytes (no date, no version, fixed ids).

    Args:
        figure: Laid out so that all of it lies inside, or to be trimmed.
        folder: Where to; made where it is not there.
        name: Of the files, without their endings.
        trim: Cut the figure to what was drawn, also where that reaches beyond it. To measure all
            that was drawn takes a fifth of the time, and most figures are laid out to their edge.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    # Laid out once for all: else to save lays it out anew, and draws it twice for that.
    figure.set_dpi(mpl.rcParams["savefig.dpi"])
    canvas = Canvas(figure)
    place(figure)
    figure.set_layout_engine(None)
    box = figure.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"]) if trim else None
    figure.savefig(png, bbox_inches=box)
    svg.write_text(canvas.svg, encoding="utf-8", newline="\n")
    return [png, svg]


def place(figure: Figure) -> None:
    """Give the panels their places, so that what is written beside points knows where they are.

    This is the part of drawing that places; to draw the whole for it would take twice as long.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def fixed(
    figure: Figure, *, left: float, bottom: float, top: float, right: float, foot: float = 0.0
) -> None:
    """Give equal panels their places once and for all: to find them takes as long as to draw.

    Their limits are final afterwards, as those of `place` are.

    Args:
        figure: Of `panels`.
        left: Inches that stand free at the left of each panel, for its numbers and words.
        bottom: Likewise below it.
        top: Likewise above it.
        right: Likewise at its right.
        foot: Inches that the figure grows by below all panels, for a legend.
    """
    wide, high = figure.get_size_inches()
    rows, columns = figure.axes[0].get_gridspec().get_geometry()
    figure.set_layout_engine(None)
    across, up = wide / columns - left - right, high / rows - bottom - top
    figure.subplots_adjust(
        left=left / wide,
        right=1 - right / wide,
        bottom=bottom / high,
        top=1 - top / high,
        wspace=(left + right) / across,
        hspace=(bottom + top) / up,
    )
    grow(figure, foot)
    for axes in figure.axes:
        axes.get_xlim(), axes.get_ylim()  # nothing else puts them to what was drawn


def grow(figure: Figure, foot: float) -> None:
    """Make a figure with fixed panels higher by some inches below them, which stay as they are."""
    wide, high = figure.get_size_inches()
    edges = figure.subplotpars
    figure.set_size_inches(wide, high + foot)
    figure.subplots_adjust(
        bottom=(edges.bottom * high + foot) / (high + foot),
        top=(edges.top * high + foot) / (high + foot),
    )


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic, with plain numbers at 1, 2 and 5."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def count_axis(axes: Axes, counts: Sequence[int]) -> None:
    """Make the x axis logarithmic and label measured counts, the frequent ones first.

    Those that would touch a label are left out.
    """
    often, shown = Counter(counts), list[int]()
    for count in sorted(often, key=lambda count: (-often[count], count)):
        if all(max(count, old) >= 1.2 * min(count, old) for old in shown):
            shown.append(count)
    _fixed_log_axis(axes, sorted(shown))


def time_axis(axes: Axes, low: float, high: float) -> None:
    """Make the x axis logarithmic, with round numbers of seconds around `low` and `high`."""
    first = math.floor(math.log10(low))
    last = math.ceil(math.log10(high))
    digits = (1, 2, 5) if high > 20 * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
    axes.set_xlim(low / 1.15, high * 1.15)
    _fixed_log_axis(axes, [tick for tick in ticks if low / 1.15 <= tick <= high * 1.15])


def _fixed_log_axis(axes: Axes, ticks: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def distance_axis(axes: Axes, values: Sequence[float], resolution: float) -> None:
    """Make the y axis logarithmic where values spread far, and linear around 0 if some are there.

    Args:
        axes: The panel.
        values: What is drawn.
        resolution: Below it values mean nothing: the linear part, where there is one.
    """
    if max(values) <= 8 * min(values) or max(values) <= 8 * resolution:
        return
    if min(values) > 0:
        log_axis(axes)
        return
    near = 10.0 ** round(math.log10(resolution))
    axes.set_yscale("symlog", linthresh=near, linscale=0.5)
    axes.set_ylim(min(values) - near, max(values) * 1.6)
    powers = range(round(math.log10(near)), math.ceil(math.log10(max(values))) + 1)
    ticks = [0.0, near / 2, *(digit * 10.0**power for power in powers for digit in (1, 2, 5))]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= max(values)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def corner(axes: Axes, text: str, *, x: float = 0.98, y: float = 0.97) -> None:
    """Write a note (N, conditions) into a corner of a panel."""
    axes.text(
        x,
        y,
        text,
        transform=axes.transAxes,
        ha="right" if x > 0.5 else "left",
        va="top" if y > 0.5 else "bottom",
        fontsize=7,
        color=GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
    )
