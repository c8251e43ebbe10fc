"""What somebody else has in a place, or a run had there before, is not lost without a word."""

import json

import pytest

from bench.cli import run_command_line

QUICK = ("run", "table5", "--only", "cost unet", "--workers", "1")


@pytest.fixture
def run(tmp_path):
    """Return the folder of a small run."""
    assert run_command_line([*QUICK, "--out", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["run.json", "report.md", "report.html"])
def test_a_folder_of_somebody_else_is_no_place_for_a_run(tmp_path, name, capsys):
    theirs = tmp_path / "theirs" / name
    theirs.parent.mkdir()
    theirs.write_text("thesis")
    assert run_command_line([*QUICK, "--out", str(theirs.parent)]) == 2
    assert f"holds {name} and no run" in capsys.readouterr().err
    assert theirs.read_text() == "thesis"
    assert [path.name for path in theirs.parent.iterdir()] == [name]


def test_a_run_goes_on_in_its_own_folder(run, capsys):
    assert run_command_line([*QUICK, "--out", str(run)]) == 0
    (run / "run.json").unlink()
    assert run_command_line([*QUICK, "--out", str(run)]) == 0


def test_a_report_of_no_records_does_not_replace_one(run, capsys):
    before = (run / "report.md").read_bytes()
    for path in (run / "cells").iterdir():
        path.unlink()
    assert run_command_line(["report", str(run)]) == 2
    assert "records are missing; the report that is there stays" in capsys.readouterr().err
    assert (run / "report.md").read_bytes() == before


def test_a_report_of_some_records_says_so(run, capsys):
    manifest = json.loads((run / "run.json").read_text())
    manifest["cells"].append("0" * 64)
    (run / "run.json").write_text(json.dumps(manifest))
    assert run_command_line(["report", str(run)]) == 0
    kept = len(manifest["cells"])
    assert f"note: 1 of {kept} records are missing" in capsys.readouterr().err


def test_publishing_under_a_name_that_is_taken_says_so(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["publish", str(run), "mine"]) == 0
    assert "replaced" not in capsys.readouterr().err
    assert run_command_line(["publish", str(run), "mine"]) == 0
    assert "note: replaced what was published as mine before" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [("--prediction", "v"), ("--schedule", "linear"), ("--levels", "50"), ("--checkpoint", "x")],
)
def test_pictures_are_not_scored_with_a_networks_options(tmp_path, option, capsys):
    assert run_command_line(["score", str(tmp_path), "--against", "digits", *option]) == 2
    assert f"score: {option[0]} is for a --denoiser" in capsys.readouterr().err
