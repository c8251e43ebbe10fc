import json
import subprocess
import sys

import pytest

import bench
from bench.cli import run_command_line
from bench.forecast.pace import Pace, Seconds

FAST = ["--set", "timing.repeats=3", "--workers", "1"]


def lines(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_help_is_fast_and_light():
    script = (
        "import sys; from bench.cli import run_command_line; code = run_command_line(['--help']); "
        "heavy = {'torch', 'pandas', 'pydantic', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("run", "list", "plan", "report", "check", "compare", "fetch", "doctor"):
        assert f" {command} " in done.stdout


def test_a_run_writes_everything_and_the_second_measures_nothing(toys, tmp_path, capsys):
    out = tmp_path / "out with space"
    assert run_command_line(["run", "toys", "--out", str(out), *FAST]) == 0
    assert "5 cells measured of 5: 5 ok" in lines(capsys)[0]
    for name in ("run.json", "report.html", "cells", "tables"):
        assert (out / name).exists(), name
    kept = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and "logs" not in p.parts}
    assert run_command_line(["run", "toys", "--out", str(out), *FAST]) == 0
    assert "0 cells measured of 5" in lines(capsys)[0]
    again = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and "logs" not in p.parts}
    assert again == kept
    frame = bench.load(out)
    assert sorted(frame["value"]) == [1, 3, 8, 8, 9]
    assert set(frame["status"]) == {"ok"}


def test_without_out_a_run_goes_to_results_and_reports(toys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["run", "toys", *FAST]) == 0
    names = [p.name for p in (tmp_path / "results").iterdir()]
    assert "store" in names and len(names) == 2
    (name,) = [n for n in names if n != "store"]
    assert name.startswith("toys-digits-smoke")
    assert (tmp_path / "reports" / name / "report.html").exists()
    assert len(bench.load(tmp_path / "results" / name)) == 5


def test_failed_cells_exit_1_and_keep_the_rest(toys, tmp_path, capsys):
    out = tmp_path / "out"
    assert run_command_line(["run", "broken-toys", "--out", str(out), *FAST]) == 1
    frame = bench.load(out)
    assert set(frame["status"]) == {"ok", "failed", "skipped", "invalid", "crashed", "oom"}
    assert (out / "report.html").exists()
    capsys.readouterr()
    assert run_command_line(["check", str(out)]) == 4
    assert "INVALID: 'toy' is failed: the folder is empty" in lines(capsys)[0]


def test_check_finds_a_changed_digit_and_a_changed_file(toys, tmp_path, capsys):
    out = tmp_path / "out"
    run_command_line(["run", "toys", "--out", str(out), *FAST])
    assert run_command_line(["check", str(out)]) == 0
    file = next((out / "files").glob("*/number.txt"))
    file.write_text("7")
    assert run_command_line(["check", str(out)]) == 4
    assert "not what was measured" in lines(capsys)[0]
    record = next((out / "cells").glob("*.json"))
    record.write_text(record.read_text().replace('"value":', '"value":1'))
    assert run_command_line(["check", str(out)]) == 4
    assert "missing or damaged" in lines(capsys)[0]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["rnu"], 2, "did you mean 'run'|Did you mean 'run'"),
        (["run"], 2, "Missing argument"),
        (["run", "tabel1"], 2, "did you mean 'table1'"),
        (["run", "all", "--budget", "smoky"], 2, "smoke"),
        (["run", "all", "--workers", "-1"], 2, "greater|range|Invalid value"),
        (["run", "all", "--dataset", "mnits"], 2, "did you mean 'mnist'"),
        (["run", "all", "--set", "train.updates=-3"], 2, "greater than or equal to 1"),
        (["run", "samplers", "--set", "samplers.names=dddim"], 2, "did you mean 'ddim'"),
        (["run", "all", "--set", "updates=3"], 2, "no setting named 'updates'"),
        (["run", "all", "--set", "denoising.n_images=0"], 2, "greater than or equal to 2"),
        (["run", "all", "--device", "gpu"], 2, "expected auto, cpu or cuda"),
        (["run", "all", "--only", "nothing*"], 2, "matches no cell"),
        (["run", "all", "--only", "d*", "--only", "s*"], 2, "--only stands 2 times; expected one"),
        (["plan", "all", "--only", "d*", "--only", "s*"], 2, "--only stands 2 times; expected one"),
        (["run", "table1", "--set", "scale=0"], 2, "greater than or equal to 0.01"),
        (["list", "backbon"], 2, "did you mean 'backbone'"),
        (["fetch", "mnits"], 2, "did you mean 'mnist'"),
        (["report", "no/such/run"], 2, "no run in"),
        (["check", "no/such/run"], 2, "no run in"),
    ],
)
def test_a_wrong_word_is_one_clear_line(words, code, message, capsys):
    import re

    assert run_command_line(words) == code
    error = lines(capsys)[1]
    assert re.search(message, error), error
    assert len(error.strip().splitlines()) == 1 and "Traceback" not in error


