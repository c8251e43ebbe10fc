"""Costs as bars: parameters and multiply-adds beside the paper's, and latencies."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.report import style
from bench.report.latency import COLUMNS, condition
from bench.report.names import ordered, printed
from bench.report.rows import RunLike, floating, integer, ok, true
from bench.report.table5 import VARIANTS, Variant, costs, published

FAMILIES = {
    "authors": style.Look("#004488"),
    "released": style.Look("#DDAA33", hatch="...."),
    "described": style.Look("#BB5566", hatch="////"),
}
FAMILY_WORDS = {
    "authors": "baseline",
    "released": "the authors' released code",
    "described": "the paper's Section 3",
}


@style.styled
def draw_costs(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw parameters and GMACs of every network in Table 5, with the paper's values as marks."""
    found = costs(run)
    shown = [v for v in VARIANTS if v.backbone in found]
    if not shown:
        return "no costs in this run"
    figure, axes = style.panels(2, width=4.6, height=0.9 + 0.3 * len(shown), columns=2)
    _bars(axes[0], shown, found, metric=("parameters", "parameters", 1e-6))
    _bars(axes[1], shown, found, metric=("gmacs_authors", "gflops", 1.0))
    axes[0].set_xlabel("parameters (millions)")
    axes[1].set_xlabel("multiply-adds of one call (GMACs)")
    axes[0].set_yticks(range(len(shown)), [v.backbone for v in shown])
    axes[1].set_yticks(range(len(shown)), [v.row for v in shown])
    handles = [
        Patch(facecolor=FAMILIES[f].colour, hatch=FAMILIES[f].hatch, edgecolor="white", label=words)
        for f, words in FAMILY_WORDS.items()
    ]
    handles.append(
        Line2D(
            [],
            [],
            marker="D",
            linestyle="",
            color="black",
            markerfacecolor="white",
            markersize=5,
            label="published",
        )
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return style.save(figure, folder, "parameters_and_macs")


def _bars(
    axes: Axes, shown: list[Variant], found: dict[str, pd.Series], *, metric: tuple[str, str, float]
) -> None:
    column, published_name, unit = metric
    paper = published()
    largest = max(float(found[v.backbone][column]) * unit for v in shown)
    for i, variant in enumerate(shown):
        look = FAMILIES[variant.family]
        value = float(found[variant.backbone][column]) * unit
        theirs = paper[variant.row, published_name].value * unit
        axes.barh(i, value, color=look.colour, hatch=look.hatch, edgecolor="white", height=0.68)
        axes.plot(theirs, i, "D", color="black", markerfacecolor="white", markersize=4, zorder=4)
        axes.text(max(value, theirs) + 0.025 * largest, i, f"{value:.2f}", va="center", fontsize=7)
    axes.set_xlim(0, 1.12 * largest)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


@style.styled
def draw_latency(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw the time of one network call, one panel per condition."""
    rows = ok(run, "latency", COLUMNS)
    rows = rows[rows["latency_s"].notna() & rows["backbone"].notna()]
    if rows.empty:
        return "no timings in this run"
    # Networks that took turns share a panel, also where some of them are noisy.
    conditions = [condition(row) for _, row in rows.assign(noisy=False).iterrows()]
    groups = list(rows.assign(condition=conditions).groupby("condition", sort=True))
    tallest = max(part["backbone"].nunique() for _, part in groups)
    figure, axes = style.panels(len(groups), width=4.6, height=1.1 + 0.34 * tallest, columns=2)
    for panel, (words, part) in zip(axes, groups, strict=True):
        _latency_panel(panel, str(words), part)
    return style.save(figure, folder, "latency")


def _latency_panel(axes: Axes, words: str, part: pd.DataFrame) -> None:
    names = ordered(part["backbone"])
    slowest = 1e3 * float(part[["latency_s", "latency_q3_s"]].max().max())
    for i, name in enumerate(names):
        row, look = part[part["backbone"] == name].iloc[0], style.look(name)
        value = 1e3 * float(row["latency_s"])
        axes.barh(i, value, color=look.colour, hatch=look.hatch, edgecolor="white", height=0.65)
        q1, q3 = floating(row["latency_q1_s"]), floating(row["latency_q3_s"])
        end = value
        if q1 is not None and q3 is not None:
            axes.plot([1e3 * q1, 1e3 * q3], [i, i], color="white", linewidth=3.4, zorder=3)
            axes.plot([1e3 * q1, 1e3 * q3], [i, i], color="black", linewidth=1.6, zorder=4)
            end = max(value, 1e3 * q3)
        repeats = integer(row["repeats"])
        notes = [f"N = {repeats}"] if repeats else []
        notes += ["noisy"] if true(row["noisy"]) else []
        digits = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        text = f"{digits} ms" + (f"  ({', '.join(notes)})" if notes else "")
        axes.text(end + 0.02 * slowest, i, text, va="center", fontsize=7)
    axes.set_yticks(range(len(names)), [printed(name) for name in names])
    axes.set_xlim(0, 1.5 * slowest)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("time of one network call (ms); median, line: quartiles")
    axes.set_title(words, fontsize=7.5)
