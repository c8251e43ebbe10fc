"""Waterfalls from our number over the contribution of every choice to the paper's."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from bench.report import style
from bench.report.autopsy import TABLES, Step, Waterfall, waterfalls
from bench.report.autopsy_tables import COMMAND, digits_of, metric_name, place_words, signed
from bench.report.rows import RunLike
from bench.report.vector import HALO

UP, DOWN, TOTAL = "#004488", "#BB5566", "#444444"
LEFT = "#DDAA33"
"""What nothing explains."""
HEIGHT = 0.62
"""Of a bar, as a share of its line."""
COLUMNS = 3
RIM = withStroke(linewidth=2, foreground="white")
WORDS = {
    "schedule": "noise schedule",
    "window": "SSIM window",
    "images": "one image",
    "size": "image size",
    "step": "last step",
    "input range": "LPIPS input range",
    "network": "released network",
}
"""Choices whose name says too little beside a bar."""


@style.styled
def draw_autopsy(run: RunLike, folder: Path) -> dict[str, list[Path]] | str:
    """Draw a figure for each metric of each table: a waterfall for each number."""
    files = {}
    for table in TABLES:
        found = waterfalls(run, table)
        for metric in dict.fromkeys(one.metric for one in found):
            here = [one for one in found if one.metric == metric]
            title = f"Table {table.removeprefix('table')}, {metric_name(metric)}"
            files[title] = _draw(here, folder, f"autopsy_{table}_{metric}")
    return files or f"nothing was scored again in this run; make it with: {COMMAND}"


def _draw(found: Sequence[Waterfall], folder: Path, name: str) -> list[Path]:
    """Draw the waterfalls of one metric; those of one network or noise level beneath each other."""
    order = _grid(found)
    columns = min(COLUMNS, len(order))
    rows = -(-len(order) // columns)
    kept = any(_differs(one) for one in order)
    lines = [_labels(one, kept=kept) for one in order]
    size = (1.9 + 2.6 * columns, (0.75 + 0.21 * max(map(len, lines))) * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for spare in axes[len(order) :]:
        spare.set_visible(False)
    for place, one in enumerate(order):
        _panel(axes[place], one, kept=kept)
        named = place % columns == 0 or lines[place] != lines[place - 1]
        labels = lines[place] if named else [""] * len(lines[place])
        axes[place].set_yticks(range(len(labels)), labels)
    return style.save(figure, folder, name)


def _grid(found: Sequence[Waterfall]) -> list[Waterfall]:
    """Return them by row of panels: networks below each other, noise from left to right."""
    if found[0].table != "table2":
        return list(found)
    names = list(dict.fromkeys(one.column for one in found))
    return sorted(found, key=lambda one: (one.dataset, names.index(one.column), int(one.row)))


def _differs(one: Waterfall) -> bool:
    """Return whether what was kept scores otherwise than ours, as far as it is shown."""
    digits = digits_of(one.metric)
    return (
        one.ours.value is not None and f"{one.ours.value:.{digits}f}" != f"{one.start:.{digits}f}"
    )


def _labels(one: Waterfall, *, kept: bool) -> list[str]:
    steps = [WORDS.get(step.choice, step.choice) for step in one.steps]
    begin = ["ours", "ours, of what was kept"] if kept else ["ours"]
    return [*begin, *steps, "all otherwise", "all combinations", "unexplained", "paper"]


def _panel(axes: Axes, one: Waterfall, *, kept: bool) -> None:
    """Draw one waterfall, from top to bottom."""
    digits = digits_of(one.metric)
    _limits(axes, one)
    line = 0
    if kept:
        if one.ours.value is not None:
            _total(axes, line, one.ours.value, digits=digits)
        line += 1
    _total(axes, line, one.start, digits=digits)
    at = one.start
    for step in one.steps:
        line += 1
        _bar(axes, line, at, step.value)
        _whisker(axes, line, at, step)
        _text(axes, line, at, step, digits=digits)
        at += step.value
    _total(axes, line + 1, one.end, digits=digits)
    axes.plot((at, at), (line + 1, line + 3), color=style.GREY, linewidth=0.6, zorder=0)
    _span(axes, line + 2, one.reach, digits=digits)
    left = Step("", "", "", one.unexplained, 1.0, 1.0)
    _bar(axes, line + 3, at, one.unexplained, colour=LEFT, hatch="////")
    _text(axes, line + 3, at, left, digits=digits)
    _total(axes, line + 4, one.paper.value, text=one.paper.text, colour=style.INK)
    axes.axvline(one.paper.value, color=style.INK, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
    axes.set_ylim(line + 4.6, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_title(place_words(one))
    axes.set_xlabel(f"{metric_name(one.metric)}, {one.dataset}, N = {one.n}")


def _limits(axes: Axes, one: Waterfall) -> None:
    """Leave room for all numbers, and for what is written beside them."""
    there = [one.start, one.end, one.paper.value, *one.reach]
    there += [] if one.ours.value is None else [one.ours.value]
    at = one.start
    for step in one.steps:
        ends = (step.low, step.high, *step.each)
        there += [at + end for end in ends if end is not None]
        at += step.value
        there.append(at)
    edge = 0.3 * (max(there) - min(there) or 1.0)
    axes.set_xlim(min(there) - edge, max(there) + edge)
    most = 1.0 if one.metric == "ssim" else math.inf
    ticks = MaxNLocator(nbins=5).tick_values(max(min(there) - edge, 0.0), max(there) + edge)
    inside = [tick for tick in ticks if min(there) - edge <= tick <= max(there) + edge]
    axes.set_xticks([tick for tick in inside if 0 <= tick <= most])


def _span(axes: Axes, line: int, reach: tuple[float, float], *, digits: int) -> None:
    """Draw the smallest and the largest number of all combinations, and what lies between."""
    axes.plot(reach, (line, line), color=style.GREY, linewidth=3.5, alpha=0.5)
    for value, right in zip(reach, (False, True), strict=True):
        _beside(axes, line, value, f"{value:.{digits}f}", colour=style.GREY, right=right)


def _total(
    axes: Axes,
    line: int,
    value: float,
    *,
    digits: int = 3,
    text: str = "",
    colour: str = TOTAL,
) -> None:
    """Draw a number as an upright mark with its value beside it."""
    reach = HEIGHT / 2
    axes.plot((value, value), (line - reach, line + reach), color=colour, linewidth=2.6)
    _beside(axes, line, value, text or f"{value:.{digits}f}", colour=colour, right=True)


def _bar(
    axes: Axes, line: int, start: float, change: float, *, colour: str = "", hatch: str = ""
) -> None:
    """Draw a change as a bar, and from its end a thin line down to where the next begins."""
    colour = colour or (UP if change >= 0 else DOWN)
    hatch = hatch or ("" if change >= 0 else "\\\\\\\\")
    left = min(start, start + change)
    look = {"facecolor": colour, "edgecolor": "white", "hatch": hatch, "linewidth": 0}
    axes.add_patch(Rectangle((left, line - HEIGHT / 2), abs(change), HEIGHT, **look))
    for end, way in ((start, -1), (start + change, 1)):
        ends = (line, line + way * (1 - HEIGHT / 2))
        axes.plot((end, end), ends, color=style.GREY, linewidth=0.6, zorder=0)


def _whisker(axes: Axes, line: int, start: float, step: Step) -> None:
    """Draw a contribution's 95 % interval, and what single images give."""
    if step.low is not None and step.high is not None:
        ends = (start + step.low, start + step.high)
        axes.plot(ends, (line, line), color=style.INK, linewidth=1.0, path_effects=[RIM])
    if step.each:
        points = [start + value for value in step.each]
        axes.plot(points, [line] * len(points), "|", color=style.INK, markersize=5)


def _text(axes: Axes, line: int, start: float, step: Step, *, digits: int) -> None:
    """Write a contribution on the side of its bar that has more room."""
    ends = [start, start + step.value]
    if step.choice and step.low is not None and step.high is not None:
        ends += [start + step.low, start + step.high]
    ends += [start + value for value in step.each]
    first, last = axes.get_xlim()
    right = last - max(ends) >= min(ends) - first
    colour = style.INK if not step.choice else UP if step.value >= 0 else DOWN
    text = signed(step.value, digits, sure=not step.undecided)
    _beside(axes, line, max(ends) if right else min(ends), text, colour=colour, right=right)


def _beside(axes: Axes, line: int, x: float, text: str, *, colour: str, right: bool) -> None:
    axes.annotate(
        text.replace("-", "\N{MINUS SIGN}"),
        (x, line),
        xytext=(3 if right else -3, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        fontsize=6.5,
        color=colour,
        gid=HALO,
    )
