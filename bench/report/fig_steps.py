"""Scores along the restoration: how good every step is, and where stopping would be best."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from bench.report import restoration as r
from bench.report import style
from bench.report.labels import end_labels, keys
from bench.report.names import ordered, printed
from bench.report.rows import RunLike, integer, listed

METRICS = {
    "ssim": ("SSIM", "higher is better"),
    "lpips": ("LPIPS", "lower is better"),
    "psnr": ("PSNR, dB", "higher is better"),
}
READINGS = {
    "current": {"label": "current sample", "linewidth": 1.6, "alpha": 1.0},
    "x0": {"label": "predicted image", "linewidth": 0.8, "alpha": 0.55},
}
"""The readings of the current estimate, with their words and lines."""
COLUMNS = 4
MOST_BESIDE = 0.85
"""Inches that names may take at the right of a panel; longer ones stand below all panels."""


def _draw(run: RunLike, folder: Path, *, metric: str) -> list[Path] | str:
    curves, best = r.restored(run, "curve"), r.restored(run, "best")
    blocks = r.blocks(best)
    if not blocks:
        return "no restorations in this run"
    curves, best = (r.within(rows, blocks[0], any_estimate=True) for rows in (curves, best))
    curves = curves[curves[metric].notna()]
    best = best[best["metric"] == metric]
    levels = sorted({int(t) for t in curves["t"]})
    if not levels:
        return f"no restoration has {METRICS[metric][0].split(',')[0]} at every step"
    figure, axes = style.panels(len(levels), width=2.55, height=2.25, columns=COLUMNS)
    for place, (panel, t) in enumerate(zip(axes, levels, strict=True)):
        _panel(panel, curves[curves["t"] == t], best[best["t"] == t], metric)
        sigma = r.sigma_of(curves, blocks[0], t)
        panel.set_title(f"t = {t}" + (f", σ = {sigma:.3f}" if sigma is not None else ""))
        if place % COLUMNS == 0:
            panel.set_ylabel(f"{METRICS[metric][0]} ({METRICS[metric][1]})")
        if place + COLUMNS >= len(levels):
            panel.set_xlabel("reverse steps")
        _said(panel, curves[curves["t"] == t], metric)
    names = ordered(curves["backbone"].dropna())
    right = 0.12 + 0.068 * max(len(printed(name)) for name in names)
    beside = right <= MOST_BESIDE
    foot = 0.2 if beside else 0.2 + 0.16 * len(names)
    style.fixed(figure, left=0.58, bottom=0.4, top=0.26, right=right if beside else 0.12, foot=foot)
    _legend(figure, () if beside else names)
    for panel, t in zip(axes, levels, strict=True) if beside else ():
        end_labels(panel, _ends(curves[curves["t"] == t], metric))
    return style.save(figure, folder, f"{metric}_by_step")


def _steps(one: pd.DataFrame) -> pd.Series:
    return one["calls"].astype(float) * (integer(one["stride"].iloc[0]) or 1)


def _panel(axes: Axes, curves: pd.DataFrame, best: pd.DataFrame, metric: str) -> None:
    """Draw both readings of every network, the best steps and those of disjoint images."""
    for backbone in ordered(curves["backbone"].dropna()):
        look = style.look(backbone)
        for reading, line in READINGS.items():
            chosen = (curves["backbone"] == backbone) & (curves["estimate"] == reading)
            one = curves[chosen].sort_values("calls")
            if one.empty:
                continue
            x, y = _steps(one).to_numpy(), one[metric].to_numpy(float)
            axes.plot(x, y, color=look.colour, linestyle=look.dash, **line, zorder=3)
            top = best[(best["backbone"] == backbone) & (best["estimate"] == reading)]
            for row in top.itertuples():
                at = int(row.best_calls)
                hollow = {"markerfacecolor": "white", "markeredgecolor": look.colour}
                axes.plot(x[at], y[at], look.marker, **hollow, markersize=5.5, zorder=5)
                for calls in {int(one) for one in listed(row.disjoint_calls)}:
                    axes.plot(x[calls], y[calls], "|", color=look.colour, markersize=10, zorder=4)
    if metric == "lpips":
        style.log_axis(axes)
        axes.yaxis.set_minor_locator(NullLocator())
    axes.margins(y=0.12)


def _said(axes: Axes, curves: pd.DataFrame, metric: str) -> None:
    """Say N where there is room."""
    n = integer(curves["n"].dropna().iloc[0]) if len(curves["n"].dropna()) else None
    high = metric == "lpips"
    style.corner(axes, f"N = {n}" if n else "", x=0.98, y=0.97 if high else 0.03)


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """Say below the panels which line is which reading, and whose, where that is not beside."""
    lines = [Line2D([], [], color=style.GREY, **line) for line in READINGS.values()]
    rows = {"loc": "lower left", "borderaxespad": 0.2}
    figure.legend(handles=lines, ncols=len(lines), **rows)
    if names:
        whose = keys(names, marker=False)
        above = 0.2 / figure.get_size_inches()[1]
        figure.legend(handles=whose, ncols=1, bbox_to_anchor=(0, above), labelspacing=0.3, **rows)


def _ends(curves: pd.DataFrame, metric: str) -> list[tuple[str, float, float]]:
    ends = []
    for backbone in ordered(curves["backbone"].dropna()):
        chosen = (curves["backbone"] == backbone) & (curves["estimate"] == r.DEFAULT_ESTIMATE)
        one = curves[chosen].sort_values("calls")
        if len(one):
            ends.append((backbone, float(_steps(one).iloc[-1]), float(one[metric].iloc[-1])))
    return ends


Draw = Callable[[RunLike, Path], list[Path] | str]
draw_ssim_steps: Draw = style.styled(partial(_draw, metric="ssim"))
draw_lpips_steps: Draw = style.styled(partial(_draw, metric="lpips"))
draw_psnr_steps: Draw = style.styled(partial(_draw, metric="psnr"))
