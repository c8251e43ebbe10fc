"""Where pictures and words of figures stand: on sheets, and at the ends of lines."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bench.report import style
from bench.report.labels import Named, line_ends
from bench.report.rows import Snapshot, ok, once
from bench.report.sheet import Sheet


@pytest.fixture(autouse=True)
def dots(monkeypatch):
    """As many dots as figures have; other tests make do with fewer."""
    monkeypatch.setitem(style.RC, "savefig.dpi", 200)


@style.styled
def drawn(sheet: Sheet, folder, trim: bool = True) -> np.ndarray:
    png, _ = style.save(sheet.figure(), folder, "sheet", trim=trim)
    return np.asarray(Image.open(png).convert("RGB"))


def checkers(size: int) -> np.ndarray:
    board = (np.add.outer(np.arange(size), np.arange(size)) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


def test_pictures_are_drawn_pixel_by_pixel_at_their_places(tmp_path):
    sheet = Sheet()
    assert sheet.picture(checkers(4), 0.0, 0.0, 0.4) == pytest.approx(0.4)
    sheet.picture(255 - checkers(4), 0.6, 0.2, 0.4)
    found = drawn(sheet, tmp_path, False)  # 200 dots an inch: 20 for each pixel
    assert found.shape == (120, 200, 3)
    centres = np.arange(10, 80, 20)
    assert (found[np.ix_(centres, centres)] == checkers(4)).all()
    assert (found[np.ix_(40 + centres, 120 + centres)] == 255 - checkers(4)).all()
    assert (found[:, 85:115] == 255).all()  # between them


def test_words_reach_beyond_the_pictures_and_are_kept(tmp_path):
    plain, named = Sheet(), Sheet()
    for sheet in (plain, named):
        sheet.picture(np.zeros((4, 4, 3), np.uint8), 0.0, 0.0, 0.8)
    named.beside("a long name of a row", 0.0, 0.4)
    named.above("head", 0.4, 0.0, bold=True)
    named.below("0.98 / 0.002", 0.4, 0.8)
    before, after = drawn(plain, tmp_path), drawn(named, tmp_path)
    assert after.shape[1] > before.shape[1] + 150 and after.shape[0] > before.shape[0] + 30
    dark = (after < 128).all(axis=2)
    assert dark[:, 0].sum() == dark[0].sum() == 0  # a margin is left
    assert dark[:, :150].any()


def test_a_vector_picture_keeps_the_pixels_themselves(tmp_path):
    sheet = Sheet()
    sheet.picture(checkers(4), 0.0, 0.0, 0.8)
    drawn(sheet, tmp_path)
    text = (tmp_path / "sheet.svg").read_text()
    assert len(re.findall("<image", text)) == 1 and "pixelated" in text
    assert len(text) < 5000  # not the 160 x 160 dots that they are drawn with


@style.styled
def chart(folder) -> Path:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([0, 1], [0, 1], color="#004488", linewidth=8)
    return style.save(figure, folder, "chart")[0]


def test_a_chart_has_a_palette_and_white_paper(tmp_path):
    png = chart(tmp_path)
    with Image.open(png) as image:
        assert image.mode == "P" and image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        shades = image.convert("RGB").getcolors(1 << 16)
    assert max(shades)[1] == (255, 255, 255)
    assert any(np.abs(np.subtract(shade, (0, 0x44, 0x88))).max() <= 2 for _, shade in shades)


def labels(ends: list[Named], lines=()) -> dict[str, tuple[float, float]]:
    """Return text -> where it begins, as shares of the panel."""
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    for x, y in [*lines, *([(0.0, one.x), (1.0, one.y)] for one in ends)]:
        axes.plot(x, y)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    line_ends(axes, ends, size=7)
    return {text.get_text(): text.get_position() for text in axes.texts}


def test_a_line_that_ends_early_has_its_name_there():
    found = labels([Named("early", 0.3, 0.5, "k"), Named("late", 0.95, 0.5, "k")])
    assert 0.3 < found["early"][0] < 0.4 and found["late"][0] > 0.95


def test_names_of_lines_that_end_together_stand_below_each_other():
    ends = [Named(f"line {i}", 0.9, 0.5, "k") for i in range(4)]
    heights = sorted(y for _, y in labels(ends).values())
    assert np.diff(heights).min() > 0.03


def test_a_name_in_the_panel_steps_aside_for_a_line():
    ends = [Named("early", 0.3, 0.5, "k"), Named("late", 0.95, 0.1, "k")]
    free, crossed = labels(ends), labels(ends, [([0.32, 0.9], [0.5, 0.5])])
    assert abs(crossed["early"][1] - 0.5) > 0.02 > abs(free["early"][1] - 0.5)


def test_rows_are_read_once_and_every_reader_has_its_own():
    rows = pd.DataFrame([{"key": "k", "task": "a", "status": "ok", "value": 1.0}])
    run, asked = Snapshot({}, rows, lambda key, name: None), []
    read = once(lambda run: asked.append(1) or len(ok(run, "a")))
    assert [read(run), read(run)] == [1, 1] and len(asked) == 1
    first = ok(run, "a", ("value",))
    first["value"] = 2.0
    assert ok(run, "a", ("value",))["value"].tolist() == [1.0]
    assert read(Snapshot({}, rows[:0], run.file)) == 0
