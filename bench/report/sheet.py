"""Pictures and words laid on one sheet by their places, for figures that are mostly pictures.

A panel for each picture would cost ten times as much to draw, and needs to be laid out.
"""

from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

from bench.report.style import INK

GAP = 0.03
"""Inches between neighbouring pictures."""
LINE = 0.13
"""Inches that a line of words takes."""


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    x: float
    y: float
    across: str
    up: str
    size: float
    colour: str
    weight: str


@dataclass
class Sheet:
    """Places are in inches from the left and from the top; words may lie beyond the pictures."""

    _pictures: list[tuple[np.ndarray, float, float, float]] = field(default_factory=list)
    _words: list[_Words] = field(default_factory=list)

    def picture(self, picture: np.ndarray, left: float, top: float, width: float) -> float:
        """Lay down a picture [H,W,3], pixels square; return how high it is."""
        self._pictures.append((picture, left, top, width))
        return width * picture.shape[0] / picture.shape[1]

    def above(
        self, text: str, x: float, y: float, *, colour: str = INK, bold: bool = False
    ) -> None:
        """Write a heading whose middle is `x` and which ends above `y`."""
        weight = "bold" if bold else "normal"
        self._words.append(_Words(text, x, y - 0.06, "center", "bottom", 7.5, colour, weight))

    def below(self, text: str, x: float, y: float, *, size: float = 6.0) -> None:
        """Write words whose middle is `x` and which begin below `y`."""
        self._words.append(_Words(text, x, y + 0.03, "center", "top", size, INK, "normal"))

    def beside(self, text: str, x: float, y: float, colour: str = INK) -> None:
        """Write the name of a row: it ends to the left of `x`, and its middle is `y`."""
        self._words.append(_Words(text, x - 0.08, y, "right", "center", 7.5, colour, "normal"))

    def title(self, text: str, x: float, y: float, colour: str = INK) -> None:
        """Write a title that begins at `x` and ends above `y`."""
        self._words.append(_Words(text, x, y - 0.06, "left", "bottom", 8.0, colour, "bold"))

    def figure(self) -> Figure:
        """Return the figure, to be saved trimmed: it is as large as the pictures."""
        ends = [
            (left + width, top + width * picture.shape[0] / picture.shape[1])
            for picture, left, top, width in self._pictures
        ]
        wide, high = (max(end) for end in zip(*ends, strict=True))
        figure = Figure(figsize=(wide, high))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for picture, left, top, width in self._pictures:
            bottom = top + width * picture.shape[0] / picture.shape[1]
            axes.imshow(
                picture,
                extent=(left, left + width, bottom, top),
                interpolation="none",  # in SVG the pixels themselves, not a picture of them
                aspect="auto",
            )
        axes.set(xlim=(0, wide), ylim=(high, 0))
        for one in self._words:
            axes.text(
                one.x,
                one.y,
                one.text,
                ha=one.across,
                va=one.up,
                fontsize=one.size,
                color=one.colour,
                fontweight=one.weight,
            )
        return figure
