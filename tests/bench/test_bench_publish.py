import html
import shutil
from pathlib import Path

import pytest

import bench
from bench import canonical
from bench.api import BenchError, Kind
from bench.cli import run_command_line
from bench.registry import find
from bench.runs import Run, write_manifest
from bench.store import Store

HOME = Path(__file__).resolve().parent.parent.parent

FAST = ["--set", "timing.repeats=3", "--workers", "1"]


def test_a_published_run_is_whole_without_its_files(toys, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["run", "toys", "--out", "my run", *FAST]
    monkeypatch.setattr("sys.argv", ["bench", *words])
    assert run_command_line(words) == 0
    assert "--out 'my run'" in Path("my run/run.json").read_text()
    assert run_command_line(["publish", "my run", "toys-once"]) == 0
    results = tmp_path / "results" / "reference" / "toys-once"
    reports = tmp_path / "reports" / "reference" / "toys-once"
    assert (results / "tables" / "table1.md").exists() and (reports / "report.html").exists()
    assert not (results / "files").exists()
    for path in (results / "run.json", reports / "report.md", reports / "report.html"):
        text = html.unescape(path.read_text())
        assert "python -m bench run toys" in text and "--out 'my run'" not in text
    assert bench.load(results)["value"].tolist() == bench.load("my run")["value"].tolist()
    assert run_command_line(["check", str(results)]) == 0
    record = next((results / "cells").glob("*.json"))
    record.write_text(record.read_text().replace('"value":', '"value":1'))
    assert run_command_line(["check", str(results)]) == 4
    capsys.readouterr()
    assert run_command_line(["publish", str(results), "again"]) == 2
    assert "records are missing" in capsys.readouterr().err
    for name in ("../elsewhere", "", ".", "..", "a/b", ".hidden"):
        assert run_command_line(["publish", "my run", name]) == 2


def test_what_was_published_stays_until_the_new_is_whole(tmp_path, monkeypatch, capsys):
    for part in ("results", "reports"):
        shutil.copytree(
            HOME / part / "reference" / "celeba-bm3d", tmp_path / part / "reference/one"
        )
    monkeypatch.chdir(tmp_path)
    one, results = "results/reference/one", tmp_path / "results" / "reference" / "two"
    manifest = canonical.loads((tmp_path / one / "run.json").read_bytes())
    write_manifest(tmp_path / one, {**manifest, "report": "../../../reports/reference/one"})
    assert run_command_line(["publish", one, "two"]) == 0
    before = sorted(path.name for path in results.rglob("*"))
    assert run_command_line(["publish", str(results), "two"]) == 0, "onto itself"
    move = Path.replace

    def half(self, target):
        if self.name == ".two.new" and "reports" in Path(target).parts:
            raise OSError("no room")
        return move(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", half)
        assert run_command_line(["publish", one, "two"]) == 74
    assert (tmp_path / "reports/reference/two/report.html").is_file(), "the old one is back"
    (tmp_path / "reports" / "reference" / "one" / "report.html").unlink()
    assert run_command_line(["publish", one, "two"]) == 74
    assert f"cannot publish {one}" in capsys.readouterr().err
    assert sorted(path.name for path in results.rglob("*")) == before
    assert run_command_line(["check", str(results)]) == 0
    assert sorted(path.name for path in results.parent.iterdir()) == ["one", "two"]


@pytest.mark.slow
@pytest.mark.parametrize("licence", ["CC BY 4.0 (them)", "non-commercial research (them)"])
def test_pictures_go_along_where_their_licence_lets_them(licence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["run", "figures", "--only", "ladder*", "--workers", "1", "--out", "out"]
    assert run_command_line(words) == 0
    digits = find(Kind.DATASET, "digits").build
    monkeypatch.setattr(digits, "licence", licence)
    assert run_command_line(["publish", "out", "one"]) == 0
    report = tmp_path / "reports" / "reference" / "one"
    page, figures = (report / "report.md").read_text(), [p.name for p in report.rglob("*.png")]
    told = "it would show pictures of digits, which may not be passed on" in page
    assert told == ("research" in licence) != ("noise_ladder.png" in figures)
    assert ("noise_ladder" in page) != told
    assert (tmp_path / "out" / "figures" / "noise_ladder.png").exists(), "the run's own stays"
    assert sorted(path.name for path in report.iterdir()) == ["figures", "report.html", "report.md"]
    results = tmp_path / "results" / "reference" / "one"
    tables = [path.name for path in sorted((results / "tables").iterdir())]
    assert tables == [path.name for path in sorted((tmp_path / "out" / "tables").iterdir())]
    assert run_command_line(["check", str(results)]) == 0


def test_what_is_committed_is_whole():
    for run in sorted((HOME / "results" / "reference").glob("*")):
        assert run_command_line(["check", str(run)]) == 0, run
        assert (HOME / "reports" / "reference" / run.name / "report.html").exists()


@pytest.mark.parametrize("place", ["/", "..", "../../reports-of-mine", "../../../.."])
def test_a_report_lies_where_a_run_may_write(tmp_path, place):
    folder = tmp_path / "results" / "one"
    folder.mkdir(parents=True)
    run = Run(folder, {"report": place}, (), Store(folder))
    with pytest.raises(BenchError, match="no place of this run"):
        _ = run.report


@pytest.mark.parametrize("place", [".", "pages", "../../reports/one"])
def test_a_report_lies_in_its_run_or_beside_its_results(tmp_path, place):
    folder = tmp_path / "results" / "one"
    folder.mkdir(parents=True)
    assert Run(folder, {"report": place}, (), Store(folder)).report == (folder / place).resolve()
