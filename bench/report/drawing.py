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

    published = {i: _as_published(figure, run, folder) for i, figure in enumerate(FIGURES)}
    kept: dict[int, Result] = {i: files for i, files in published.items() if files}
    # Longest first, else one process is left alone with it at the end.
    todo = [i for i in published if i not in kept]
    order = sorted(todo, key=lambda i: FIGURES[i].draw is not draw_levels)
    made = side_by_side([job(FIGURES[i]) for i in order])
    results = kept | dict(zip(order, made, strict=True))
    drawn = []
    for i, figure in enumerate(FIGURES):
        result = results[i]
        if i in kept:
            figure = replace(figure, caption=f"{figure.caption} {PUBLISHED}")
        if isinstance(result, str):
            drawn.append(Drawn(figure, (), result))
        elif isinstance(result, dict):
            for name, files in result.items():
                one = replace(figure, title=f"{figure.title}: {name}")
                drawn.append(Drawn(one, tuple(files)))
        else:
            drawn.append(Drawn(figure, tuple(result)))
    return drawn


def _as_published(figure: Figure, run: RunLike, folder: Path) -> list[Path]:
    """Return the files of a figure that are there since its run was published, if they are.

    It cannot be drawn again: a published run has left its weights, curves and images behind.
    """
    files = [folder / f"{figure.stem}{suffix}" for suffix in (".png", ".svg")]
    kept = bool(figure.stem and run.manifest.get("reference"))
    return [path for path in files if kept and path.is_file()]
