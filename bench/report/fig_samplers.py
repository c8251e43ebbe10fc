"""Distance against the cost of an image, every sampler on every network, and the images."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report import pictures as p
from bench.report import style
from bench.report.curves import distance_name, kernel_name
from bench.report.names import ordered, printed
from bench.report.point_labels import texts_beside
from bench.report.rows import RunLike, integer
from bench.report.sheet import GAP, LINE, Sheet
from bench.report.ways import Tried, leading, tried

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p", "d", "8")
COSTS: dict[str, tuple[str, Callable[[Tried], float | None]]] = {
    "calls": ("network calls per image", lambda one: one.calls),
    "time": ("seconds per image", lambda one: one.time.value),
}
IMAGES = 3
"""Images of each set that are shown."""
CELL = 0.4
"""Inches of one picture, with what is around it."""
APART = 0.15
"""Inches between networks."""


@style.styled
def draw_samplers(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw a row of panels per data set, recipe and extractor: against calls, against time."""
    groups = tried(run)
    if not groups:
        return "no samplers were compared in this run"
    size = (9.6, 4.5 * len(groups))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(groups), 2, squeeze=False)
    for row, found in zip(axes, groups.values(), strict=True):
        marks = _marks(found)
        for ax, what in zip(row, COSTS, strict=True):
            _panel(ax, found, what, marks)
        row[1].legend(
            handles=_legend(found, marks),
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            handlelength=1.6,
            labelspacing=0.55,
        )
    style.place(figure)
    for row, found in zip(axes, groups.values(), strict=True):
        for ax, what in zip(row, COSTS, strict=True):
            _name_corners(ax, found, what)
    return style.save(figure, folder, "samplers")


def _marks(found: Sequence[Tried]) -> dict[str, str]:
    """Return way of sampling -> marker."""
    names = list(dict.fromkeys(one.name for one in found))
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(names)}


def _points(found: Sequence[Tried], what: str) -> list[tuple[Tried, float, float]]:
    """Return what has both coordinates: (it, cost, distance)."""
    metric, cost_of = leading(found), COSTS[what][1]
    points = [(one, cost_of(one), one.distance(metric).value) for one in found]
    return [(one, x, y) for one, x, y in points if x is not None and y is not None]


def _panel(axes: Axes, found: list[Tried], what: str, marks: dict[str, str]) -> None:
    points, metric = _points(found, what), leading(found)
    dataset, recipe, features = found[0].group
    row = found[0].row
    counts = f"N = {integer(row['n_generated'])} / {integer(row['n_real'])} real"
    axes.set_title(f"{dataset} ({recipe}), {counts}")
    axes.set_xlabel(COSTS[what][0])
    axes.set_ylabel(kernel_name(features) if metric == "kid" else distance_name(features))
    if not points:
        style.corner(axes, "not timed" if what == "time" else "nothing measured")
        return
    _scales(axes, points, what, metric)
    for backbone in ordered(one.backbone for one in found):
        for name, mark in marks.items():
            mine = [(x, y) for one, x, y in points if (one.backbone, one.name) == (backbone, name)]
            leaks = any(one.leaks for one in found if one.name == name)
            if mine:
                _way(axes, mine, backbone, mark=mark, hollow=leaks)
    _front(axes, points, what, metric)


def _scales(
    axes: Axes, points: Sequence[tuple[Tried, float, float]], what: str, metric: str
) -> None:
    costs = [x for _, x, _ in points]
    if what == "calls":
        style.count_axis(axes, [round(x) for x in costs])
    else:
        style.time_axis(axes, min(costs), max(costs))
    reaches = [one.distance(metric) for one, _, _ in points]
    reaches = [value.high - value.value for value in reaches if value.high is not None]
    style.distance_axis(axes, [y for _, _, y in points], min(reaches, default=1e-3))


def _way(
    axes: Axes, points: list[tuple[float, float]], backbone: str, *, mark: str, hollow: bool
) -> None:
    look = style.look(backbone)
    x, y = zip(*sorted(points), strict=True)
    axes.plot(x, y, color=look.colour, linewidth=0.6, alpha=0.35, linestyle=look.dash)
    axes.plot(
        x,
        y,
        color=look.colour,
        linestyle="none",
        marker=mark,
        markersize=5.2,
        markerfacecolor="white" if hollow else look.colour,
        markeredgecolor=look.colour if hollow else "white",
        markeredgewidth=0.9 if hollow else 0.5,
        zorder=3,
    )


def _corners(found: Sequence[Tried], what: str) -> list[tuple[Tried, float, float]]:
    best = [point for point in _points(found, what) if what in point[0].optimal]
    return sorted(best, key=lambda point: (point[1], -point[2]))


