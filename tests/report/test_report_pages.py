"""The whole report: complete, self-contained, equal bytes, without torch."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_builder import SIGMA

from bench.report import style, write_report
from bench.report.fig_cost import draw_latency
from bench.report.fig_distance import draw_distance
from bench.report.fig_images import draw_denoising, draw_ladder, draw_reverse
from bench.report.fig_restore import draw_noise
from bench.report.fig_samples import draw_samples
from bench.report.fig_training import draw_training
from bench.report.figure import Drawn
from bench.report.labels import spread
from bench.report.page import embedded
from bench.report.plots import FIGURES
from bench.report.written import LIST

ELSEWHERE = (
    *("Samplers", "Samplers: images", "Books", "Roofline", "Memory of training", "Theory"),
    *("Over-smoothing", "Robustness", "Convergence", "Gap autopsy"),
)
HERE = tuple(one for one in FIGURES if one.title not in ELSEWHERE)
"""What the synthetic run has the data for; samplers and the cost ledger have runs of their own."""
PICTURES = len(HERE) - 1 + len(SIGMA)
"""One of the figures is drawn once for each noise level."""
NAMES = ("cunet", "diffusion:cunet")
HOME = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report(run, tmp_path_factory) -> Path:
    """Return the folder of a written report."""
    out = tmp_path_factory.mktemp("report")
    write_report(run, out)
    return out


def test_files(report, run):
    assert {p.name for p in (report / "tables").iterdir()} == {
        f"{name}.{end}"
        for name in (*(f"table{i}" for i in range(1, 6)), "quality")
        for end in ("csv", "tidy.csv", "md", "tex")
    }
    figures = [p.name for p in (report / "figures").iterdir()]
    assert len(figures) == 2 * PICTURES - 1, "a film has no SVG"
    assert {p.suffix for p in (report / "figures").iterdir()} == {".png", ".svg"}


def same_elsewhere(run, first: Path, second: Path) -> list[str]:
    """Write a report to three folders; return the files that differ from those below `first`."""
    places = {"tables_dir": "a", "figures_dir": "b", "page_dir": "c"}
    files = write_report(run, second / "no", **{k: second / v for k, v in places.items()})
    assert not (second / "no").exists()
    there = (path for path in first.rglob("*.*") if path.name != LIST)
    old = {path.name: path.read_text("latin-1") for path in there}
    new = {path.name: path.read_text("latin-1") for path in files}
    new["report.md"] = new["report.md"].replace("](../b/", "](figures/")
    assert sorted(new) == sorted(old)
    return [name for name in new if new[name] != old[name]]


@pytest.mark.slow
def test_whole_rebuild_gives_equal_bytes(report, run, tmp_path):
    assert same_elsewhere(run, report, tmp_path) == []


@pytest.mark.slow
def test_rebuild_in_other_folders_gives_equal_bytes(run, tmp_path, monkeypatch):
    """Bars with hatches, lines with bands, and pictures stand for all figures."""
    some = tuple(f for f in FIGURES if f.draw in (draw_latency, draw_distance, draw_ladder))
    assert len(some) == 3
    monkeypatch.setattr("bench.report.drawing.FIGURES", some)
    write_report(run, tmp_path / "one")
    assert same_elsewhere(run, tmp_path / "one", tmp_path / "two") == []


def test_page_is_self_contained_and_small(report):
    page = report / "report.html"
    text = page.read_text()
    assert page.stat().st_size < 5 * 2**20
    assert not re.search(r"<(link|iframe|object|embed)\b|\burl\(|@import|fetch\(", text)
    assert re.findall(r"<script\b[^>]*>", text) == ["<script>"], "its own, with no address"
    sources = re.findall(r'src="([^"]{20})', text)
    assert len(sources) == PICTURES
    assert all(re.match(r"data:image/(png|svg\+xml);", source) for source in sources)
    assert "data:image/svg+xml;" in text
    assert text.count("<img") == len(re.findall(r'<img [^>]*alt="[^"]{20,}"', text))
    assert "prefers-color-scheme: dark" in text


def test_page_escapes_names(report):
    text = (report / "report.html").read_text()
    assert "no effect &lt;b&gt;" in text and "no effect <b>" not in text


def test_page_shows_what_a_reader_needs(report):
    text = (report / "report.html").read_text()
    text = text[text.index("<body>") :]
    first = text[: text.index('id="table1"')]
    for words in (
        "quarter of the parameters",
        "Imaginary CPU",
        "smoke",
        "not comparable",
        "repeats",
    ):
        assert words in first
    for words in ("python -m bench run all --budget smoke", "0123456789abcdef", "2030-01-01"):
        assert words in text


def test_links_within_the_page_exist(report):
    text = (report / "report.html").read_text()
    wanted = set(re.findall(r'href="#([^"]+)"', text))
    assert wanted
    assert wanted <= set(re.findall(r'id="([^"]+)"', text))


def test_markdown_pictures_exist(report):
    text = (report / "report.md").read_text()
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(pictures) == PICTURES
    assert all((report / picture).is_file() for picture in pictures)


def test_an_empty_run_still_gives_a_report(empty, tmp_path):
    files = write_report(empty, tmp_path)
    assert [path.name for path in files][-2:] == ["report.html", "report.md"]
    text = (tmp_path / "report.html").read_text()
    assert text.count("in this run") >= len(FIGURES)
    assert "<img" not in text


def test_lost_files_are_told_and_not_fatal(run, tmp_path):
    bare = dataclasses.replace(run, folder=tmp_path / "nowhere")
    for draw in (draw_samples, draw_denoising, draw_ladder, draw_training, draw_reverse):
        assert isinstance(draw(bare, tmp_path), str), draw.__name__


def test_strange_plug_in_names_are_drawn(changed, tmp_path):
    """A dollar sign would open a formula, a bracket a tag."""

    def rename(rows: pd.DataFrame) -> pd.DataFrame:
        swap = {name: name.replace("cunet", "my$n_$t<&>") for name in NAMES}
        names = {column: rows[column].replace(swap) for column in ("backbone", "denoiser")}
        return rows.assign(**names)

    strange = changed(rename)
    for draw in (draw_latency, draw_distance, draw_samples, draw_noise):
        assert isinstance(draw(strange, tmp_path), list), draw.__name__


def test_all_figures_are_in_one_style_wide_and_not_blank(report):
    for path in (report / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.info["dpi"][0] == pytest.approx(style.RC["savefig.dpi"], abs=1)
            assert image.width >= 3 * style.RC["savefig.dpi"], path.name
            assert image.convert("RGB").getcolors(20) is None, f"{path.name} has few colours"


@pytest.mark.usefixtures("sharp")
def test_figures_are_sharp(run, tmp_path):
    png, _ = draw_latency(run, tmp_path)
    with Image.open(png) as image:
        assert image.width >= 600 and image.info["dpi"][0] == pytest.approx(200, abs=1)


def test_too_large_pictures_shrink(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    drawn = [Drawn(FIGURES[0], (tmp_path / "noise.png",))]
    whole = len(embedded(drawn)[0])
    monkeypatch.setattr("bench.report.page.LIMIT", whole // 5)
    assert len(embedded(drawn)[0]) < whole // 5
    assert embedded(drawn) == embedded(drawn)


def test_labels_keep_their_order_and_distance():
    placed = spread([0.5, 0.51, 0.1, 0.5], 0.1)
    assert sorted(range(4), key=placed.__getitem__) in ([2, 0, 3, 1], [2, 3, 0, 1])
    heights = sorted(placed)
    assert all(b - a >= 0.1 - 1e-6 for a, b in itertools.pairwise(heights))


def test_torch_is_never_imported():
    code = (
        "import sys, pkgutil, importlib, bench.report\n"
        "for module in pkgutil.iter_modules(bench.report.__path__, 'bench.report.'):\n"
        "    importlib.import_module(module.name)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HOME)


def test_the_command_report_never_imports_torch(tmp_path):
    """Of a run on disk, by the command itself: what it imported is listed by the interpreter."""
    manifest = {"cells": [], "store": ".", "name": "empty"}
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    words = ["-X", "importtime", "-m", "bench", "report", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "bench.report.page" in imported
    assert not {"torch", "torchvision", "accelerate"} & imported
