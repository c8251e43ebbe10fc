"""How figures look: colours that survive colour blindness and grey print, direct labels, one size.

Colours are Paul Tol's "high contrast" set for the paper's pair and its reference, then his
"muted" set; each network also has a dash pattern, a marker and a hatch of its own.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "text.parse_math": False,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
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
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.05,
    "svg.fonttype": "path",
    "svg.hashsalt": "bench",
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
}
SPARE = (
    Look("#332288", (0, (6, 1, 1, 1)), "<"),
    Look("#999933", (0, (4, 2)), ">"),
    Look("#AA4499", (0, (1, 1.5)), "h"),
    Look("#6699CC", "-", "*"),
)


def look(name: str) -> Look:
    """Return how a network or method is drawn: always the same, in every figure."""
    if name in LOOKS:
        return LOOKS[name]
    return SPARE[sum(map(ord, name)) % len(SPARE)]


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


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write PNG and SVG; equal input gives equal bytes (no date, no version, fixed ids)."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    figure.savefig(png, metadata={"Software": None})
    figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return [png, svg]


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic, with plain numbers at 1, 2 and 5."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


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