def test_an_out_that_is_a_file_is_refused(toys, tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text("mine")
    assert run_command_line(["run", "toys", "--out", str(path), *FAST]) == 74
    assert "is a file, expected a folder" in lines(capsys)[1]
    assert path.read_text() == "mine"


@pytest.mark.slow
def test_a_missing_data_set_is_69_with_the_remedy(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    words = ["run", "table2", "--dataset", "mnist", "--out", str(tmp_path / "out"), *FAST]
    assert run_command_line(words) == 69
    assert "BENCH_DATA_DIR" in lines(capsys)[1]
    frame = bench.load(tmp_path / "out")
    assert set(frame[frame["task"] != "canary"]["status"]) == {"skipped"}
    assert (tmp_path / "out" / "report.html").exists()


def test_a_dry_run_lists_cells_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Pace, "_denoiser", lambda *_: Seconds(0.1))
    assert run_command_line(["run", "all", "--dry-run", "--json"]) == 0
    cells = json.loads(lines(capsys)[0])
    assert {"train", "sample", "frechet", "cost"} <= {c["label"].split()[0] for c in cells}
    assert run_command_line(["plan", "table5"]) == 0
    assert "to do" in lines(capsys)[0]
    assert list(tmp_path.iterdir()) == []


def test_a_plan_counts_what_a_run_will_measure(toys, tmp_path, capsys):
    """What failed is tried again, and a lost file is made again; what broke a rule is not."""
    words = ["broken-toys", "--out", str(tmp_path)]
    run_command_line(["run", *words])
    capsys.readouterr()

    def listed(*options):
        assert run_command_line([*options, "--json"]) == 0
        told = json.loads(lines(capsys)[0])
        assert run_command_line([*options]) == 0
        to_do = sum(line["to_do"] for line in told)
        assert f"{len(told)} cells, {to_do} to do" in lines(capsys)[0]
        return [line["state"] for line in told if line["to_do"]], len(told)

    dry = ("run", *words, "--dry-run")
    again, count = listed(*dry)
    assert {"to do again: failed", "to do again: crashed", "to do again: skipped"} <= set(again)
    assert all(state.startswith("to do again: ") for state in again)
    assert not {"to do again: ok", "to do again: invalid"} & set(again)
    assert listed("plan", *words) == (again, count)
    assert len(listed(*dry, "--fresh")[0]) == count
    for path in tmp_path.glob("files/*/number.txt"):
        path.unlink()
    assert listed("plan", *words)[0].count("to do again: ok") == 1


def test_list_names_sources(capsys):
    assert run_command_line(["list", "backbone", "--json"]) == 0
    found = {line["name"]: line for line in json.loads(lines(capsys)[0])}
    assert "step-dependence" in found["cunet-released"]["lacks"]
    assert found["unet"]["source"]


@pytest.mark.slow
def test_compare_shows_common_numbers(toys, tmp_path, capsys):
    for name in ("a", "b"):
        run_command_line(["run", "toys", "--out", str(tmp_path / name), *FAST])
    capsys.readouterr()
    assert run_command_line(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "2 numbers: same 2" in lines(capsys)[0]


def test_a_manifest_that_is_none_is_refused(tmp_path, capsys):
    (tmp_path / "run.json").write_text("{}")
    assert run_command_line(["report", str(tmp_path)]) == 2
    assert "not a run manifest" in lines(capsys)[1]


def test_a_strangers_models_folder_does_not_shadow_ours(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise RuntimeError('a stranger')")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "list", "solver"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rk4" in done.stdout


@pytest.mark.slow
def test_a_fresh_run_writes_its_report_again(toys, tmp_path):
    out = tmp_path / "out"
    run_command_line(["run", "toys", "--out", str(out), *FAST])
    stamp, page = (out / ".report-of").read_text(), (out / "report.html").stat().st_mtime_ns
    run_command_line(["run", "toys", "--out", str(out), *FAST])
    assert (out / "report.html").stat().st_mtime_ns == page
    run_command_line(["run", "toys", "--out", str(out), "--fresh", *FAST])
    assert (out / ".report-of").read_text() != stamp
    assert (out / "report.html").stat().st_mtime_ns != page


@pytest.mark.slow
def test_a_lost_record_is_a_row_and_stays_where_it_is(toys, tmp_path):
    out = tmp_path / "out"
    run_command_line(["run", "toys", "--out", str(out), *FAST])
    first, second = sorted((out / "cells").glob("*.json"))[:2]
    first.unlink()
    second.write_text(second.read_text().replace('"value":', '"value":1'))
    assert list(bench.load(out)["status"]).count("missing") == 2
    assert run_command_line(["report", str(out)]) == 0
    assert second.exists(), "reading a run changes nothing"
    assert run_command_line(["run", "toys", "--out", str(out), *FAST]) == 0
    assert set(bench.load(out)["status"]) == {"ok"}
