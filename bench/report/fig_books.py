"""The books as stacked bars: what share of a network every group of its parts takes."""

import re
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from bench.report import style
from bench.report.books import TIME, UNEXPLAINED, Book, books
from bench.report.names import printed
from bench.report.rows import RunLike

PANELS = (
    ("macs_torch", "multiply-adds (GMACs)", 1e-9),
    ("parameters", "parameters (millions)", 1e-6),
    ("bytes_moved", "bytes moved (MB)", 1e-6),
    ("activation_bytes", "activations (MB)", 1e-6),
    (TIME, "time of one call (ms)", 1e3),
)
COLOURS = (
    *("#004488", "#DDAA33", "#BB5566", "#44AA99", "#999933", "#AA4499", "#88CCEE", "#117733"),
    *("#332288", "#CC6677"),
)
REST = "other parts"
REST_LOOK, UNEXPLAINED_LOOK = ("#BBBBBB", ""), ("#FFFFFF", "//////")
SMALL = 0.02
"""Groups below such a share in every column of every network stand together."""
LETTER = 0.015
"""Share of a panel's width that a letter of a part's name takes."""


@style.styled
def draw_books(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw a panel per column, a bar per network, a piece per group of parts."""
    found = [book for book in books(run) if book.whole]
    if not found:
        return "no books in this run"
    shown = [p for p in PANELS if any(p[0] in book.whole for book in found)]
    names = _groups(found, [column for column, _, _ in shown])
    looks = {name: (COLOURS[i % len(COLOURS)], "") for i, name in enumerate(names)}
    looks |= {REST: REST_LOOK, UNEXPLAINED: UNEXPLAINED_LOOK}
    height = 1.0 + 0.36 * len(found)
    figure, axes = style.panels(len(shown), width=4.8, height=height, columns=2)
    drawn: set[str] = set()
    for panel, (column, words, unit) in zip(axes, shown, strict=True):
        drawn |= _panel(panel, found, column, unit=unit, looks=looks)
        panel.set_xlabel(words)
    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="#444444" if hatch else "white", label=name)
        for name, (colour, hatch) in looks.items()
        if name in drawn
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
    return style.save(figure, folder, "books")


def stem(group: str) -> str:
    """Return what groups that are numbered or specified have in common: `middle` of `middle1`."""
    return re.sub(r"[\d_].*$", "", group) or group


def _pieces(book: Book, column: str) -> dict[str, float]:
    """Return the sums over alike groups; for time with the rest that nothing explains."""
    pieces: dict[str, float] = {}
    for group, value in book.by_group(column).items():
        pieces[stem(group)] = pieces.get(stem(group), 0.0) + value
    if column == TIME and (book.unexplained or 0.0) > 0:
        pieces[UNEXPLAINED] = book.unexplained
    return pieces


def _groups(found: list[Book], columns: list[str]) -> list[str]:
    """Return the groups that are large somewhere, in the networks' order."""
    large: dict[str, None] = {}
    for book in found:
        for name in dict.fromkeys(stem(group) for group in book.groups.values()):
            for column in columns:
                whole = book.whole.get(column)
                if whole and _pieces(book, column)[name] >= SMALL * whole:
                    large[name] = None
    return list(large)


def _panel(
    axes: Axes, found: list[Book], column: str, *, unit: float, looks: dict[str, tuple[str, str]]
) -> set[str]:
    widest = max(book.whole.get(column, 0.0) for book in found) * unit
    drawn: set[str] = set()
    for i, book in enumerate(found):
        if column not in book.whole:
            axes.text(0.01 * widest, i, "not measured", va="center", fontsize=7, color=style.GREY)
            continue
        left, merged = 0.0, {name: 0.0 for name in looks}
        for name, value in _pieces(book, column).items():
            merged[name if name in looks else REST] += value * unit
        for name, width in merged.items():
            if width <= 0:
                continue
            fits = width > LETTER * (len(name) + 2) * widest
            _piece(axes, (left, i, width), name, look=looks[name], fits=fits)
            left += width
            drawn.add(name)
        whole = book.whole[column] * unit
        axes.text(max(left, whole) + 0.015 * widest, i, f"{whole:.3g}", va="center", fontsize=7.5)
    axes.set_yticks(range(len(found)), [printed(book.backbone) for book in found])
    axes.set_xlim(0, 1.13 * widest)
    axes.set_ylim(len(found) - 0.5, -0.5)  # the first on top, and room for one without a bar
    axes.grid(axis="y", visible=False)
    return drawn


def _piece(
    axes: Axes, place: tuple[float, int, float], name: str, *, look: tuple[str, str], fits: bool
) -> None:
    left, i, width = place
    colour, hatch = look
    edge = "#888888" if hatch else "white"
    axes.barh(
        i, width, left=left, color=colour, hatch=hatch, edgecolor=edge, linewidth=0.6, height=0.7
    )
    if fits and not hatch:
        dark = sum(to_rgb(colour)) < 1.6
        ink = "white" if dark else style.INK
        axes.text(left + width / 2, i, name, ha="center", va="center", fontsize=6.5, color=ink)
