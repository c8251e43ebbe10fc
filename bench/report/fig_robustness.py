"""Output change against perturbation, and how far blocks stretch: a column for each noise level."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import style
from bench.report.names import PAIR, ordered, printed
from bench.report.paired import Triple
from bench.report.ratios import geometric, ratio
from bench.report.robustness import RANDOM, WORST, X0, changes, stretched
from bench.report.rows import RunLike, listed

MOST = 4
"""Levels that are drawn: the first and the last, and between them evenly."""
DASHES = {RANDOM: "-", WORST: (0, (4, 1.6))}
MARKERS = {RANDOM: "o", WORST: "D"}
BOUND = (0, (1, 1.2))
EVEN = (0, (2, 2))
HIGHEST = 12.0
"""Powers of e above which a bound is drawn at the panel's edge."""


@style.styled
def draw_robustness(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw both rows of panels; the second only where blocks were measured."""
    outputs, blocks = changes(run), stretched(run)
    outputs = outputs[(outputs["part"] == "change") & (outputs["of"] == X0)]
    levels = sorted({*outputs["t"], *blocks["t"]})
    if not levels:
        return "no network was perturbed in this run; make it with: python -m bench run theory"
    few = np.unique(np.linspace(0, len(levels) - 1, MOST).round().astype(int))
    levels = [levels[place] for place in few]
    figure = Figure(figsize=(max(2.9 * len(levels), 6.4), 7.4), layout="constrained")
    axes = figure.subplots(3, len(levels), squeeze=False, sharey="row")
    for column, t in enumerate(levels):
        _changes(axes[0, column], outputs[outputs["t"] == t])
        _ratios(axes[1, column], outputs[outputs["t"] == t])
        _blocks(axes[2, column], blocks[blocks["t"] == t])
        axes[0, column].set_title(f"Noising step {t:g}")
    axes[0, 0].set_ylabel("Amplification of a perturbation,\n(|Δx₀| / |x₀|) / (|δ| / |xₜ|)")
    axes[1, 0].set_ylabel("The same, cU-Net / U-Net\nof the same image")
    axes[2, 0].set_ylabel("Largest stretch of a change\nin a block")
    figure.align_ylabels(axes[:, 0])
    handles = _legend(outputs, blocks)
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return style.save(figure, folder, "robustness")


def _changes(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw by how much a perturbation is amplified, against its size."""
    for name in ordered(rows["backbone"]):
        for direction in (RANDOM, WORST):
            here = rows[(rows["backbone"] == name) & (rows["direction"] == direction)]
            known = {
                float(row["size"]): geometric(
                    np.divide(listed(row["change_per_image"]), row["size"])
                )
                for row in here.sort_values("size").to_dict("records")
            }
            _line(axes, known, direction, colour=style.look(name).colour)
    axes.axhline(1.0, color=style.GREY, linewidth=0.9, linestyle=EVEN, zorder=1)
    _log(axes, "x")
    _log(axes, "y")
    axes.set_xlabel("perturbation |δ| / |xₜ|")


def _ratios(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the paired ratio of both networks, against the size of the perturbation."""
    for direction in (RANDOM, WORST):
        here = rows[rows["direction"] == direction]
        known = {}
        for size, pair in here.groupby("size"):
            mine = {row["backbone"]: listed(row["change_per_image"]) for _, row in pair.iterrows()}
            if set(PAIR) <= set(mine):
                known[float(size)] = ratio(mine["cunet"], mine["unet"])
        _line(axes, known, direction, colour=style.INK)
    axes.axhline(1.0, color=style.GREY, linewidth=0.9, linestyle=EVEN, zorder=1)
    _log(axes, "x")
    axes.set_xlabel("perturbation |δ| / |xₜ|")


def _line(axes: Axes, known: Mapping[float, Triple | None], direction: str, *, colour: str) -> None:
    """Draw a line through sizes, with the 95 % interval of each."""
    points = [(size, value) for size, value in known.items() if value is not None]
    if not points:
        return
    sizes, values = zip(*points, strict=True)
    middle, low, high = zip(*values, strict=True)
    look = {"linestyle": DASHES[direction], "marker": MARKERS[direction], "markersize": 3.5}
    axes.plot(sizes, middle, color=colour, **look)
    axes.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0)


def _blocks(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the stretch of every block along the depth, and Gronwall's bound on it."""
    for name in ordered(rows["backbone"]):
        look = style.look(name)
        here = rows[rows["backbone"] == name].sort_values("place")
        depth = (here["place"].astype(float).to_numpy() + 0.5) / len(here)
        known = [geometric(listed(value)) or (math.nan,) * 3 for value in here["stretch_per_image"]]
        middle, low, high = (np.array(ends) for ends in zip(*known, strict=True))
        axes.plot(
            depth,
            middle,
            color=look.colour,
            linestyle=look.dash,
            marker=look.marker,
            markersize=3.5,
        )
        axes.fill_between(depth, low, high, color=look.colour, alpha=0.2, linewidth=0)
        bounds = [np.mean(listed(value) or [math.nan]) for value in here["field_per_image"]]
        if np.isfinite(bounds).any():
            height = np.exp(np.minimum(bounds, HIGHEST))
            axes.plot(depth, height, color=look.colour, linestyle=BOUND, linewidth=1.3)
    axes.axhline(1.0, color=style.GREY, linewidth=0.9, linestyle=EVEN, zorder=1)
    axes.set_xlim(0, 1)
    _log(axes, "y")
    axes.set_xlabel("depth, as a share of the blocks")


def _log(axes: Axes, which: str) -> None:
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    low, high = getattr(axes, f"get_{which}lim")()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _legend(outputs: pd.DataFrame, blocks: pd.DataFrame) -> list[Line2D]:
    names = ordered([*outputs["backbone"], *blocks["backbone"]])
    handles = [
        Line2D([], [], color=style.look(n).colour, linewidth=3, label=printed(n)) for n in names
    ]
    ways = {
        RANDOM: "random direction",
        WORST: "worst direction for a small one",
    }
    handles += [
        Line2D(
            [], [], color=style.INK, linestyle=DASHES[way], marker=MARKERS[way], markersize=3.5,
            label=label,
        )
        for way, label in ways.items()
    ]  # fmt: skip
    if blocks["field_per_image"].map(lambda value: bool(listed(value))).any():
        label = "Gronwall's bound e^L (cut at e^12)"
        handles.append(Line2D([], [], color=style.INK, linestyle=BOUND, label=label))
    label = "1: out as much as in; both alike"
    handles.append(Line2D([], [], color=style.GREY, linestyle=EVEN, label=label))
    return handles
