"""A published run that is reported again: its weights, curves and images stayed behind."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from report_builder import FakeRun

from bench.report import drawing, write_report
from bench.report.drawing import PUBLISHED
from bench.report.fig_distance import draw_distance
from bench.report.fig_samples import draw_samples
from bench.report.fig_training import draw_training
from bench.report.page import facts_of
from bench.report.rows import snapshot

REPORTS = Path(__file__).parents[2] / "reports" / "reference"


@pytest.fixture
def report(run, tmp_path, monkeypatch):
    """Return a function that reports the smoke run, and the folder of its report."""
    chosen = (draw_distance, draw_samples, draw_training)
    some = tuple(figure for figure in drawing.FIGURES if figure.draw in chosen)
    monkeypatch.setattr(drawing, "FIGURES", some)
    folder, out = tmp_path / "files", tmp_path / "report"
    shutil.copytree(run.folder, folder)

    def write(**manifest) -> str:
        write_report(FakeRun({**run.manifest, **manifest}, run.rows, folder), out)
        return (out / "report.md").read_text()

    return write, folder, out


def test_its_figures_stay_in_the_report_and_say_so(report):
    write, folder, out = report
    assert PUBLISHED not in write()
    pictures = {path.name: path.read_bytes() for path in (out / "figures").iterdir()}
    assert {"samples.png", "training.svg"} <= pictures.keys()
    shutil.rmtree(folder)
    folder.mkdir()
    text = write(reference=True)
    assert {path.name: path.read_bytes() for path in (out / "figures").iterdir()} == pictures
    assert text.count(PUBLISHED) == 2, "the distance is drawn anew from the rows"
    assert "(figures/samples.png)" in text and "images are missing" not in text
    assert write(reference=True) == text


def test_a_run_of_ones_own_does_not_keep_what_it_cannot_draw(report):
    write, folder, out = report
    write()
    shutil.rmtree(folder)
    folder.mkdir()
    assert "images are missing" in write()
    assert not (out / "figures" / "samples.png").exists()


def test_every_figure_is_kept_under_the_name_that_it_is_written_with(run, tmp_path):
    kept = [figure for figure in drawing.FIGURES if figure.stem]
    files = {figure.stem: figure.draw(run, tmp_path) for figure in kept}
    found = {stem: paths for stem, paths in files.items() if not isinstance(paths, str)}
    assert files.keys() - found.keys() == {"sampler_images", "smoothing"}, "no rows in this run"
    for stem in files.keys() - found.keys():
        assert (REPORTS / "digits-smoke" / "figures" / f"{stem}.png").is_file()
    for stem, paths in found.items():
        assert {path.stem for path in paths} == {stem}


def test_the_work_of_earlier_calls_is_told_beside_the_time_of_the_last(run, tmp_path):
    records = [{"made": {"seconds": 1000.0}}, {"made": {"seconds": 234.4}}, {"made": {}}]
    told = snapshot(FakeRun({**run.manifest, "seconds": 12.3}, run.rows, run.folder))
    took = facts_of(replace(told, records=records))["provenance"]["Took"]
    assert took == "12 s (the last call); its cells together 1,234 s of work"
    assert facts_of(told)["provenance"]["Took"] == "12 s (the last call)"
