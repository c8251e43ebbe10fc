"""Distance against sampling steps at equal effort of training, and error against that effort."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from bench.report import style
from bench.report.labels import end_labels
from bench.report.rows import RunLike
from bench.report.trainings import Effort, Training, Trainings, efforts, trainings

COMMAND = "python -m bench run theory"
Ends = list[tuple[str, float, float]]


@style.styled
def draw_convergence(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw a panel for each measure of effort, and below it the error along that effort."""
    found = trainings(run)
    names = [] if found is None else [name for name, own in found.networks.items() if own][:2]
    if found is None or not names:
        return f"no trainings looked at on the way in this run; make them with: {COMMAND}"
    measures = efforts(run, names)
    count = len(measures)
    figure, axes = style.panels(2 * count, width=3.5, height=2.7, columns=count)
    drawn: list[tuple[Axes, Ends]] = []
    for above, below, measure in zip(axes[:count], axes[count:], measures, strict=True):
        if _reached(found, names, measure):
            drawn.append((above, _distances(above, found, names, measure)))
        else:  # not looked at so early
            above.set_visible(False)
        drawn.append((below, _errors(below, found, names, measure)))
    for row in (axes[:count], axes[count:]):
        _share_heights([panel for panel in row if panel.get_visible()])
    style.place(figure)
    for panel, ends in drawn:
        end_labels(panel, ends)
    return style.save(figure, folder, "convergence")


def _reached(found: Trainings, names: Sequence[str], measure: Effort) -> bool:
    """Return whether every training was looked at early enough for the dearer network."""
    equal = measure.equal(names, found.most)
    return all(
        one.at(equal[name]) is not None for name in names for one in found.networks[name].values()
    )


def _distances(axes: Axes, found: Trainings, names: Sequence[str], measure: Effort) -> Ends:
    equal, ends = measure.equal(names, found.most), []
    for name in names:
        looks = [one.at(equal[name]) for one in found.networks[name].values()]
        lines = [look[0] for look in looks if look is not None]
        ends.append((name, *_lines(axes, name, found.steps, lines)))
    axes.set_xscale("log")
    style.count_axis(axes, found.steps)
    axes.set_title(f"Equal {measure.name}")
    axes.set_xlabel("sampling steps")
    axes.set_ylabel(found.distance_name)
    counts = " and ".join(f"{equal[name]:.0f}" for name in names)
    several = min(len(found.networks[name]) for name in names)
    style.corner(axes, f"{counts} updates, {several} trainings\nN = {found.n_generated} images")
    return ends


def _errors(axes: Axes, found: Trainings, names: Sequence[str], measure: Effort) -> Ends:
    ends = []
    for name in names:
        own = list[Training](found.networks[name].values())
        effort = own[0].looks * measure.cost[name]
        ends.append((name, *_lines(axes, name, effort, [np.exp(one.error) for one in own])))
    style.log_axis(axes)
    axes.set_title(f"Held-out error against {measure.name}")
    axes.set_xlabel(f"training: {measure.axis}")
    axes.set_ylabel("squared error, one call")
    axes.set_xlim(left=0)
    style.corner(axes, f"N = {found.n_held_out} images")
    return ends


def _lines(
    axes: Axes, name: str, x: Sequence[float] | np.ndarray, lines: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Draw every training thin and their mean thick; return the mean's last point."""
    look, mean = style.look(name), np.mean(lines, axis=0)
    for line in lines:
        axes.plot(x, line, color=look.colour, linewidth=0.6, alpha=0.45)
    axes.plot(x, mean, color=look.colour, linestyle=look.dash, marker=look.marker)
    return float(x[-1]), float(mean[-1])


def _share_heights(axes: Sequence[Axes]) -> None:
    """Give panels of one quantity the same vertical axis."""
    if axes:
        low, high = zip(*(panel.get_ylim() for panel in axes), strict=True)
        for panel in axes:
            panel.set_ylim(min(low), max(high))
