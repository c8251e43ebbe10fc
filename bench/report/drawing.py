"""Drawing the figures of a report, several at once."""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.report.fig_perception import draw_levels
from bench.report.figure import Drawn, Figure, Result, attempt
from bench.report.plots import FIGURES
from bench.report.rows import RunLike
from bench.report.side_by_side import side_by_side

PUBLISHED = "Drawn when the run was published, from files that are not published with it."


def write_figures(run: RunLike, folder: Path, *, withheld: Collection[str] = ()) -> list[Drawn]:
    """Draw every figure that the run has data for.

    Args:
        run: Its rows and files.
        folder: Where the files go.
        withheld: Data sets whose pictures may not be passed on: no figure shows any.
    """

    def job(figure: Figure) -> Callable[[], Result]:
        if withheld and figure.of_data:
            names = ", ".join(withheld)
            return lambda: f"it would show pictures of {names}, which may not be passed on"
        return partial(attempt, figure, run, folder)

    kept = {i: _as_published(figure, run, folder) for i, figure in enumerate(FIGURES)}
    # Longest first, else one process is left alone with it at the end.
    todo = [i for i in kept if kept[i] is None]
    order = sorted(todo, key=lambda i: FIGURES[i].draw is not draw_levels)
    results = dict(zip(order, side_by_side([job(FIGURES[i]) for i in order]), strict=True))
    drawn = []
    for i, figure in enumerate(FIGURES):
        published, result = kept[i], results.get(i, "")
        if published is not None:
            drawn.append(published)
        elif isinstance(result, str):
            drawn.append(Drawn(figure, (), result))
        elif isinstance(result, dict):
            for name, files in result.items():
                one = replace(figure, title=f"{figure.title}: {name}")
                drawn.append(Drawn(one, tuple(files)))
        else:
            drawn.append(Drawn(figure, tuple(result)))
    return drawn


def _as_published(figure: Figure, run: RunLike, folder: Path) -> Drawn | None:
    """Return a figure that is there since its run was published, None for one that is not.

    It cannot be drawn again: a published run has left its weights, curves and images behind.
    """
    files = [folder / f"{figure.stem}{suffix}" for suffix in (".png", ".svg")]
    files = [path for path in files if path.is_file()]
    if not (figure.stem and files and run.manifest.get("reference")):
        return None
    return Drawn(replace(figure, caption=f"{figure.caption} {PUBLISHED}"), tuple(files))
