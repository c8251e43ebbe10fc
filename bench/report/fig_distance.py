"""Distance between generated and real images against the number of sampling steps."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from bench.report import style
from bench.report.curves import Curve, curves, distance_name, kernel_name
from bench.report.labels import end_labels
from bench.report.rows import RunLike, floating, integer, listed
from bench.statistics import t_quantile


@style.styled
def draw_distance(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw one panel per data set, recipe and feature extractor."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in curves(run):
        groups.setdefault((curve.dataset, curve.recipe, curve.features), []).append(curve)
    if not groups:
        return "no distances in this run"
    shown = [(metric, found) for found in groups.values() for metric in _metrics(found)]
    figure, axes = style.panels(len(shown), width=4.6, height=3.1, columns=2)
    for panel, (metric, found) in zip(axes, shown, strict=True):
        _panel(panel, found, metric)
    style.place(figure)
    for panel, (metric, found) in zip(axes, shown, strict=True):
        ends = [(c.backbone, *c.points[["steps", metric]].iloc[-1].astype(float)) for c in found]
        end_labels(
            panel, ends, {c.backbone: f"best: {_best(c, metric)['steps']:.0f}" for c in found}
        )
    return style.save(figure, folder, "distance_against_steps")


def _metrics(found: list[Curve]) -> list[str]:
    """Return what a group is drawn in: the kernel distance first, where it leads."""
    leads = any(c.small_sample for c in found) and all(c.points["kid"].notna().all() for c in found)
    return ["kid", "frechet"] if leads else ["frechet"]


def _best(curve: Curve, metric: str) -> pd.Series:
    return curve.points.loc[curve.points[metric].idxmin()]


def _panel(axes: Axes, found: list[Curve], metric: str) -> None:
    first = found[0]
    values = [v for c in found for v in c.points[metric]]
    axes.set_xscale("log")
    if min(values) > 0 and max(values) > 8 * min(values):
        style.log_axis(axes)
    for curve in found:
        _curve(axes, curve, metric)
    if metric == "frechet":
        _floor(axes, found)
    if axes.get_yscale() == "linear" and min(values) >= 0:
        axes.set_ylim(bottom=0)
    style.count_axis(axes, [int(s) for c in found for s in c.points["steps"]])
    axes.set_title(f"{first.dataset} ({first.recipe})")
    generated, real = (integer(first.best[name]) for name in ("n_generated", "n_real"))
    known = generated is not None and real is not None
    # Below the axis: no corner is sure to be free of lines.
    sizes = f"\nN = {generated:,} generated, {real:,} real" if known else ""
    axes.set_xlabel(f"sampling steps{sizes}")
    if metric == "kid":
        axes.set_ylabel(kernel_name(first.features))
    else:
        small = any(c.small_sample for c in found)
        axes.set_ylabel(distance_name(first.features) + (", few images" if small else ""))


def _floor(axes: Axes, found: list[Curve]) -> None:
    """Draw what real images score against other real images."""
    floor = next((f for c in found if (f := floating(c.best["floor"])) is not None), None)
    if floor is None:
        return
    axes.axhline(floor, color=style.GREY, linewidth=1, linestyle=(0, (2, 2)))
    axes.annotate(
        "floor: real against real",
        (0.01, floor),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=7,
        color=style.GREY,
    )


def _band(curve: Curve, metric: str) -> tuple[pd.Series, pd.Series]:
    """Return the ends of the 95 % interval along the curve."""
    points = curve.points
    if metric == "frechet":
        return points["low"], points["high"]
    blocks = max(len(listed(curve.best["leave_one_out"])), 2)
    reach = t_quantile(blocks - 1) * points["kid_se"]
    return points["kid"] - reach, points["kid"] + reach


def _curve(axes: Axes, curve: Curve, metric: str) -> None:
    look, points = style.look(curve.backbone), curve.points
    steps = points["steps"]
    low, high = _band(curve, metric)
    if low.notna().all() and high.notna().all():
        axes.fill_between(steps, low, high, color=look.colour, alpha=0.15, linewidth=0)
        if len(points) == 1:  # a band has no width there
            axes.plot([*steps] * 2, [*low, *high], color=look.colour, linewidth=0.9, marker="_")
    if len(curve.seeds) > len(points) and curve.seeds["seed"].notna().any():
        for _, seed in curve.seeds.groupby("seed"):
            axes.plot(seed["steps"], seed[metric], color=look.colour, linewidth=0.5, alpha=0.5)
    axes.plot(steps, points[metric], color=look.colour, linestyle=look.dash, marker=look.marker)
    best = _best(curve, metric)
    axes.plot(
        best["steps"],
        best[metric],
        marker="o",
        markersize=10,
        markerfacecolor="none",
        markeredgecolor=look.colour,
        markeredgewidth=1.2,
    )
