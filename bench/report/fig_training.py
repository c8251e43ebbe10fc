"""Training loss, and the error of the averaged weights on held-out images, against updates."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.api import BenchError
from bench.report import style
from bench.report.labels import end_labels, keys
from bench.report.names import ordered, printed
from bench.report.rows import RunLike, ok

COLUMNS = ("backbone", "denoiser", "generator", "dataset", "recipe", "updates", "levels")
KINDS = {
    "backbone": "diffusion networks",
    "denoiser": "classic denoisers",
    "generator": "generators",
}
"""Column that names what was trained -> what such are called: their losses differ in meaning."""
MOST_POINTS = 1500
"""Points of the raw curve that are drawn; more would only swell the file."""
LETTERS, BESIDE_A_NAME = 60, 8
"""That fit into the width of a panel, and those that a mark and its margins take."""
THIRDS = {"high": (0, (1, 1.2)), "middle": (0, (5, 1.6)), "low": "-"}
"""Columns of a validation curve, from the top, and their dashes."""


@dataclass
class _Group:
    """What is drawn in one panel, and in the one beside it."""

    losses: dict[str, pd.DataFrame] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    """Trainings of each that are not drawn."""
    errors: dict[str, pd.DataFrame] = field(default_factory=dict)


@style.styled
def draw_training(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw loss curves, and beside them validation curves: a row for each kind of network."""
    groups = _groups(run)
    if not groups:
        return "no training curves in this run"
    columns = 2 if any(group.errors for group in groups.values()) else 1
    count = columns * len(groups)
    figure, axes = style.panels(count, width=4.6, height=3.0, columns=columns)
    unlabelled = []
    for number, (title, group) in enumerate(groups.items()):
        loss, *beside = axes[columns * number : columns * (number + 1)]
        unlabelled.append((loss, _draw_losses(loss, title, group)))
        for error in beside:
            _draw_errors(error, title, group.errors)
            curves = [*group.losses.values(), *group.errors.values()]
            error.set_xlim(left=min(curve["update"].iloc[0] for curve in curves) - 1)
    style.place(figure)
    for panel, ends in unlabelled:
        end_labels(panel, ends)
    return style.save(figure, folder, "training")


def _groups(run: RunLike) -> dict[str, _Group]:
    """Return the curves by title, in the order of the panels."""
    rows = ok(run, "train", COLUMNS)
    # Of a classic denoiser's trainings the one for the most levels, "50-400" and not "50".
    rows = rows.sort_values("levels", key=lambda told: ~told.astype(str).str.contains("-|all"),
                            kind="stable")  # fmt: skip
    groups: dict[tuple[int, str], _Group] = {}
    for row in rows.itertuples():
        column = next((name for name in KINDS if isinstance(getattr(row, name), str)), None)
        curve = _curve(run, row.key, "curve.csv", ("loss",))
        if column is None or curve is None:
            continue
        place = list(KINDS).index(column), f"{row.dataset}: {KINDS[column]}"
        group, name = groups.setdefault(place, _Group()), getattr(row, column)
        if name in group.losses:
            group.others[name] += 1
        else:
            group.losses[name] = curve
            errors = _curve(run, row.key, "validation.csv", tuple(THIRDS))
            if errors is not None:
                group.errors[name] = errors
    return {title: groups[place, title] for place, title in sorted(groups)}


