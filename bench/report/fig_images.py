"""Pictures of noise and restoration: the ladder, the comparison of methods, the reverse process."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.report import pictures as p
from bench.report import restoration as r
from bench.report import style
from bench.report.films import EXAMPLES, MISSING, films
from bench.report.names import ordered, printed
from bench.report.rows import RunLike, ok
from bench.report.sheet import GAP, LINE, Sheet
from bench.report.table4 import denoised
from bench.report.table4_pairs import diffusion_row

IMAGES = 2
"""Images per noise level in the comparison."""
MOST_LEVELS = 3
FRAMES = 10
CELL = 0.8
"""Inches of one picture."""
APART, LEVELS_APART = 0.1, 0.08
"""Inches more before the clean image, and between noise levels."""


@style.styled
def draw_ladder(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw the same images at every noise level."""
    rows = ok(run, "ladder", ("dataset", "t", "sigma", "schedule"))
    rows = rows[rows["t"].notna()]
    if rows.empty:
        return "no noise ladder in this run"
    rows = rows[rows["key"] == rows["key"].iloc[0]]
    found = p.arrays(run, rows["key"].iloc[0], "ladder.safetensors")
    if "images" not in found or found["images"].shape[1] != len(rows):
        return "the images of the noise ladder are missing"
    images = found["images"]
    columns = [images[:, i] for i in range(images.shape[1])]
    heads = [f"t = {int(t)}\nσ = {s:.3f}" for t, s in zip(rows["t"], rows["sigma"], strict=True)]
    if "clean" in found:
        columns, heads = [found["clean"], *columns], ["clean\n", *heads]
    sheet = Sheet()
    for j, (head, column) in enumerate(zip(heads, columns, strict=True)):
        left = j * (CELL + GAP)
        sheet.above(head, left + CELL / 2, 0.0)
        for i, image in enumerate(column):
            sheet.picture(p.as_picture(image), left, i * (CELL + GAP), CELL)
    return style.save(sheet.figure(), folder, "noise_ladder", trim=True)


@dataclass(frozen=True)
class Shown:
    """One column of the comparison at one noise level: images, each with its scores."""

    head: str
    images: np.ndarray
    scores: tuple[str, ...] = ()


