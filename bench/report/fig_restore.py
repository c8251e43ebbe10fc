"""Restoration: perception against distortion over the steps, and the best scores against noise."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report import restoration as r
from bench.report import style
from bench.report.labels import end_labels, point_labels
from bench.report.names import ordered
from bench.report.rows import RunLike
from bench.report.table4 import denoised

MOST_PANELS = 6


def _block(run: RunLike) -> r.Block | None:
    found = r.blocks(r.restored(run, "best")) or r.blocks(r.restored(run, "curve"))
    return found[0] if found else None


def _in(rows: pd.DataFrame, block: r.Block) -> pd.DataFrame:
    rows = rows[(rows["dataset"] == block.dataset) & (rows["schedule"] == block.schedule)]
    return rows[rows["estimate"] == block.estimate] if "estimate" in rows else rows


@style.styled
def draw_tradeoff(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw LPIPS against 1 - SSIM, one panel per noise level."""
    block = _block(run)
    if block is None:
        return "no restorations in this run"
    rows = _in(r.restored(run, "curve"), block)
    rows = rows[rows["ssim"].notna() & rows["lpips"].notna()]
    classics = _in(denoised(run), block)
    classics = classics[classics["ssim"].notna() & classics["lpips"].notna()]
    levels = sorted({int(t) for t in rows["t"]})[:MOST_PANELS]
    if not levels:
        return "no restoration has both SSIM and LPIPS"
    figure, axes = style.panels(len(levels), width=3.3, height=3.0)
    for panel, t in zip(axes, levels, strict=True):
        _tradeoff(panel, rows[rows["t"] == t], classics[classics["t"] == t])
        sigma = r.sigma_of(rows, block, t)
        panel.set_title(f"t = {t}" + (f", σ = {sigma:.3f}" if sigma is not None else ""))
        panel.set_xlabel("distortion: 1 − SSIM")
        panel.set_ylabel("perception: LPIPS")
        n = rows.loc[rows["t"] == t, "n"].dropna()
        style.corner(panel, f"N = {int(n.iloc[0])}" if len(n) else "", x=0.02)
    figure.draw_without_rendering()
    for panel, t in zip(axes, levels, strict=True):
        here = rows[rows["t"] == t]
        points = _points(here, classics[classics["t"] == t])
        point_labels(panel, points, _along(here))
    return style.save(figure, folder, "perception_distortion")


def _tradeoff(axes: Axes, curves: pd.DataFrame, classics: pd.DataFrame) -> None:
    for backbone in ordered(curves["backbone"].dropna()):
        look = style.look(backbone)
        one = curves[curves["backbone"] == backbone].sort_values("calls")
        x, y = 1 - one["ssim"], one["lpips"]
        axes.plot(x, y, color=look.colour, linestyle=look.dash, zorder=3)
        axes.plot(x.iloc[:1], y.iloc[:1], marker="|", color=look.colour, markersize=7)
        axes.plot(
            x.iloc[-1:], y.iloc[-1:], marker=look.marker, color=look.colour, markersize=5, zorder=4
        )
        best = y.to_numpy().argmin()
        axes.plot(
            x.iloc[best],
            y.iloc[best],
            marker="o",
            markersize=8,
            markerfacecolor="none",
            markeredgecolor=look.colour,
            zorder=4,
        )
    for row in classics.itertuples():
        look = style.look(row.denoiser)
        axes.plot(1 - row.ssim, row.lpips, look.marker, color=look.colour, markersize=5, zorder=4)
    axes.margins(x=0.12, y=0.12)  # room for the names
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)


def _points(curves: pd.DataFrame, classics: pd.DataFrame) -> list[tuple[str, float, float]]:
    points = []
    for backbone in ordered(curves["backbone"].dropna()):
        one = curves[curves["backbone"] == backbone].sort_values("calls")
        points.append((backbone, 1 - float(one["ssim"].iloc[-1]), float(one["lpips"].iloc[-1])))
    for row in classics.drop_duplicates("denoiser").itertuples():
        points.append((row.denoiser, 1 - float(row.ssim), float(row.lpips)))
    return points


