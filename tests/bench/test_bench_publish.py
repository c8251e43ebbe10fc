import bench
from bench.cli import run_command_line

FAST = ["--set", "timing.repeats=3", "--workers", "1"]


def test_a_published_run_is_whole_without_its_files(toys, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["run", "toys", "--out", "out", *FAST]) == 0
    assert run_command_line(["publish", "out", "toys-once"]) == 0
    results = tmp_path / "results" / "reference" / "toys-once"
    reports = tmp_path / "reports" / "reference" / "toys-once"
    assert (results / "tables" / "table1.md").exists() and (reports / "report.html").exists()
    assert not (results / "files").exists()
    assert bench.load(results)["value"].tolist() == bench.load("out")["value"].tolist()
    assert run_command_line(["check", str(results)]) == 0
    record = next((results / "cells").glob("*.json"))
    record.write_text(record.read_text().replace('"value":', '"value":1'))
    assert run_command_line(["check", str(results)]) == 4
    capsys.readouterr()
    assert run_command_line(["publish", str(results), "again"]) == 2
    assert "records are missing" in capsys.readouterr().err
    assert run_command_line(["publish", "out", "../elsewhere"]) == 2


def test_what_is_committed_is_whole():
    from pathlib import Path

    home = Path(__file__).resolve().parent.parent.parent
    for run in sorted((home / "results" / "reference").glob("*")):
        assert run_command_line(["check", str(run)]) == 0, run
        assert (home / "reports" / "reference" / run.name / "report.html").exists()
