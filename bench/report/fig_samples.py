"""Generated images: at each network's best number of steps, and at every number of steps."""

from pathlib import Path

import pandas as pd

from bench.report import pictures as p
from bench.report import style
from bench.report.curves import block_of, curves, distance_name, primary
from bench.report.names import ordered, printed
from bench.report.rows import RunLike, ok
from bench.report.sheet import GAP, Sheet
from bench.report.ways import TABLE as SAMPLERS

COLUMNS = (
    *("backbone", "dataset", "sampler", "spacing", "steps", "recipe", "n_generated"),
    *("generator", "student"),
)
WIDE = 12
"""Images in a row."""
CELL, APART = 0.6, 0.28
"""Inches of one image with its margin, and between networks."""
Sets = dict[tuple[str, str, str, int], str]
"""(data set, recipe, backbone, steps) -> key of the sample cell."""


def _sets(run: RunLike) -> Sets:
    rows = ok(run, "sample", COLUMNS)
    rows = rows[rows["steps"].notna() & rows["backbone"].notna()]
    rows = _of_table1(run, rows.assign(block=block_of(rows)))
    return {
        (r.dataset, r.block, r.backbone, int(r.steps)): r.key for r in rows.iloc[::-1].itertuples()
    }


def _of_table1(run: RunLike, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the sets that Table 1 is about; what other samplers made has a figure of its own."""
    rows = rows[rows["generator"].isna() & rows["student"].isna()]
    scored = {
        (curve.dataset, curve.recipe, curve.backbone, int(steps), n)
        for curve in curves(run)
        for steps, n in zip(curve.points["steps"], curve.points["n_generated"], strict=True)
    }
    if not scored:
        return rows[:0] if len(ok(run, "frechet", (), table=SAMPLERS)) else rows
    about = ("dataset", "block", "backbone", "steps", "n_generated")
    return rows[[row in scored for row in zip(*(rows[name] for name in about), strict=True)]]


def _best_steps(run: RunLike) -> dict[tuple[str, str, str], tuple[int, str]]:
    """Return the best steps, and the distance there in words."""
    return {
        (c.dataset, c.recipe, c.backbone): (
            int(c.best["steps"]),
            f"{distance_name(c.features)} {c.best['frechet']:.3g}",
        )
        for c in primary(run, curves(run))
    }


@style.styled
def draw_samples(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw generated images of each network at its best number of steps."""
    sets = _sets(run)
    if not sets:
        return "no generated images in this run"
    best = _best_steps(run)
    grids = []
    for dataset, block in sorted({(d, b) for d, b, _, _ in sets}):
        for backbone in ordered(n for d, b, n, _ in sets if (d, b) == (dataset, block)):
            there = [s for d, b, n, s in sets if (d, b, n) == (dataset, block, backbone)]
            steps, words = best.get((dataset, block, backbone), (max(there), ""))
            steps = steps if steps in there else max(there)
            images = p.arrays(run, sets[dataset, block, backbone, steps], "samples.safetensors")
            if "images" in images and len(images["images"]):
                title = f"{dataset}: {printed(backbone)}, {steps} steps"
                title += f" - {words}" if words else ""
                grids.append((title, style.look(backbone).colour, images["images"][:36]))
    if not grids:
        return "the generated images are missing"
    sheet, top = Sheet(), 0.0
    for title, colour, images in grids:
        sheet.title(title, 0.0, top, colour)
        width = min(len(images), WIDE) * CELL
        top += sheet.picture(p.tile(images, WIDE), 0.0, top, width) + APART
    return style.save(sheet.figure(), folder, "samples", trim=True)


@style.styled
def draw_samples_by_steps(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw the same starting noise at every number of steps: one column is one noise."""
    sets = _sets(run)
    strips = []
    for dataset, block in sorted({(d, b) for d, b, _, _ in sets}):
        for backbone in ordered(n for d, b, n, _ in sets if (d, b) == (dataset, block)):
            for steps in sorted(
                s for d, b, n, s in sets if (d, b, n) == (dataset, block, backbone)
            ):
                found = p.arrays(run, sets[dataset, block, backbone, steps], "samples.safetensors")
                if "images" in found and len(found["images"]):
                    strips.append((backbone, steps, found["images"][:WIDE]))
    if not strips:
        return "no generated images in this run"
    sheet, top = Sheet(), 0.0
    for i, (backbone, steps, images) in enumerate(strips):
        top += APART / 4 if i and strips[i - 1][0] != backbone else 0.0
        height = sheet.picture(p.tile(images, WIDE), 0.0, top, CELL * len(images))
        words = f"{printed(backbone)}\n{steps} steps"
        sheet.beside(words, 0.0, top + height / 2, style.look(backbone).colour)
        top += height + GAP
    return style.save(sheet.figure(), folder, "samples_by_steps", trim=True)
