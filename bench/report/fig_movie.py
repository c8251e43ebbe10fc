"""The reverse process in motion: an animated PNG, of which a page shows all and paper the last."""

from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench.report import pictures as p
from bench.report import restoration as r
from bench.report import style
from bench.report.films import MISSING, Film, films
from bench.report.names import printed
from bench.report.rows import RunLike

MOST_LEVELS = 3
COLOURS = 128
"""Of the palette that all frames share: noise does not compress, and fewer colours are smaller."""
SIDE = 128
"""Least pixels of one picture, by whole enlargement."""
GAP, HEAD = 6, 16
FRAME_MS, LAST_MS = 120, 1600


def draw_movie(run: RunLike, folder: Path) -> list[Path] | str:
    """Write the first test image on its way back, a row per noise level, a column per network."""
    blocks = r.blocks(r.restored(run, "best"))
    if not blocks:
        return "no restorations in this run"
    by_level = groupby(films(run, blocks[0], levels=MOST_LEVELS), key=lambda film: film.t)
    rows = [list(level) for _, level in by_level]
    if not rows:
        return MISSING
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


def _frames(rows: list[list[Film]]) -> list[Image.Image]:
    """Return the frames, all of one palette and one size."""
    count = max(len(strip.frames) for strips in rows for strip in strips)
    pictures = [_frame(rows, i / max(count - 1, 1)) for i in range(count)]
    width, height = pictures[0].size
    together = Image.new("RGB", (width, height * count))
    for i, picture in enumerate(pictures):
        together.paste(picture, (0, height * i))
    few = together.quantize(COLOURS, dither=Image.Dither.NONE)
    return [few.crop((0, height * i, width, height * (i + 1))) for i in range(count)]


def _frame(rows: list[list[Film]], share: float) -> Image.Image:
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
        shown = [(_head(s), s.frames[round(share * (len(s.frames) - 1))]) for s in strips]
        shown.append(("clean", strips[0].clean))
        for j, (head, image) in enumerate(shown):
            left = j * (side + GAP)
            draw.text((left + 1, top + 1), head, fill="#222222", font=ImageFont.load_default(11))
            picture = Image.fromarray(p.as_picture(image))
            picture = picture.resize((side, side), Image.Resampling.NEAREST)
            canvas.paste(picture, (left, top + HEAD))
    return canvas


def _head(film: Film) -> str:
    return f"{printed(film.backbone)}, t = {film.t}"
