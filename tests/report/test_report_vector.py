"""Figures as SVG: valid, small, and of the same things as the PNG beside them."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path
from PIL import Image

from bench.report import style
from bench.report.outline import as_png, data
from bench.report.vector import HALO, POINT

Tag = tuple[str, dict[str, str | None]]


class Tags(HTMLParser):
    """The tags of an SVG, in small letters as in HTML; each must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tag] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags(text: str) -> list[Tag]:
    reader = Tags()
    reader.feed(text)
    assert not reader.open and text.isascii()
    return reader.found


@style.styled
def drawn(folder, draw) -> tuple[list[Tag], str]:
    """Return the tags of the SVG of a chart of 3 x 2 inches that fills it, and its text."""
    figure = Figure(figsize=(3, 2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 3), ylim=(0, 2))
    draw(axes)
    text = style.save(figure, folder, "chart")[1].read_text()
    return tags(text), text


def walked(d: str) -> np.ndarray:
    """Return the places that a path of straight lines goes through, by the rules of SVG."""
    places: list[np.ndarray] = []
    for letter, rest in re.findall(r"([Mlz])([^Mlz]*)", d):
        numbers = np.reshape([int(n) for n in re.findall(r"-?\d+", rest)], (-1, 2))
        for step in numbers:
            places.append(step if letter == "M" else places[-1] + step)
    return np.array(places)


def test_a_line_is_where_it_belongs(tmp_path):
    x, y = np.array([0.5, 1.0, 1.5, 2.5]), np.array([0.5, 1.5, 0.25, 1.75])
    found, _ = drawn(tmp_path, lambda axes: axes.plot(x, y, color="#004488", linewidth=2))
    (line,) = (p for name, p in found if name == "path" and p.get("stroke") == "#048")
    inch = 72 * POINT
    expected = np.stack([x * inch, (2 - y) * inch], axis=1)
    assert np.abs(walked(line.get("d")) - expected).max() <= 1
    assert line.get("stroke-width") == str(2 * POINT)
    assert found[0][1]["viewbox"] == f"0 0 {3 * inch} {2 * inch}"


def test_a_long_line_has_few_places_and_stays_within_a_tenth_of_a_point(tmp_path):
    x = np.linspace(0.1, 2.9, 5000)
    y = 1 + 0.8 * np.sin(4 * x)
    found, _ = drawn(tmp_path, lambda axes: axes.plot(x, y, color="#004488"))
    (line,) = (p for name, p in found if name == "path" and p.get("stroke") == "#048")
    places = walked(line.get("d")) / (72 * POINT)
    assert len(places) < 1000
    heights = np.interp(x, places[:, 0], 2 - places[:, 1])
    steep = np.hypot(1, 3.2 * np.cos(4 * x))
    assert np.abs((heights - y) / steep)[5:-5].max() < 0.2 / 72


def test_words_are_glyphs_drawn_once_and_escaped_names_are_harmless(tmp_path):
    def write(axes):
        for i in range(20):
            axes.text(0.1, i / 10, "seen <b>&")
        axes.text(1.5, 1, "rim", gid=HALO)

    found, text = drawn(tmp_path, write)
    assert len([g for name, g in found if name == "g" and "id" in g]) == 2
    glyphs = [p["d"] for name, p in found if name == "path" and "id" in p]
    assert len(glyphs) == len(set(glyphs))
    assert len(glyphs) == len(set("seen <b>&rim") - {" "})
    assert "<b>" not in text and len(text) < 12_000
    rims = [u for _, u in found if u.get("stroke") == "#fff"]
    assert len(rims) == 1


def test_every_reference_has_its_definition(tmp_path):
    def fill(axes):
        axes.bar([1, 2], [1, 1.5], color="#BB5566", hatch="....", edgecolor="white")
        axes.plot([0.5, 1, 2.5], [1, 1, 1], "s--", color="k")
        axes.fill_between([0, 1, 2], [0, 1, 0], [1, 2, 2], alpha=0.2)

    found, text = drawn(tmp_path, fill)
    names = [node["id"] for _, node in found if "id" in node]
    used = re.findall(r'(?:href="|url\()#(\w+)', text)
    assert len(names) == len(set(names)) and set(used) <= set(names) and used
    assert "fill-opacity" in text and "stroke-dasharray" in text and "<pattern" in text


def test_equal_figures_have_equal_bytes(tmp_path):
    texts = {drawn(tmp_path / str(i), lambda axes: axes.plot([1, 2], "o-"))[1] for i in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_keeps_its_pixels(tmp_path, mode):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    if mode != "RGBA":
        picture[..., 3] = 255
    if mode == "L":
        picture[..., :3] = picture[..., :1]
    path = tmp_path / "picture.png"
    path.write_bytes(as_png(picture))
    with Image.open(path) as image:
        assert image.mode == mode and (np.asarray(image.convert("RGBA")) == picture).all()


def test_curves_and_closed_paths_are_told_by_the_rules():
    vertices = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (-1, 2), (-2, 2), (-3, 0), (0, 0)], float)
    codes = np.array([1, 2, 3, 3, 4, 4, 4, 79], Path.code_type)
    assert data(10 * vertices, codes) == "M0 0l10 0q0 10-10 10c-10 10-20 10-30-10z"
    assert data(vertices[:1], codes[:1]) == ""
