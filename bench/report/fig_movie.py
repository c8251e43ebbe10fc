"""The reverse process in motion: an animated PNG, of which a page shows all and paper the last."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.report import pictures as p
from bench.report import restoration as r
from bench.report import style
from bench.report.names import ordered, printed
from bench.report.rows import RunLike

MOST_LEVELS = 3
COLOURS = 128
"""Of the palette that all frames share: noise does not compress, and fewer colours are smaller."""
SIDE = 128
"""Least pixels of one picture, by whole enlargement."""
GAP, HEAD = 6, 16
FRAME_MS, LAST_MS = 120, 1600


@dataclass(frozen=True)
class Strip:
    """One restoration: what is above it, its frames and its goal."""

    head: str
    frames: np.ndarray
    """[F,C,H,W], from the noisy image to the restored one."""
    clean: np.ndarray


def draw_movie(run: RunLike, folder: Path) -> list[Path] | str:
    """Write the first test image on its way back, a row per noise level, a column per network."""
    best = r.restored(run, "best")
    blocks = r.blocks(best)
    if not blocks:
        return "no restorations in this run"
    found = r.best_of(best, blocks[0])
    levels = sorted({t for t, _, _ in found})
    rows = []
    for t in [levels[i] for i in p.evenly(len(levels), MOST_LEVELS)]:
        strips = _strips(run, found, t)
        if strips:
            rows.append(strips)
    if not rows:
        return "the frames of the restorations are missing"
    frames = _frames(rows)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "reverse_process_movie.png"
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    # The picture for whoever shows no motion is the last one, which is no frame of the film.
    still, *film = [frames[-1], *frames]
    still.save(
        path,
        save_all=True,
        append_images=film,
        duration=durations,
        loop=0,
        default_image=True,
        dpi=(style.RC["savefig.dpi"],) * 2,
        optimize=True,
    )
    return [path]


def _strips(run: RunLike, found: dict[tuple[int, str, str], r.Best], t: int) -> list[Strip]:
    strips = []
    for backbone in ordered(b for level, b, _ in found if level == t):
        row = next(one.row for (u, b, _), one in found.items() if (u, b) == (t, backbone))
        images = p.arrays(run, row["key"], "examples.safetensors")
        if "movie" in images and "clean" in images:
            head = f"{printed(backbone)}, t = {t}"
            strips.append(Strip(head, images["movie"], images["clean"][0]))
    return strips


def _frames(rows: list[list[Strip]]) -> list[Image.Image]:
    """Return the frames, all of one palette and one size."""
    count = max(len(strip.frames) for strips in rows for strip in strips)
    pictures = [_frame(rows, i / max(count - 1, 1)) for i in range(count)]
    width, height = pictures[0].size
    together = Image.new("RGB", (width, height * count))
    for i, picture in enumerate(pictures):
        together.paste(picture, (0, height * i))
    few = together.quantize(COLOURS, dither=Image.Dither.NONE)
    return [few.crop((0, height * i, width, height * (i + 1))) for i in range(count)]


def _frame(rows: list[list[Strip]], share: float) -> Image.Image:
    """Return one frame: every restoration after that share of its steps, and the clean images."""
    size = rows[0][0].clean.shape[-1]
    times = max(1, SIDE // size)
    side = size * times
    wide = max(len(strips) for strips in rows) + 1
    shape = (wide * (side + GAP) - GAP, len(rows) * (side + HEAD + GAP) - GAP)
    canvas = Image.new("RGB", shape, "white")
    draw = ImageDraw.Draw(canvas)
    for i, strips in enumerate(rows):
        top = i * (side + HEAD + GAP)
        shown = [(s.head, s.frames[round(share * (len(s.frames) - 1))]) for s in strips]
        shown.append(("clean", strips[0].clean))
        for j, (head, image) in enumerate(shown):
            left = j * (side + GAP)
            draw.text((left + 1, top + 1), head, fill="#222222", font=ImageFont.load_default(11))
            picture = Image.fromarray(p.as_picture(image))
            picture = picture.resize((side, side), Image.Resampling.NEAREST)
            canvas.paste(picture, (left, top + HEAD))
    return canvas
