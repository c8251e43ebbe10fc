"""`bench compare RUN RUN`: planted changes in a copy are found, and nothing else is."""

import copy
import json
import re
import statistics

import pytest

from bench import canonical, merkle
from bench.cli import run_command_line
from bench.comparison.compare import compare
from bench.comparison.verdicts import EXCHANGED, Verdict
from bench.runs import load_run, write_manifest
from bench.store import Store

MACHINE = {"cpu": "toy", "cores": 2, "memory_gib": 8, "system": "Linux", "gpu": []}
MSE = [0.001 * (2 + i % 5) for i in range(20)]
TIMES = [0.0100 + 0.00001 * number for number in range(12)]
IMAGES = {"dataset": {"name": "digits", "image_size": 32}, "n": 20, "seed": 0}


def timing(samples=TIMES, **more):
    q1, median, q3 = statistics.quantiles(samples, n=4, method="inclusive")
    return {"backbone": "unet", "latency_q1_s": q1, "latency_s": median, "latency_q3_s": q3,
            "samples_s": list(samples), "noisy": False, **more}  # fmt: skip


def denoised(mse=MSE, **more):
    mean = sum(mse) / len(mse)
    return {"sigma": 0.1, "mse": mean, "mse_per_image": list(mse), "split": "test", **more}


def cells():
    curve = [{"part": "curve", "calls": i, "psnr": 20.0 + i} for i in range(5)]
    return [
        ("cost", {"backbone": {"name": "unet"}}, [{"parameters": 100, "gmacs_torch": 7.5}]),
        ("denoise", {"denoiser": {"name": "bm3d"}, **IMAGES}, [denoised()]),
        ("restore", {"denoiser": {"name": "diffusion:unet"}, **IMAGES}, curve),
        ("latency", {"batch": 1}, [timing()]),
    ]


def keep(folder, found, machine=MACHINE, **manifest):
    store = Store(folder)
    store.prepare()
    kept = []
    for task, spec, rows, *more in found:
        basis = {"task": task, "spec": spec, "uses": [], "rows": canonical.digest(rows)}
        kept.append(store.put({
            "key": canonical.digest(basis), "task": task, "spec": spec, "uses": [], "rows": rows,
            "label": f"{task} {' '.join(str(part) for part in spec)}", "status": "ok", "reason": "",
            "files": {}, "timing": task == "latency", "made": {"machine": machine},
            **(more[0] if more else {}),
        }))  # fmt: skip
    sums = {record["key"]: record["checksum"] for record in kept}
    write_manifest(folder, {
        "format": 1, "store": ".", "cells": [r["key"] for r in kept], "machine": machine,
        "budget": {"name": "smoke", "dataset": "digits", "seed": 0, "train": {"updates": 10}},
        "git": {"commit": "a" * 40, "changed": False}, "versions": {"torch": "2.0"},
        "merkle_root": merkle.root(sums), **manifest,
    })  # fmt: skip
    return load_run(folder)


@pytest.fixture
def first(tmp_path):
    return keep(tmp_path / "a", cells())


def changed(tmp_path, change, **more):
    found = copy.deepcopy(cells())
    change(found)
    return keep(tmp_path / "b", found, **more)


def unlike(found):
    return {(line.group, line.measure): line for line in found.lines if line.verdict != "same"}


def test_equal_runs_have_no_line(tmp_path, first):
    second = keep(tmp_path / "b", cells(), git={"commit": "b" * 40, "changed": True})
    found = compare(first, second)
    assert not unlike(found) and found.common == len(found.lines) == 2 + 1 + 5 + 1
    assert found.conditions == {"commit": ("a" * 12, "b" * 12 + " and changes")}
    assert found.exit_code == 0


