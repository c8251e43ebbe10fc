"""The generated images that lie nearest to a training image, above that image."""

from pathlib import Path

from bench.report import pictures as p
from bench.report import style
from bench.report.curves import Curve, curves, primary
from bench.report.names import printed
from bench.report.rows import RunLike, floating
from bench.report.sheet import GAP, Sheet

FILE = "closest.safetensors"
CELL, APART = 0.62, 0.3
"""Inches of one picture, and between networks."""


@style.styled
def draw_pairs(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw each network's closest pairs at its best number of steps."""
    strips = []
    for curve in primary(run, curves(run)):
        found = p.arrays(run, curve.best["key"], FILE)
        if {"generated", "training"} <= set(found) and len(found["generated"]):
            strips.append((curve, found))
    if not strips:
        return "no closest pairs in this run"
    sheet, top = Sheet(), 0.0
    for curve, found in strips:
        colour = style.look(curve.backbone).colour
        sheet.title(_title(curve), 0.0, top, colour)
        for name, side in (("generated", colour), ("training", style.GREY)):
            count = len(found[name])
            width = count * (CELL + GAP) - GAP
            height = sheet.picture(p.tile(found[name], count), 0.0, top, width)
            sheet.beside(name, 0.0, top + height / 2, side)
            top += height + GAP
        top += APART
    return style.save(sheet.figure(), folder, "closest_pairs", trim=True)


def _title(curve: Curve) -> str:
    title = f"{curve.dataset}: {printed(curve.backbone)}, {int(curve.best['steps'])} steps"
    values = [
        floating(curve.best[name]) for name in ("nearest_training", "nearest_training_held_out")
    ]
    if None in values:
        return title
    return f"{title} - median distance {values[0]:.3g}, held-out images {values[1]:.3g}"