def _curve(run: RunLike, key: str, name: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
    """Return a curve's points that a logarithmic axis has a place for, None if there are none."""
    try:
        curve = pd.read_csv(run.file(key, name))
    except (OSError, BenchError, ValueError):
        return None
    if not {"update", *columns} <= set(curve.columns):
        return None
    values = curve[list(columns)].apply(pd.to_numeric, errors="coerce")
    curve = curve[((values > 0) & np.isfinite(values)).all(axis=1)]
    return curve if len(curve) else None


def _draw_losses(axes: Axes, title: str, group: _Group) -> list[tuple[str, float, float]]:
    """Draw a panel of loss curves; return each one's name and last point."""
    curves = group.losses
    ends = [_draw_loss(axes, name, curves[name]) for name in ordered(curves)]
    style.log_axis(axes)
    axes.set_title(title)
    axes.set_xlabel("updates")
    axes.set_ylabel("training loss")
    updates = max(int(curve["update"].max()) for curve in curves.values())
    said = f"{updates:,} updates; line: running mean"
    if group.others:
        said += f"\none of {1 + max(group.others.values())} trainings of each"
    style.corner(axes, said)
    return ends


def _draw_loss(axes: Axes, name: str, curve: pd.DataFrame) -> tuple[str, float, float]:
    look = style.look(name)
    thin = curve.iloc[:: max(1, len(curve) // MOST_POINTS)]
    axes.plot(thin["update"], thin["loss"], color=look.colour, linewidth=0.4, alpha=0.3)
    mean = running_mean(curve["update"].to_numpy(), curve["loss"].to_numpy())
    smooth = mean[:: max(1, len(curve) // MOST_POINTS)]
    axes.plot(thin["update"], smooth, color=look.colour, linestyle=look.dash)
    return name, float(curve["update"].iloc[-1]), float(mean[-1])


def running_mean(updates: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return the mean of the losses around each update, over a twenty-fifth of all updates.

    Each row counts as many updates as it stands for: of a training that went on from a network
    that comes trained, the first part has a row for every few updates only.

    Args:
        updates: Rising, [N].
        losses: [N].
    """
    reach = (updates[-1] - updates[0]) / 50
    first = np.searchsorted(updates, updates - reach, side="left")
    behind = np.searchsorted(updates, updates + reach, side="right")
    weights = np.gradient(updates.astype(float)) if len(updates) > 1 else np.ones(1)
    sums, shares = (
        np.concatenate([[0.0], np.cumsum(part)]) for part in (weights * losses, weights)
    )
    return (sums[behind] - sums[first]) / (shares[behind] - shares[first])


def _draw_errors(axes: Axes, title: str, curves: Mapping[str, pd.DataFrame]) -> None:
    """Draw a panel of validation curves: networks by colour, thirds of the noise range by dash."""
    if not curves:
        axes.set_visible(False)
        return
    for name in ordered(curves):
        look, curve = style.look(name), curves[name]
        for third, dash in THIRDS.items():
            axes.plot(
                curve["update"], curve[third], color=look.colour, linestyle=dash,
                marker=look.marker if len(curve) <= 30 else None, markersize=3.0, linewidth=1.3,
            )  # fmt: skip
    style.log_axis(axes)
    axes.set_title(f"{title.partition(':')[0]}: held-out images")
    axes.set_xlabel("updates")
    axes.set_ylabel("mean squared error of one step")
    _name_networks(axes, ordered(curves))
    _name_thirds(axes)


def _name_thirds(axes: Axes) -> None:
    """Name the dashes beside the panel, from the most noise to the least."""
    lines = [Line2D([], [], color=style.GREY, linestyle=dash) for dash in THIRDS.values()]
    axes.legend(
        lines, [f"{third} noise" for third in THIRDS], loc="center left",
        bbox_to_anchor=(1.0, 0.5), handlelength=2.4, labelcolor=style.GREY, labelspacing=0.9,
    )  # fmt: skip


def _name_networks(axes: Axes, names: list[str]) -> None:
    """Name the colours in lines above the curves, where room is made for them."""
    longest = max(len(printed(name)) for name in names)
    columns = max(1, min(len(names), LETTERS // (longest + BESIDE_A_NAME)))
    lines = math.ceil(len(names) / columns)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** (0.04 + 0.08 * lines))
    named = axes.legend(
        handles=keys(names, dash=False), loc="upper right", ncols=columns,
        handlelength=1.6, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    axes.add_artist(named)  # else the next legend takes its place