def test_each_planted_change_is_found_and_nothing_else(tmp_path, first):
    def change(cells):
        cells[0][2][0]["parameters"] = 101
        cells[1][2][0] = denoised([one * 0.9 for one in MSE])
        cells[2][2][3]["psnr"] = 1.0
        cells[3][2][0] = timing([2 * time for time in TIMES])

    found = compare(first, changed(tmp_path, change))
    lines = unlike(found)
    assert {place: str(line.verdict) for place, line in lines.items()} == {
        ("cost", "parameters"): "worse",
        ("denoise", "mse"): "better",
        ("restore", "psnr"): "differs",
        ("latency", "latency_s"): "worse",
    }
    assert lines["denoise", "mse"].reason == "paired interval is off 0"
    assert lines["restore", "psnr"].is_point and lines["restore", "psnr"].about.endswith("calls=3")
    assert found.exit_code == 3
    back = compare(load_run(tmp_path / "b"), first)
    assert back.exit_code == 0
    for place, line in unlike(back).items():
        assert line.verdict is EXCHANGED.get(lines[place].verdict, lines[place].verdict)


def test_another_machine_is_told_and_its_times_are_not_judged(tmp_path, first):
    other = {**MACHINE, "cpu": "another"}
    second = changed(
        tmp_path, lambda cells: cells[3][2].__setitem__(0, timing([3e-3] * 12)), machine=other
    )
    found = compare(first, second)
    assert found.conditions["machine"] == (
        "toy, 2 cores, 8 GiB, Linux",
        "another, 2 cores, 8 GiB, Linux",
    )
    line = unlike(found)["latency", "latency_s"]
    assert (line.verdict, line.reason) == (Verdict.DIFFERS, "other machine")


def test_another_seed_is_not_paired_and_another_data_set_not_judged(tmp_path, first):
    gain = denoised([one * 0.99 for one in MSE])

    def seeded(cells):
        cells[1] = ("denoise", {**cells[1][1], "seed": 1}, [gain])

    lines = compare(first, changed(tmp_path, seeded)).lines
    (line,) = [line for line in lines if (line.group, line.measure) == ("denoise", "mse")]
    # Paired it would be better: every image's error is smaller.
    assert (line.verdict, line.reason) == (Verdict.SAME, "interval contains 0")

    def other(cells):
        spec = {**cells[1][1], "dataset": {"name": "mnist", "image_size": 32}}
        cells[1] = ("denoise", spec, [gain])

    budget = {"name": "smoke", "dataset": "mnist", "seed": 0, "train": {"updates": 20}}
    second = changed(tmp_path / "c", other, budget=budget)
    found = compare(first, second)
    assert unlike(found)["denoise", "mse"].reason == "other dataset"
    assert found.conditions["data set"] == ("digits", "mnist")
    assert found.conditions["settings"] == ("train.updates 10", "train.updates 20")


def test_what_one_run_lacks_says_why(tmp_path, first):
    def broken(cells):
        task, spec, _ = cells[1]
        cells[1] = (task, spec, [], {"status": "failed", "reason": "out of luck"})

    line = unlike(compare(first, changed(tmp_path, broken)))["denoise", "mse"]
    assert (line.verdict, line.reason) == (Verdict.ONLY_A, "failed: out of luck")


def test_an_earlier_version_that_said_less_is_compared_by_what_it_said(tmp_path, first):
    def older(cells):
        for row in cells[1][2] + cells[2][2]:
            row.pop("sigma", None), row.pop("split", None)

    second = changed(tmp_path, older)
    (tmp_path / "b" / "run.json").write_text(
        canonical.dumps({k: second.manifest[k] for k in ("cells", "store")})
    )
    found = compare(first, load_run(tmp_path / "b"))
    assert found.common == 9 and found.conditions["commit"][1] == "unknown"


# ------------------------------------------------------------------ the command


def run(capsys, *words):
    code = run_command_line(["compare", *map(str, words)])
    done = capsys.readouterr()
    return code, done.out, done.err


