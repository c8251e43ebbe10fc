"""Perception against distortion: the way of the restoration, what lies between its ends, classics.

The grey line is the lower convex hull of all points: methods between which one chooses at random
reach it, so that it bounds from above what the best method could.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import perception as q
from bench.report import restoration as r
from bench.report import style
from bench.report.hull import envelope
from bench.report.labels import keys
from bench.report.names import ordered, printed
from bench.report.point_labels import texts_beside
from bench.report.rows import RunLike, text_of

HULL = "#b9b9b9"
DISTORTIONS = {"loss": "distortion: 1 − SSIM", "mse": "distortion: mean squared error"}
LPIPS = "perception: LPIPS"
MOST_PANELS = 8
MOST_BESIDE = 3
"""Networks whose names stand beside their samples."""
NOISY = "identity"


# ------------------------------------------------------------------ figures


@style.styled
def draw_overview(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw LPIPS against 1 - SSIM, one panel per noise level."""
    block = _block(run)
    if block is None:
        return "no restorations in this run"
    found = q.points(run, block)
    levels = _levels(found)[:MOST_PANELS]
    if not levels:
        return "no restoration has both SSIM and LPIPS"
    columns, rows = min(4, len(levels)), -(-len(levels) // 4)
    figure, axes = style.panels(len(levels), width=2.9, height=2.7, columns=columns)
    _fixed(
        figure,
        left=0.2 / columns, right=1 - 0.04 / columns, bottom=0.16 / rows, top=1 - 0.09 / rows,
    )  # fmt: skip
    drawn = []
    for place, (panel, t) in enumerate(zip(axes, levels, strict=True)):
        here = found[found["t"] == t]
        _panel(panel, here, "loss", "lpips")
        panel.set_title(_title(here, t) + _sizes(here))
        panel.set_xlabel(DISTORTIONS["loss"] if place + columns >= len(levels) else "")
        panel.set_ylabel(LPIPS if place % columns == 0 else "")
        drawn.append((panel, here, "loss", "lpips"))
    _name_all(figure, drawn)
    return style.save(figure, folder, "perception_distortion")


@style.styled
def draw_levels(run: RunLike, folder: Path) -> dict[str, list[Path]] | str:
    """Draw LPIPS and the distance between sets against both distortions, one figure per level."""
    block = _block(run)
    if block is None:
        return "no restorations in this run"
    found, floor = q.points(run, block), q.clean(run, block)
    levels = _levels(found)
    if not levels:
        return "no restoration has both SSIM and LPIPS"
    if found[list(q.DISTANCES)].isna().all(axis=None):
        return "no distances of restored images in this run: `run figures` measures them"
    return {
        f"t = {t}": _level(found[found["t"] == t], floor[floor["t"] == t], folder, t)
        for t in levels
    }


def _level(here: pd.DataFrame, floor: pd.DataFrame, folder: Path, t: int) -> list[Path]:
    measured = here[here["leads"].notna()]
    leads = str(measured["leads"].iloc[0]) if len(measured) else ""
    heights = ["lpips", *([leads] if leads else [])]
    figure, axes = style.panels(2 * len(heights), width=3.5, height=2.7, columns=2)
    _fixed(figure, left=0.085, right=0.985, bottom=0.16 / len(heights), top=0.95)
    panels = iter(axes)
    drawn = []
    for height in heights:
        for column, words in DISTORTIONS.items():
            panel = next(panels)
            shown = here[here[height].notna()]
            _panel(panel, shown, column, height)
            if height in q.DISTANCES:
                _scale_distance(panel, shown, floor, height)
                _floor(panel, floor, height)
            panel.set_xlabel(words + _sizes(shown, sets=height in q.DISTANCES))
            panel.set_ylabel(LPIPS if height == "lpips" else _distance(measured, height))
            drawn.append((panel, shown, column, height))
    axes[0].set_title(_title(here, t))
    _name_all(figure, drawn)
    return style.save(figure, folder, f"perception_distortion_{t:03d}")


# ------------------------------------------------------------------ parts


def _block(run: RunLike) -> r.Block | None:
    found = r.blocks(r.restored(run, "best")) or r.blocks(r.restored(run, "curve"))
    return found[0] if found else None


def _levels(found: pd.DataFrame) -> list[int]:
    return sorted({int(t) for t in found.loc[found["kind"] == q.PATH, "t"]})


def _title(here: pd.DataFrame, t: int) -> str:
    sigma = here["sigma"].dropna()
    return f"t = {t}" + (f", σ = {sigma.iloc[0]:.3f}" if len(sigma) else "")


def _distance(measured: pd.DataFrame, name: str) -> str:
    features = text_of(measured["features"].iloc[0])
    return f"perception: {q.DISTANCES[name]}" + (f" ({features})" if features else "")


def _sizes(here: pd.DataFrame, *, sets: bool = False) -> str:
    """Return N in brackets: of the images, and of the clean ones that a set is held against.

    It stands outside the panel, since no corner is sure to be free of lines and names.
    """
    n, real = here["n"].dropna(), here["n_real"].dropna()
    if n.empty:
        return ""
    against = f" against {int(real.iloc[0])}" if sets and len(real) else ""
    return f" (N = {int(n.iloc[0])}{against})"


def _panel(axes: Axes, here: pd.DataFrame, x: str, y: str) -> None:
    """Draw the hull, the way of each network, its combinations, and the classic denoisers."""
    spots = here[[x, y]].to_numpy(float)
    _hull(axes, spots)
    for name in ordered(here.loc[here["kind"] == q.PATH, "name"]):
        mine, look = here[here["name"] == name], style.look(name)
        path = mine[mine["kind"] == q.PATH].sort_values("order")
        between = mine[mine["kind"] == q.COMBINATION].sort_values("order")
        if y in q.DISTANCES:  # of the states on the way a few are measured, the last is the sample
            path = pd.concat([path, between[between["order"] == 0]])
        sparse = {"marker": ".", "markersize": 4} if y in q.DISTANCES else {}
        axes.plot(path[x], path[y], color=look.colour, linestyle=look.dash, **sparse, zorder=3)
        axes.plot(between[x], between[y], color=look.colour, linewidth=0.8, zorder=3)
        hollow = {"markerfacecolor": "white", "markeredgecolor": look.colour, "zorder": 4}
        axes.plot(between[x], between[y], look.marker, markersize=4, **hollow)
        ends = between.iloc[[0, -1]] if len(between) else path.iloc[-1:]
        axes.plot(ends[x], ends[y], look.marker, color=look.colour, markersize=5.5, zorder=5)
        _bars(axes, ends, x, y)
    for row in here[here["kind"] == q.CLASSIC].itertuples():
        look = style.look(row.name)
        place = getattr(row, x), getattr(row, y)
        axes.plot(*place, look.marker, color=look.colour, markersize=5, zorder=4)
    _bars(axes, here[here["kind"] == q.CLASSIC], x, y)
    _scale(axes, here, x, y)


def _scale(axes: Axes, here: pd.DataFrame, x: str, y: str) -> None:
    """Make the axes logarithmic: a restored image is far better than a noisy one."""
    _plain_log(axes.xaxis, here[x].astype(float))
    if y not in q.DISTANCES:
        _plain_log(axes.yaxis, here[y].astype(float))


def _scale_distance(axes: Axes, here: pd.DataFrame, floor: pd.DataFrame, y: str) -> None:
    """Make the axis of a distance logarithmic, and linear around 0 where something is below."""
    errors = (here[f"{y}_high"] - here[f"{y}_low"]).dropna() / 2
    errors = errors[errors > 0]
    values = [*here[y].astype(float), *floor[y].astype(float)]
    if len(errors):
        style.distance_axis(axes, values, float(errors.min()))
    axes.yaxis.set_minor_locator(NullLocator())


def _plain_log(axis: Axis, values: pd.Series) -> None:
    """Make an axis logarithmic, with a few plain numbers and room for names."""
    low, high = values.min() / 1.7, values.max() * 1.9
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})
    digits = (1.0, 2.0, 5.0) if high < 40 * low else (1.0, 3.0) if high < 400 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _bars(axes: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    """Draw the 95 % intervals of distances."""
    if y not in q.DISTANCES:
        return
    for _, row in rows.iterrows():
        ends = [row[f"{y}_low"], row[f"{y}_high"]]
        colour = style.look(row["name"]).colour
        axes.plot([row[x], row[x]], ends, color=colour, linewidth=0.7, alpha=0.5, zorder=2)


def _hull(axes: Axes, spots: np.ndarray) -> None:
    """Draw the lower envelope of points [N,2], flat to the right of the lowest."""
    if not len(spots):
        return
    left, right = spots[:, 0].min(), spots[:, 0].max()
    across = np.geomspace(left, 3 * right, 400)  # straight pieces are bent on these axes
    line = envelope([tuple(spot) for spot in spots], across)
    line = np.maximum(line, 0)  # estimates of a distance may be below, the distance is not
    axes.plot(across, line, color=HULL, linewidth=3.5, solid_capstyle="round", zorder=1)


def _floor(axes: Axes, floor: pd.DataFrame, name: str) -> None:
    if len(floor):
        value = float(floor[name].iloc[0])
        axes.axhline(value, color=style.GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        where = axes.get_yaxis_transform()
        text = {"fontsize": 6.5, "color": style.GREY, "va": "bottom", "ha": "right"}
        axes.text(0.99, value, "clean images", transform=where, **text)


def _fixed(figure: Figure, **edges: float) -> None:
    """Place the panels once and for all: to find the places takes longer than to draw them."""
    figure.set_layout_engine(None)
    figure.subplots_adjust(**edges, wspace=0.22, hspace=0.28)


Panel = tuple[Axes, pd.DataFrame, str, str]


def _name_all(figure: Figure, drawn: Sequence[Panel]) -> None:
    """Write the names beside the points, once all limits are final; a network's at its sample.

    Where many networks meet in one place, theirs stand below all panels instead.
    """
    networks = ordered({name for _, here, *_ in drawn for name in _networks(here)})
    beside = len(networks) <= MOST_BESIDE
    if not beside:
        _named_below(figure, networks)
    for axes, here, x, y in drawn:
        names, colours = _noisy(here, x, y)
        for row in here[here["kind"] == q.CLASSIC].itertuples():
            names.append((printed(row.name), getattr(row, x), getattr(row, y)))
            colours.append(style.look(row.name).colour)
        for name in _networks(here) if beside else ():
            chosen = (here["name"] == name) & (here["kind"] == q.COMBINATION)
            between = here[chosen].sort_values("order")
            sample = between.iloc[0]
            names.append((printed(name), sample[x], sample[y]))
            colours.append(style.look(name).colour)
        texts_beside(axes, names, colours=colours, avoid=_along(here, x, y))


def _networks(here: pd.DataFrame) -> list[str]:
    return ordered(here.loc[here["kind"] == q.COMBINATION, "name"])


def _named_below(figure: Figure, networks: Sequence[str]) -> None:
    """Make the figure higher, and name its lines and marks there."""
    columns = min(3, len(networks))
    style.grow(figure, 0.1 + 0.17 * -(-len(networks) // columns))
    figure.legend(handles=keys(networks), loc="lower left", ncols=columns, handlelength=3.2)


def _noisy(here: pd.DataFrame, x: str, y: str) -> tuple[list[tuple[str, float, float]], list[str]]:
    """Return the name of the place where all ways begin, unless it is that of a denoiser."""
    begin = here[(here["kind"] == q.PATH) & (here["order"] == 0)]
    if begin.empty or (here["name"] == NOISY).any():
        return [], []
    return [(printed(NOISY), begin[x].iloc[0], begin[y].iloc[0])], [style.look(NOISY).colour]


def _along(here: pd.DataFrame, x: str, y: str, parts: int = 12) -> list[tuple[float, float]]:
    """Return places along the lines, close enough that no label fits between two of them."""
    places: list[tuple[float, float]] = []
    for _, one in here[here["kind"] != q.CLASSIC].groupby(["name", "kind"]):
        one = one.sort_values("order")
        across, up = one[x].to_numpy(float), one[y].to_numpy(float)
        at = np.linspace(0, len(across) - 1, parts * len(across))
        count = range(len(across))
        places += zip(np.interp(at, count, across), np.interp(at, count, up), strict=True)
    return places
