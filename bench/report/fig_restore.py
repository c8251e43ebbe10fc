"""Restoration: the best scores against noise."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from bench.report import restoration as r
from bench.report import style
from bench.report.labels import end_labels
from bench.report.names import ordered
from bench.report.rows import RunLike
from bench.report.table4 import denoised


def _block(run: RunLike) -> r.Block | None:
    found = r.blocks(r.restored(run, "best")) or r.blocks(r.restored(run, "curve"))
    return found[0] if found else None


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
    style.place(figure)
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
    best, classics = r.within(r.restored(run, "best"), block), r.within(denoised(run), block)
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
