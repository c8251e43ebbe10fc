"""Distance between generated and real images against the number of sampling steps."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from bench.report import style
from bench.report.curves import Curve, curves, distance_name
from bench.report.labels import end_labels
from bench.report.rows import RunLike, floating


@style.styled
def draw_distance(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw one panel per data set, recipe and feature extractor."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in curves(run):
        groups.setdefault((curve.dataset, curve.recipe, curve.features), []).append(curve)
    if not groups:
        return "no distances in this run"
    figure, axes = style.panels(len(groups), width=4.6, height=3.1, columns=2)
    for panel, (key, found) in zip(axes, groups.items(), strict=True):
        _panel(panel, key, found)
    figure.draw_without_rendering()
    for panel, found in zip(axes, groups.values(), strict=True):
        ends = [(c.backbone, *c.points[["steps", "frechet"]].iloc[-1].astype(float)) for c in found]
        end_labels(panel, ends, {c.backbone: f"best: {int(c.best['steps'])}" for c in found})
    return style.save(figure, folder, "distance_against_steps")


def _panel(axes: Axes, key: tuple[str, str, str], found: list[Curve]) -> None:
    dataset, recipe, features = key
    values = [v for c in found for v in c.points["frechet"]]
    axes.set_xscale("log")
    if max(values) > 8 * max(min(values), 1e-12):
        axes.set_yscale("log")
    for curve in found:
        _curve(axes, curve)
    floor = next((f for c in found if (f := floating(c.best["floor"])) is not None), None)
    if floor is not None:
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
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
    _ticks(axes, sorted({int(s) for c in found for s in c.points["steps"]}))
    axes.set_title(f"{dataset} ({recipe})")
    axes.set_xlabel("sampling steps")
    axes.set_ylabel(distance_name(features))
    first = found[0].best
    style.corner(axes, f"N = {int(first['n_generated'])} / {int(first['n_real'])} real")


def _curve(axes: Axes, curve: Curve) -> None:
    look, points = style.look(curve.backbone), curve.points
    steps = points["steps"]
    if points["low"].notna().all() and points["high"].notna().all():
        axes.fill_between(
            steps, points["low"], points["high"], color=look.colour, alpha=0.15, linewidth=0
        )
    if len(curve.seeds) > len(points) and curve.seeds["seed"].notna().any():
        for _, seed in curve.seeds.groupby("seed"):
            axes.plot(seed["steps"], seed["frechet"], color=look.colour, linewidth=0.5, alpha=0.5)
    axes.plot(steps, points["frechet"], color=look.colour, linestyle=look.dash, marker=look.marker)
    best = curve.best
    axes.plot(
        best["steps"],
        best["frechet"],
        marker="o",
        markersize=10,
        markerfacecolor="none",
        markeredgecolor=look.colour,
        markeredgewidth=1.2,
    )


def _ticks(axes: Axes, steps: list[int]) -> None:
    """Label measured steps, leaving out those that would touch on the logarithmic axis."""
    shown: list[int] = []
    for step in steps:
        if not shown or step >= 1.2 * shown[-1]:
            shown.append(step)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FixedFormatter([str(step) for step in shown]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