def test_the_table_is_readable_and_shows_what_changed(tmp_path, first, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    changed(tmp_path, lambda cells: cells[0][2][0].update(parameters=101, gmacs_torch=7.0))
    code, out, _ = run(capsys, tmp_path / "a", tmp_path / "b")
    assert code == 3
    table = out[: out.index("numbers:")]
    assert max(map(len, table.splitlines()[:-1])) <= 80
    assert "Cost (Table 5)" in out and "Denoising" not in out
    assert "regressed: backbone: parameters 100 -> 101" in out
    _, whole, _ = run(capsys, tmp_path / "a", tmp_path / "b", "--all")
    assert "Denoising (Table 4)" in whole and re.search(r"calls=4 +psnr, dB +24 +24", whole)


def test_json_has_every_number(tmp_path, first, capsys):
    changed(tmp_path, lambda cells: cells[0][2][0].update(parameters=99))
    code, out, _ = run(capsys, tmp_path / "a", tmp_path / "b", "--json")
    told = json.loads(out)
    assert (code, told["exit_code"]) == (0, 0)
    assert told["counts"]["better"] == 1 and sum(told["counts"].values()) == len(told["numbers"])


def test_the_same_run_twice_is_told_in_a_line(tmp_path, first, capsys):
    code, out, _ = run(capsys, tmp_path / "a", tmp_path / "a")
    assert code == 0 and out.splitlines() == [
        "A and B are one run, with 9 numbers: nothing differs. Compare it with another one."
    ]


def test_a_run_without_numbers_has_nothing_in_common(tmp_path, first, capsys):
    keep(tmp_path / "b", [])
    code, _, err = run(capsys, tmp_path / "a", tmp_path / "b")
    assert code == 5
    assert err == (
        "bench: the two runs have no number in common; compare runs of one experiment "
        "(B measured none)\n"
    )


def test_damaged_and_foreign_records_are_told(tmp_path, first, capsys):
    second = changed(tmp_path, lambda cells: None, versions={"torch": "[red]3[/red]\x1b"})
    path = Store(tmp_path / "b").path(second.records[0]["key"])
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":9'))
    code, out, _ = run(capsys, tmp_path / "a", tmp_path / "b")
    assert code == 0 and "1 of 4 records of B cannot be read" in out
    assert "[red]3" in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a"], "1 runs; expected two"),
        (["a", "nowhere"], "no run in"),
        (["a", "a", "--only", "x"], "--only belongs to --against"),
        (["--against", "HEAD", "--all"], "--all belongs to two runs"),
    ],
)
def test_wrong_words_are_one_line(tmp_path, first, capsys, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *words)
    assert code == 2 and told in err and len(err.splitlines()) == 1


def test_intervals_are_found_under_whatever_name_a_row_has_them(tmp_path):
    """Of restored sets `frechet_low`; of a kernel distance the blocks that were left out."""
    left = [1.0 + 0.01 * (-1) ** i for i in range(10)]

    def run(name, shift, seed):
        spec = {"denoiser": {"name": "diffusion:unet"}, **IMAGES, "seed": seed}
        sets = {"frechet": 2.0 + shift, "frechet_low": 1.9 + shift, "frechet_high": 2.1 + shift,
                "kid": 0.1, "kid_low": 0.09, "kid_high": 0.11, "part": "restored"}  # fmt: skip
        whole = {"frechet": 5.0, "low": 4.9, "high": 5.1, "kid": 1.0 + shift, "kid_se": 0.01,
                 "kid_leave_one_out": [one + shift for one in left]}  # fmt: skip
        return keep(tmp_path / name, [("perception", spec, [sets]), ("frechet", spec, [whole])])

    a, b = run("a", 0.0, 0), run("b", 7.0, 1)
    found = {(line.group, line.measure): line for line in compare(a, b).lines}
    for place in (("perception", "frechet"), ("frechet", "kid")):
        assert (found[place].verdict, found[place].reason) == (Verdict.WORSE, "interval is off 0")
    assert found["frechet", "frechet"].verdict is Verdict.SAME
