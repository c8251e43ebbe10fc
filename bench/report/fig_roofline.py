"""The roofline with every timed network on it, and the memory of training against NFE."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from bench.report import style
from bench.report.ceilings import Ceilings, ceilings
from bench.report.names import printed
from bench.report.point_labels import texts_beside
from bench.report.rows import RunLike, integer, plural, true
from bench.report.speed import Timed, timed
from bench.report.training_memory import WAYS, growth, kept

KINDS = {"float32": ("-", style.INK), "bfloat16": ((0, (4, 2)), "#999999")}
WORK = {"matmul": "matrix product", "conv3x3": "3x3 convolution"}
ADJOINT = {True: (WAYS[True], "#004488", "s"), False: (WAYS[False], "#BB5566", "o")}


@style.styled
def draw_roofline(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw one panel per device and threads."""
    limits = {kind: ceilings(run, kind) for kind in KINDS}
    marks = [one for one in timed(run) if one.reached and one.reached.intensity]
    places = [place for place in limits["float32"] if _there(marks, place)]
    if not places:
        if not limits["float32"]:
            return "the machine's limits were not measured in this run"
        return "no full-width timing beside the machine's limits in this run"
    figure, axes = style.panels(len(places), width=5.6, height=3.9, columns=2)
    for panel, (device, threads) in zip(axes, places, strict=True):
        here = {kind: found.get((device, threads)) for kind, found in limits.items()}
        _roofs(panel, here, _there(marks, (device, threads)))
        panel.set_title(", ".join(p for p in (device, plural(threads, "thread")) if p), fontsize=8)
    figure.canvas.draw()
    for panel, place in zip(axes, places, strict=True):
        _name(panel, _there(marks, place))
    return style.save(figure, folder, "roofline")


def _there(marks: list[Timed], place: tuple[str, int | None]) -> list[Timed]:
    return [m for m in marks if (str(m.row["device"]), integer(m.row["threads"])) == place]


def _roofs(axes: Axes, limits: dict[str, Ceilings | None], marks: list[Timed]) -> None:
    """Draw every limit up to where the machine's other limit takes over, and the networks."""
    known = {kind: found for kind, found in limits.items() if found and found.peak}
    middles = [m.reached.intensity for m in marks]
    ridges = [f.peak / f.copy for f in known.values() if f.copy]
    left, right = 0.3 * min([*middles, *ridges]), 7 * max([*middles, *ridges])
    lowest = 0.8 * min(m.reached.rate for m in marks)
    lowest = min([lowest, *(left * found.copy for found in known.values() if found.copy)])
    style.log_axis(axes)
    style.time_axis(axes, left, right)
    axes.set_xlim(left, right)
    axes.set_ylim(lowest, 1.6 * max(found.peak for found in known.values()))
    for kind, found in known.items():
        dash, colour = KINDS[kind]
        if found.copy:
            ridge = found.peak / found.copy
            axes.plot([left, ridge], [left * found.copy, found.peak], color=colour, ls=dash, lw=1.2)
        for rate in found.compute.values():
            start = rate / found.copy if found.copy else left
            axes.plot([start, right], [rate, rate], color=colour, linestyle=dash, linewidth=1.2)
    _name_roofs(axes, known, right=right)
    for mark in marks:
        look = style.look(mark.backbone)
        hollow = mark.batch != min(m.batch for m in marks)
        axes.plot(
            mark.reached.intensity,
            mark.reached.rate,
            look.marker,
            color=look.colour,
            markerfacecolor="white" if hollow else look.colour,
            markersize=6,
            markeredgewidth=1.4,
            zorder=4,
        )
    axes.set_xlabel("multiply-adds per byte moved (MAC / byte), nothing cached or fused")
    axes.set_ylabel("billions of multiply-adds a second (GMACs/s)")


def _name_roofs(axes: Axes, known: dict[str, Ceilings], *, right: float) -> None:
    """Write what each roof is; roofs of nearly one height share a line."""
    named = [
        (rate, f"{kind} {WORK.get(work, work)}: {rate:.0f}", KINDS[kind][1])
        for kind, found in known.items()
        for work, rate in found.compute.items()
    ]
    named.sort()
    lines: list[tuple[float, str, str]] = []
    for rate, text, colour in named:
        if lines and rate < 1.12 * lines[-1][0]:
            lines[-1] = (rate, f"{lines[-1][1]}; {text}", colour)
        else:
            lines.append((rate, text, colour))
    for rate, text, colour in lines:
        axes.text(right, 1.03 * rate, text, ha="right", va="bottom", fontsize=6.5, color=colour)
    slope = next((f.copy for f in known.values() if f.copy), None)
    if slope:
        low, _ = axes.get_xlim()
        place = (1.5 * low, 1.5 * low * slope)
        text = f"copy: {slope:.0f} GB/s"
        axes.annotate(text, place, xytext=(8, -4), textcoords="offset points", fontsize=6.5)


def _name(axes: Axes, marks: list[Timed]) -> None:
    texts = [
        (f"{printed(m.backbone)}, batch {m.batch}", m.reached.intensity, m.reached.rate)
        for m in marks
    ]
    colours = [style.look(m.backbone).colour for m in marks]
    texts_beside(axes, texts, colours=colours, avoid=[*_along(axes), *_written(axes)])


def _along(axes: Axes) -> list[tuple[float, float]]:
    """Return places on the roofs, to be left free."""
    left, right = axes.get_xlim()
    steps = [left * (right / left) ** (i / 30) for i in range(31)]
    flat = {float(line.get_ydata()[0]) for line in axes.lines if _is_flat(line.get_ydata())}
    return [(x, y) for y in flat for x in steps]


def _written(axes: Axes) -> list[tuple[float, float]]:
    """Return places on what is written there already."""
    places = []
    for text in axes.texts:
        box = text.get_window_extent()
        steps = [box.x0 + (box.x1 - box.x0) * i / 15 for i in range(16)]
        corners = [(x, y) for x in steps for y in (box.y0, box.y1)]
        places += axes.transData.inverted().transform(corners).tolist()
    return [(x, y) for x, y in places]


def _is_flat(heights: Sequence[float]) -> bool:
    return len(heights) > 1 and min(heights) == max(heights)


@style.styled
def draw_training_memory(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw what a training step keeps against the evaluations of its ODEs."""
    rows = kept(run)
    if rows.empty:
        return "memory for training was not measured in this run"
    figure, (axes,) = style.panels(1, width=4.6, height=3.0)
    highest = float(rows["saved_mib"].max())
    for adjoint, (words, colour, marker) in ADJOINT.items():
        part = rows[[true(value) == adjoint for value in rows["adjoint"]]].sort_values("nfe")
        if part.empty:
            continue
        x, y = part["nfe"].astype(float).tolist(), part["saved_mib"].astype(float).tolist()
        axes.plot(x, y, marker=marker, color=colour, clip_on=False)
        text = ": ".join(part for part in (words, growth(y)) if part)
        axes.annotate(
            text,
            (x[-1], y[-1]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="right",
            color=colour,
            fontweight="bold",
            fontsize=7.5,
        )
    counts = sorted({integer(value) for value in rows["nfe"]})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xlim(0, 1.03 * max(counts))
    axes.set_ylim(0, 1.12 * highest)
    axes.set_xlabel("evaluations of the ODEs in one call (NFE)")
    axes.set_ylabel("kept for one training step (MiB)")
    axes.set_title(rows.iloc[0]["network"], fontsize=7.5)
    return style.save(figure, folder, "training_memory")
