"""Over-smoothing to look at: images beside their estimates, and their power by frequency."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import pictures as p
from bench.report import style
from bench.report.labels import spread
from bench.report.names import DIFFUSION, ordered, printed
from bench.report.posterior import MEAN, SAMPLE
from bench.report.posterior import TASK as POSTERIOR
from bench.report.rows import RunLike, listed, ok, true
from bench.report.smoothing import ONE_CALL, details
from bench.report.smoothing import SAMPLE as RESTORED
from bench.report.smoothing import TASK as SMOOTHING

EXAMPLES = "examples.safetensors"
IMAGES = 3
WORDS = {POSTERIOR: "mixture of Gaussians"}
KINDS = {ONE_CALL: "one", RESTORED: "end", MEAN: "mean", SAMPLE: "sample"}
"""What rows call an estimate -> its images in the file."""
EXACT = {MEAN: ("#555555", "exact mean"), SAMPLE: ("#44AA99", "exact sample")}
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
COLUMNS = (
    *("part", "denoiser", "dataset", "estimate", "t", "sigma", "n", "updates", "shown"),
    *("power_density", "clean_power_density"),
)


@dataclass(frozen=True)
class Seen:
    """One kind of images: a column of pictures, and a line of the spectrum."""

    head: str
    colour: str
    images: np.ndarray | None
    """[N,C,H,W] uint8."""
    density: list[float] = field(default_factory=list)
    """Power by rings of frequency; empty for what has no line."""
    dash: Any = "-"


@style.styled
def draw_smoothing(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw, for the mixture and for the run's data, pictures and their spectra at one level."""
    blocks = {name: rows for task in (POSTERIOR, SMOOTHING) for name, rows in _blocks(run, task)}
    seen = {name: _seen(run, rows) for name, rows in blocks.items()}
    seen = {name: kinds for name, kinds in seen.items() if kinds}
    if not seen:
        return "no over-smoothing in this run; measure it with: python -m bench run theory"
    octaves = {
        one.dataset: one.octave for task in (POSTERIOR, SMOOTHING) for one in details(run, task)
    }
    most = max(len(kinds) for kinds in seen.values())
    figure = Figure(figsize=(3.9 + 0.82 * most, 2.75 * len(seen)), layout="constrained")
    parts = figure.subfigures(len(seen), 1, squeeze=False)[:, 0]
    for part, (name, kinds) in zip(parts, seen.items(), strict=True):
        row = blocks[name].iloc[0]
        title = f"{name}, σ {row['sigma']:.3g} (N = {int(row['n'])})"
        _draw(part, kinds, title, most, octaves.get(str(row["dataset"])))
    return style.save(figure, folder, "smoothing")


def _blocks(run: RunLike, task: str) -> list[tuple[str, pd.DataFrame]]:
    """Return what was measured for the pictures, of the longest training, by data set."""
    rows = ok(run, task, COLUMNS)
    rows = rows[(rows["part"] == "spectrum") & rows["shown"].map(true) & rows["t"].notna()]
    rows = rows[rows["updates"].isna() | (rows["updates"] == rows["updates"].max())]
    return [(WORDS.get(task, str(name)), here) for name, here in rows.groupby("dataset")]


def _seen(run: RunLike, rows: pd.DataFrame) -> list[Seen]:
    """Return clean and noisy images, what is exact, then what each network made of them."""
    plain = rows["denoiser"].astype(str).str.removeprefix(DIFFUSION)
    names = ordered(plain)
    first = rows[plain == names[0]]
    images = p.arrays(run, first["key"].iloc[0], EXAMPLES)
    clean = listed(first["clean_power_density"].iloc[0])
    seen = [Seen("clean", style.INK, images.get("clean"), clean)]
    seen.append(Seen("noisy", style.GREY, images.get("noisy")))
    for kind, (colour, head) in EXACT.items():
        for row in first[first["estimate"] == kind].to_dict("records"):
            line = listed(row["power_density"])
            seen.append(Seen(head, colour, images.get(KINDS[kind]), line, (0, (2, 2))))
    for kind in (ONE_CALL, RESTORED):
        for name in names:
            for row in rows[(plain == name) & (rows["estimate"] == kind)].to_dict("records"):
                made = p.arrays(run, row["key"], EXAMPLES).get(KINDS[kind])
                head = printed(name) + ("" if kind == ONE_CALL else ",\nrestored")
                dash = "-" if kind == ONE_CALL else (0, (4, 1.5))
                colour = style.look(name).colour if name != "dncnn" else "#B8860B"
                seen.append(Seen(head, colour, made, listed(row["power_density"]), dash))
    return seen


def _draw(
    part: SubFigure, seen: list[Seen], title: str, most: int, octave: tuple[float, float] | None
) -> None:
    left, right = part.subfigures(1, 2, squeeze=False, width_ratios=(3.9, 0.82 * most))[0]
    axes = left.subplots()
    axes.set_title(title)
    _spectra(axes, [one for one in seen if one.density])
    if octave is not None:
        axes.axvspan(*octave, color=style.GREY, alpha=0.1, linewidth=0)
        style.corner(axes, "grey: where detail is measured", y=0.97)
    grid = right.subplots(IMAGES, most, squeeze=False)
    for cell in grid.flatten():
        cell.set_axis_off()
    for j, one in enumerate(seen):
        grid[0][j].set_title(one.head, fontsize=7, loc="center", color=one.colour)
        for i, image in enumerate(one.images[:IMAGES] if one.images is not None else ()):
            grid[i][j].set_axis_on()
            p.show(grid[i][j], p.as_picture(image))


def _spectra(axes: Axes, seen: list[Seen]) -> None:
    ends = []
    for one in seen:
        # The rings are one cycle per side wide, up to half a cycle a pixel.
        at = np.arange(1, len(one.density) + 1) / (2 * len(one.density))
        clean = one is seen[0]
        axes.plot(
            at, one.density, color=one.colour, linestyle=one.dash, linewidth=2.2 if clean else 1.2
        )
        ends.append((one, float(at[-1]), float(one.density[-1])))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("cycles per pixel")
    axes.set_ylabel("power density")
    low, high = (np.log(v) for v in axes.get_ylim())
    places = [(np.log(max(y, 1e-12)) - low) / (high - low) for _, _, y in ends]
    for (one, x, y), place in zip(ends, spread(places, gap=0.085), strict=True):
        axes.annotate(
            one.head.replace("\n", " "),
            (x, y),
            xytext=(1.05, place),
            textcoords="axes fraction",
            color=one.colour,
            va="center",
            fontsize=7,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": one.colour, "lw": 0.5, "alpha": 0.6},
        )


def _power_of_ten(value: float, _: int) -> str:
    """Return 0.01 as it is, and what is smaller as a power."""
    power = round(math.log10(value))
    return f"{value:g}" if -3 < power < 4 else "10" + str(power).translate(SUPERSCRIPT)
