"""What a figure of the report is: what draws it, its caption, and its words."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.report.rows import RunLike

Result = list[Path] | dict[str, list[Path]] | str
Draw = Callable[[RunLike, Path], Result]
"""Writes a figure into a folder; returns its files, those of several by name, or why it cannot."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the report."""

    title: str
    caption: str
    alt: str
    draw: Draw
    of_data: bool = False
    """Whether it shows pictures of the data set, or what they were before noise."""
    stem: str = ""
    """Name of its files without ending, where it is drawn from files that no published run has."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure that was drawn, or the reason why it could not be."""

    figure: Figure
    files: tuple[Path, ...]
    reason: str = ""

    @property
    def png(self) -> Path | None:
        """The picture in dots."""
        return self._file(".png")

    @property
    def svg(self) -> Path | None:
        """The picture in lines."""
        return self._file(".svg")

    def _file(self, suffix: str) -> Path | None:
        return next((path for path in self.files if path.suffix == suffix), None)


LACKING = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a figure raises whose data a run of another version, or a broken one, only half has.

A `RuntimeError` is Matplotlib's, of numbers too far apart to be drawn.
"""


def attempt(figure: Figure, run: RunLike, folder: Path) -> Result:
    """Draw one figure; one that cannot be drawn says so, and the report has all the others."""
    try:
        return figure.draw(run, folder)
    except LACKING as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return f"the rows of this run are not what the figure is drawn from ({what})"
