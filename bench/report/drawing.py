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

    # Longest first, else one process is left alone with it at the end.
    order = sorted(range(len(FIGURES)), key=lambda i: FIGURES[i].draw is not draw_levels)
    results = dict(zip(order, side_by_side([job(FIGURES[i]) for i in order]), strict=True))
    drawn = []
    for i, figure in enumerate(FIGURES):
        result = results[i]
        if isinstance(result, str):
            drawn.append(Drawn(figure, (), result))
        elif isinstance(result, dict):
            for name, files in result.items():
                one = replace(figure, title=f"{figure.title}: {name}")
                drawn.append(Drawn(one, tuple(files)))
        else:
            drawn.append(Drawn(figure, tuple(result)))
    return drawn