@style.styled
def draw_denoising(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw clean, noisy and restored images of every method, each with its scores beneath."""
    classics, best = denoised(run), r.restored(run, "best")
    blocks = r.blocks(best)
    if not blocks:
        blocks = [r.Block(x.dataset, x.schedule, r.DEFAULT_ESTIMATE) for x in classics.itertuples()]
    if not blocks:
        return "no restored images in this run"
    block = blocks[0]
    classics = classics[
        (classics["dataset"] == block.dataset) & (classics["schedule"] == block.schedule)
    ]
    levels = sorted({int(t) for t in classics["t"]} or {t for t, _, _ in r.best_of(best, block)})
    per_level = {t: _columns(run, block, t, classics) for t in levels[:MOST_LEVELS]}
    per_level = {t: columns for t, columns in per_level.items() if columns}
    if not per_level:
        return "the restored images are missing"
    return style.save(_comparison(per_level, block), folder, "denoising", trim=True)


def _columns(run: RunLike, block: r.Block, t: int, classics: pd.DataFrame) -> list[Shown]:
    """Return the columns of one noise level."""
    shown: list[Shown] = []
    found = r.best_of(r.restored(run, "best"), block)
    here = classics[classics["t"] == t]
    names = [n for n in ordered(here["denoiser"]) if n != "identity"]
    for name in names:
        images = p.arrays(run, here[here["denoiser"] == name]["key"].iloc[0], EXAMPLES)
        shown += _first(run, images, here, shown)
        if "restored" in images:
            shown.append(Shown(printed(name), images["restored"], _scores(images, "restored")))
    for backbone in ordered(b for level, b, _ in found if level == t):
        key = next(one.row["key"] for (u, b, _), one in found.items() if (u, b) == (t, backbone))
        images = p.arrays(run, key, EXAMPLES)
        shown += _first(run, images, here, shown)
        kind = "best_lpips" if "best_lpips" in images else "best_ssim"
        if kind in images:
            shown.append(Shown(diffusion_row(backbone), images[kind], _scores(images, kind)))
    return shown


def _first(
    run: RunLike, images: dict[str, np.ndarray], here: pd.DataFrame, shown: list[Shown]
) -> list[Shown]:
    """Return the columns of the clean and the noisy images, once."""
    if shown or not {"clean", "noisy"} <= set(images):
        return []
    scores = _scores(images, "noisy")
    left_alone = here[here["denoiser"] == "identity"]
    if not scores and len(left_alone):
        scores = _scores(p.arrays(run, left_alone["key"].iloc[0], EXAMPLES), "restored")
    return [Shown("Clean", images["clean"]), Shown("Noisy", images["noisy"], scores)]


def _scores(images: dict[str, np.ndarray], name: str) -> tuple[str, ...]:
    """Return "SSIM / LPIPS" of each image of a kind; nothing where they are not kept."""
    found = [images.get(f"{name}/{metric}", ()) for metric in ("ssim", "lpips")]
    return tuple(f"{a:.2f} / {b:.3f}" for a, b in zip(*found, strict=True))


def _comparison(per_level: dict[int, list[Shown]], block: r.Block) -> Figure:
    heads = list(dict.fromkeys(one.head for columns in per_level.values() for one in columns))
    count = min(IMAGES, *(len(one.images) for c in per_level.values() for one in c))
    sheet, row = Sheet(), CELL + LINE + GAP
    for level, (t, columns) in enumerate(per_level.items()):
        top = level * (count * row + LEVELS_APART)
        sheet.beside(f"t = {t}", 0.0, top + (count * row - LINE - GAP) / 2)
        for one in columns:
            left = heads.index(one.head) * (CELL + GAP)
            for i in range(count):
                height = sheet.picture(p.as_picture(one.images[i]), left, top + i * row, CELL)
                if one.scores:
                    sheet.below(one.scores[i], left + CELL / 2, top + i * row + height)
    for j, head in enumerate(heads):
        sheet.above(head, j * (CELL + GAP) + CELL / 2, 0.0, bold=True)
    middle = (len(heads) * (CELL + GAP) - GAP) / 2
    words = f"beneath each image: its SSIM / LPIPS ({block.dataset})"
    sheet.below(words, middle, top + count * row, size=7.0)
    return sheet.figure()


@style.styled
def draw_reverse(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw the first image along the reverse process of each network."""
    blocks = r.blocks(r.restored(run, "best"))
    if not blocks:
        return "no restorations in this run"
    strips = list(films(run, blocks[0], levels=MOST_LEVELS))
    if not strips:
        return MISSING
    columns = max(min(FRAMES, len(film.frames)) for film in strips)
    sheet = Sheet()
    end = columns * (CELL + GAP)
    for i, film in enumerate(strips):
        top = sum(strips[k].t != strips[k - 1].t for k in range(1, i + 1)) * LEVELS_APART
        top += i * (CELL + GAP)
        for frame in p.evenly(len(film.frames), columns):
            place = round(frame / max(len(film.frames) - 1, 1) * (columns - 1))
            picture = p.as_picture(film.frames[frame])
            sheet.picture(picture, place * (CELL + GAP), top, CELL)
        sheet.picture(p.as_picture(film.clean), end + APART, top, CELL)
        name, colour = printed(film.backbone), style.look(film.backbone).colour
        sheet.beside(f"{name}\nt = {film.t}", 0.0, top + CELL / 2, colour)
    for left, head in ((0.0, "noisy"), (end - CELL - GAP, "end"), (end + APART, "clean")):
        sheet.above(head, left + CELL / 2, 0.0)
    sheet.below("network calls, from none to all", (end - GAP) / 2, top + CELL, size=7.5)
    return style.save(sheet.figure(), folder, "reverse_process", trim=True)
