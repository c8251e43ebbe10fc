"""Training loss against updates."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.api import BenchError
from bench.report import style
from bench.report.labels import end_labels
from bench.report.names import ordered
from bench.report.rows import RunLike, ok

COLUMNS = ("backbone", "denoiser", "dataset", "recipe", "updates")
MOST_POINTS = 1500
"""Points of the raw curve that are drawn; more would only swell the file."""


@style.styled
def draw_training(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw loss curves: diffusion networks apart from classic denoisers, whose losses differ."""
    rows = ok(run, "train", COLUMNS)
    groups: dict[str, dict[str, pd.DataFrame]] = {}
    for row in rows.itertuples():
        curve = _curve(run, row.key)
        diffusion = isinstance(row.backbone, str)
        name = row.backbone if diffusion else row.denoiser
        if curve is not None and isinstance(name, str):
            kind = f"{row.dataset}: {'diffusion networks' if diffusion else 'classic denoisers'}"
            groups.setdefault(kind, {}).setdefault(name, curve)
    if not groups:
        return "no training curves in this run"
    figure, axes = style.panels(len(groups), width=4.6, height=3.0, columns=2)
    ends = []
    for panel, (kind, curves) in zip(axes, sorted(groups.items(), reverse=True), strict=True):
        ends.append([_draw(panel, name, curves[name]) for name in ordered(curves)])
        style.log_axis(panel)
        panel.set_title(kind)
        panel.set_xlabel("updates")
        panel.set_ylabel("training loss")
        updates = max(int(curve["update"].max()) for curve in curves.values())
        style.corner(panel, f"{updates:,} updates; line: running mean")
    figure.draw_without_rendering()
    for panel, found in zip(axes, ends, strict=True):
        end_labels(panel, found)
    return style.save(figure, folder, "training")


def _curve(run: RunLike, key: str) -> pd.DataFrame | None:
    try:
        curve = pd.read_csv(run.file(key, "curve.csv"))
    except (OSError, BenchError, ValueError):
        return None
    if not {"update", "loss"} <= set(curve.columns):
        return None
    curve = curve[(curve["loss"] > 0) & np.isfinite(curve["loss"])]
    return curve if len(curve) else None


def _draw(axes: Axes, name: str, curve: pd.DataFrame) -> tuple[str, float, float]:
    """Draw one curve; return its name and last point."""
    look = style.look(name)
    thin = curve.iloc[:: max(1, len(curve) // MOST_POINTS)]
    axes.plot(thin["update"], thin["loss"], color=look.colour, linewidth=0.4, alpha=0.3)
    window = max(1, len(curve) // 25)
    mean = curve["loss"].rolling(window, min_periods=1, center=True).mean()
    smooth = mean.iloc[:: max(1, len(curve) // MOST_POINTS)]
    axes.plot(thin["update"], smooth, color=look.colour, linestyle=look.dash)
    return name, float(curve["update"].iloc[-1]), float(mean.iloc[-1])
