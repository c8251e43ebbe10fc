"""A run whose instruments are wrong shows no number; and what connects is asked first."""

import json

import pytest

import bench.report
from bench import assets, publish, weights
from bench.api import ENTRIES, BenchError, Cell, Kind, register
from bench.cli import run_command_line
from bench.pool import Worker

GOOD = {"canary": "psnr-of-0.1", "expected": 20.0, "measured": 20.0, "tolerance": 1e-6,
        "passed": True, "basis": "definition", "fault": ""}  # fmt: skip
BAD = {**GOOD, "canary": "ssim-of-equals", "expected": 1.0, "measured": 0.75, "passed": False}
FAST = ["--set", "timing.repeats=3", "--workers", "1"]


@pytest.fixture(autouse=True)
def _quick_report(monkeypatch):
    """Write a page and a table without drawing."""

    def write(run, page, *, tables_dir):
        for folder, name in ((page, "report.html"), (tables_dir, "table.csv")):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(str(run.manifest["merkle_root"]))

    monkeypatch.setattr(bench.report, "write_report", write)
    monkeypatch.setattr(publish, "write_report", write)  # imported here first, it would keep it


@pytest.fixture
def canaries(toys, monkeypatch):
    """Add an experiment whose canary gives the rows that the test puts in."""
    said = {"status": "ok", "reason": "", "rows": [GOOD], "files": {}}
    asked = []
    run = Worker.run

    def answer(self, request, *more, **limits):
        if request["cell"][-1]["task"] != "canary":
            return run(self, request, *more, **limits)
        asked.append(request["key"])
        return {**said, "rows": list(said["rows"]), "files": {}}

    @register(Kind.EXPERIMENT, "watched-toys", source="the harness's own tests")
    def watched(study):
        return [Cell("canary", {"canaries": {"name": "quality"}}), toys.number(1)]

    monkeypatch.setattr(Worker, "run", answer)
    yield said, asked
    ENTRIES.pop((Kind.EXPERIMENT, "watched-toys"), None)


def written(out):
    return {
        path: path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and ({"tables", "figures"} & set(path.parts) or "report" in path.name)
    }


def test_a_failed_canary_leaves_no_report_and_the_earlier_one_stays(canaries, tmp_path, capsys):
    said, asked = canaries
    out = tmp_path / "out"
    words = ["run", "watched-toys", "--out", str(out), *FAST]
    said["rows"] = [GOOD, BAD]
    assert run_command_line(words) == 4
    shown = capsys.readouterr()
    assert not (out / "report.html").exists() and not (out / "tables").exists()
    assert "the canary ssim-of-equals failed: expected 1, measured 0.75" in shown.err
    assert len(shown.err.strip().splitlines()) == 1 and "report:" not in shown.out
    assert run_command_line(["report", str(out)]) == 4
    assert run_command_line(["publish", str(out), "mine"]) == 4
    assert run_command_line(["check", str(out)]) == 4
    assert not (out / "report.html").exists()

    said["rows"] = [GOOD]
    assert run_command_line(words) == 0, "what failed is measured anew"
    assert len(asked) == 2
    assert run_command_line(words) == 0 and len(asked) == 2, "what passed is not"
    earlier = written(out)
    assert earlier
    said["rows"] = [BAD]
    assert run_command_line([*words, "--fresh"]) == 4
    assert written(out) == earlier


@pytest.mark.parametrize("status", ["failed", "crashed", "timeout", "oom", "invalid"])
def test_a_canary_that_could_not_be_measured_is_no_good_one(canaries, tmp_path, capsys, status):
    said, _ = canaries
    said.update(status=status, reason="it broke", rows=[])
    assert run_command_line(["run", "watched-toys", "--out", str(tmp_path / "out"), *FAST]) == 4
    assert f"is {status} (it broke)" in capsys.readouterr().err


def test_several_failures_are_one_line_and_a_fault_is_told(canaries, tmp_path, capsys):
    said, _ = canaries
    said["rows"] = [{**BAD, "measured": None, "fault": "ValueError: x\x1b[31m"}, BAD]
    assert run_command_line(["run", "watched-toys", "--out", str(tmp_path / "out"), *FAST]) == 4
    error = capsys.readouterr().err
    assert r"measured nothing (ValueError: x\x1b[31m)" in error and "(and 1 more)" in error


# ------------------------------------------------------------------ connections


@pytest.fixture
def fetched(monkeypatch):
    """Note what would be fetched, and fetch nothing."""
    asked = []
    monkeypatch.setattr(
        weights, "needed_weights", lambda names: [n for n in names if n == "alexnet"]
    )
    monkeypatch.setattr(assets, "fetch", lambda name: asked.append(name) or [])
    return asked


@pytest.fixture
def extracting(monkeypatch, toys):
    """Add an experiment that declares an extractor; its one cell is skipped."""

    @register(Kind.EXPERIMENT, "extracting-toys", source="the harness's own tests")
    def extracting(study):
        spec = {"number": 1, "act": "skip", "features": {"name": "alexnet"}}
        return [Cell("toy", spec)]

    yield
    ENTRIES.pop((Kind.EXPERIMENT, "extracting-toys"), None)


def test_missing_weights_are_fetched_before_the_first_cell(fetched, extracting, tmp_path, capsys):
    out = str(tmp_path / "out")
    run_command_line(["run", "extracting-toys", "--out", out, *FAST])
    assert fetched == ["alexnet"]
    assert "fetched the weights of alexnet" in capsys.readouterr().out
    run_command_line(["run", "extracting-toys", "--out", out, "--dry-run"])
    assert fetched == ["alexnet"], "a plan fetches nothing"


def test_offline_opens_no_connection(fetched, extracting, tmp_path, monkeypatch):
    words = ["run", "extracting-toys", "--out", str(tmp_path / "out"), *FAST]
    run_command_line([*words, "--offline"])
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    run_command_line(words)
    assert fetched == []
    monkeypatch.setenv("BENCH_OFFLINE", "0")
    run_command_line(words)
    assert fetched == ["alexnet"]


def test_what_cannot_be_fetched_stays_missing(fetched, extracting, tmp_path, monkeypatch):
    def fail(name):
        raise BenchError("no network")

    monkeypatch.setattr(assets, "fetch", fail)
    assert run_command_line(["run", "extracting-toys", "--out", str(tmp_path / "out"), *FAST]) == 5


def test_an_extractor_without_weights_is_69_with_the_remedy(toys, tmp_path, capsys, canaries):
    out = tmp_path / "out"

    @register(Kind.EXPERIMENT, "inception-toys", source="the harness's own tests")
    def inception(study):
        real = {"features": {"name": "absent"}, "dataset": study.dataset}
        return [Cell("features", {**real, "split": "test", "n": 4, "micro_batch": 4})]

    @register(Kind.FEATURES, "absent", source="nowhere", needs=["a-distribution-that-is-not-here"])
    def absent():
        raise AssertionError

    try:
        answer = {"status": "skipped", "reason": "fetch it", "rows": [], "files": {}}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Worker, "run", lambda *request, **limits: dict(answer))
            words = ["run", "inception-toys", "--out", str(out), "--json", "--offline", *FAST]
            assert run_command_line(words) == 69
        shown = capsys.readouterr()
        assert "bench: fetch it" in shown.err
        assert json.loads(shown.out)["counts"] == {"skipped": 1}
    finally:
        for entry in ((Kind.EXPERIMENT, "inception-toys"), (Kind.FEATURES, "absent")):
            ENTRIES.pop(entry, None)