def _along(curves: pd.DataFrame, parts: int = 12) -> list[tuple[float, float]]:
    """Return places along the lines, close enough that no label fits between two of them."""
    places: list[tuple[float, float]] = []
    for _, one in curves.groupby("backbone"):
        one = one.sort_values("calls")
        x, y = 1 - one["ssim"].to_numpy(float), one["lpips"].to_numpy(float)
        at = np.linspace(0, len(x) - 1, parts * len(x))
        places += zip(np.interp(at, range(len(x)), x), np.interp(at, range(len(x)), y), strict=True)
    return places


@style.styled
def draw_noise(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw the best SSIM and LPIPS against the noise, networks and classics."""
    block = _block(run)
    lines = _noise_lines(run, block) if block else {}
    shown = [m for m in r.METRICS if any(len(one[m]) for one in lines.values())]
    if not shown:
        return "no scores of restorations or denoisers in this run"
    figure, axes = style.panels(len(shown), width=4.6, height=3.1)
    for panel, metric in zip(axes, shown, strict=True):
        for name, one in lines.items():
            _noise_line(panel, name, one[metric])
        panel.set_xlabel("noise: σ on the [0, 1] scale")
        direction = "higher is better" if r.METRICS[metric][1] else "lower is better"
        panel.set_ylabel(f"{r.METRICS[metric][0]} ({direction})")
        panel.set_title(f"{block.dataset}, {block.schedule} schedule")
        n = [v for one in lines.values() for v in one[metric]["n"].dropna()]
        place = {"x": 0.98, "y": 0.97} if r.METRICS[metric][1] else {"x": 0.02, "y": 0.97}
        style.corner(panel, f"N = {int(n[0])} images" if n else "", **place)
    figure.draw_without_rendering()
    for panel, metric in zip(axes, shown, strict=True):
        ends = [
            (name, float(one[metric]["sigma"].iloc[-1]), float(one[metric]["value"].iloc[-1]))
            for name, one in lines.items()
            if len(one[metric])
        ]
        end_labels(panel, ends)
    return style.save(figure, folder, "scores_against_noise")


def _noise_lines(run: RunLike, block: r.Block) -> dict[str, dict[str, pd.DataFrame]]:
    """Return per network or denoiser and metric: sigma, value, low, high, n."""
    best, classics = _in(r.restored(run, "best"), block), _in(denoised(run), block)
    lines: dict[str, dict[str, pd.DataFrame]] = {}
    for name in ordered(best["backbone"].dropna()):
        mine = best[best["backbone"] == name]
        names = {"best_value": "value", "best_low": "low", "best_high": "high"}
        lines[name] = {m: _tidy(mine[mine["metric"] == m].rename(columns=names)) for m in r.METRICS}
    for name in ordered(classics["denoiser"]):
        mine = classics[classics["denoiser"] == name]
        lines[name] = {
            m: _tidy(mine.rename(columns={m: "value", f"{m}_low": "low", f"{m}_high": "high"}))
            for m in r.METRICS
        }
    return lines


def _tidy(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows[["sigma", "value", "low", "high", "n"]].dropna(subset=["sigma", "value"])
    return rows.astype(float).drop_duplicates("sigma").sort_values("sigma")


def _noise_line(axes: Axes, name: str, one: pd.DataFrame) -> None:
    look = style.look(name)
    if one.empty:
        return
    axes.plot(
        one["sigma"], one["value"], color=look.colour, linestyle=look.dash, marker=look.marker
    )
    if one["low"].notna().all() and one["high"].notna().all():
        axes.fill_between(
            one["sigma"], one["low"], one["high"], color=look.colour, alpha=0.10, linewidth=0
        )