def _front(axes: Axes, points: list[tuple[Tried, float, float]], what: str, metric: str) -> None:
    """Draw the Pareto front: the smallest distance that can be had at each cost."""
    best = _corners([one for one, _, _ in points], what)
    if not best:
        return
    right = axes.get_xlim()[1]
    x, y = [*(x for _, x, _ in best), right], [*(y for _, _, y in best), best[-1][2]]
    axes.plot(x, y, drawstyle="steps-post", color=style.INK, linewidth=1.1, zorder=2)
    axes.set_xlim(right=right)
    for one, cost, _ in best:
        value = one.distance(metric)
        if value.low is not None and value.high is not None:
            axes.plot([cost] * 2, [value.low, value.high], color=style.INK, linewidth=0.7, zorder=2)


def _name_corners(axes: Axes, found: list[Tried], what: str) -> None:
    best, points = _corners(found, what), _points(found, what)
    texts_beside(
        axes,
        [(f"{one.short}, {one.steps} steps", x, y) for one, x, y in best],
        colours=[style.look(one.backbone).colour for one, _, _ in best],
        avoid=[(x, y) for one, x, y in points if what not in one.optimal],
    )


def _legend(found: list[Tried], marks: dict[str, str]) -> list[Line2D]:
    def handle(label: str, **looks: object) -> Line2D:
        return Line2D([], [], label=label, **looks)

    networks = [
        handle(printed(name), color=style.look(name).colour, linestyle=style.look(name).dash)
        for name in ordered(one.backbone for one in found)
    ]
    leaking = {one.name for one in found if one.leaks}
    samplers = [
        handle(
            f"{name} (control)" if name in leaking else name,
            linestyle="none",
            marker=mark,
            markersize=5.2,
            color=style.INK,
            markerfacecolor="white" if name in leaking else style.INK,
        )
        for name, mark in marks.items()
    ]
    return [*networks, handle("Pareto front", color=style.INK, linewidth=1.1), *samplers]


# ------------------------------------------------------------------ images


@style.styled
def draw_sampler_images(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw the first images of every sampler, networks side by side."""
    groups = tried(run)
    if not groups:
        return "no samplers were compared in this run"
    found = next(iter(groups.values()))
    networks = ordered(one.backbone for one in found)
    names = list(dict.fromkeys(one.name for one in found))
    heads = max((_of(found, b, name) for b in networks for name in names), key=len)
    strips = {
        (backbone, name): _strip(run, _of(found, backbone, name), [one.steps for one in heads])
        for backbone in networks
        for name in names
    }
    if all(strip is None for strip in strips.values()):
        return "the generated images are missing"
    blank = np.full_like(next(s for s in strips.values() if s is not None), p.WHITE)
    steps = [one.steps for one in heads]
    sides = {}
    for name in names:
        sets = next(filter(None, (_of(found, backbone, name) for backbone in networks)))
        sides[name] = _row_name(sets, steps)
    sheet, top = Sheet(), 0.0
    width = CELL * IMAGES * len(heads)
    for name in names:
        height = 0.0
        for j, backbone in enumerate(networks):
            strip = strips[backbone, name]
            left = j * (width + APART)
            height = sheet.picture(blank if strip is None else strip, left, top, width)
        sheet.beside(sides[name], 0.0, top + height / 2)
        top += height + GAP
    for j, backbone in enumerate(networks):
        left = j * (width + APART)
        for i, count in enumerate(steps):
            sheet.above(f"{count} steps", left + width * (i + 0.5) / len(steps), 0.0)
        colour = style.look(backbone).colour
        sheet.above(printed(backbone), left + width / 2, -LINE, colour=colour, bold=True)
    return style.save(sheet.figure(), folder, "sampler_images", trim=True)


def _of(found: Sequence[Tried], backbone: str, name: str) -> list[Tried]:
    """Return a way's numbers of steps on a network, rising."""
    return [one for one in found if (one.backbone, one.name) == (backbone, name)]


def _strip(run: RunLike, sets: Sequence[Tried], heads: Sequence[int]) -> np.ndarray | None:
    """Return the first images of each set side by side, each below its number of steps.

    Where those are not the heads', as with students, one after the other; white where none are.
    """
    found = [p.arrays(run, one.images or "", "samples.safetensors").get("images") for one in sets]
    tiles = [None if one is None else p.tile(one[:IMAGES], IMAGES) for one in found]
    first = next((one for one in tiles if one is not None), None)
    if first is None:
        return None
    blank = np.full_like(first, p.WHITE)
    gap = np.full_like(first[:, : max(6, blank.shape[1] // 16)], p.WHITE)
    at = {one.steps: made for one, made in zip(sets, tiles, strict=True)}
    placed = [at.get(steps) for steps in heads] if at.keys() <= set(heads) else tiles
    placed += [None] * (len(heads) - len(placed))
    tiles = [blank if made is None else made for made in placed]
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=1)


def _row_name(sets: Sequence[Tried], heads: Sequence[int]) -> str:
    """Return what stands beside a row; its own numbers of steps where they are not the heads'."""
    first = sets[0]
    steps = [one.steps for one in sets]
    own = "" if set(steps) <= set(heads) else f"\n{' and '.join(map(str, steps))} steps"
    name = first.name.replace(" from ", "\nfrom ")
    return f"{name}{own}" + (" (leaks)" if first.leaks else "")
