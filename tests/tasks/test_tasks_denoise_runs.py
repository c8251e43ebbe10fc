"""Denoisers through the command line: strangers' faults, odd sizes, workers and batches."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.budget import load_budget
from bench.cli import run_command_line
from bench.plan import make_plan, study_for
from bench.runs import load_run

TINY = {
    "image_size": 16, "denoising.n_images": 4, "denoising.classic_levels": 50, "micro_batch": 3,
    "train.updates": 2, "train.passes": 0, "train.classic_updates": 2, "train.classic_batch": 2,
    "train.dncnn_updates": 2, "train.dncnn_batch": 2, "train.validations": 0,
    "denoising.stride": 25, "scale": 0.05, "denoising.classic_scale": 0.05,
}  # fmt: skip


def command(out: Path, *words: str, **settings) -> list[str]:
    """Return the words of a tiny run of Table 4."""
    values = TINY | {name.replace("__", "."): value for name, value in settings.items()}
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return ["run", "table4", "--out", str(out), *words, *sets]


@pytest.mark.slow
def test_a_strangers_faults_are_invalid_and_the_others_rows_stay(toys, tmp_path, capsys):
    names = "identity,toy-nan,toy-half,toy-echo,toy-signed,toy-bytes,toy-grey,wiener"
    only = ("--only", "denoise [tiw]*", "--workers", "1")
    assert run_command_line(command(tmp_path, *only, denoising__classics=names)) == 1
    said, rows = capsys.readouterr().out, load_run(tmp_path).rows.to_dict("records")
    found = {row["label"].split()[1]: row for row in rows if row["task"] == "denoise"}
    assert {name: row["status"] for name, row in found.items()} == {
        "identity": "ok", "wiener": "ok", "toy-grey": "ok",
        "toy-nan": "invalid", "toy-half": "invalid", "toy-echo": "invalid",
        "toy-signed": "invalid", "toy-bytes": "invalid",
    }  # fmt: skip
    assert "NaN or infinity in 1 image(s), first image 1" in found["toy-nan"]["reason"]
    assert "expected images in [0, 1] (are these in [-1, 1]" in found["toy-signed"]["reason"]
    assert "returned torch.uint8, expected floats in [0, 1]" in found["toy-bytes"]["reason"]
    assert "images [3, 1, 8, 16], expected [3, 1, 16, 16]" in found["toy-half"]["reason"]
    assert "toy-echo returned every noisy image as it was" in found["toy-echo"]["reason"]
    assert found["wiener"]["psnr"] > found["identity"]["psnr"]
    assert "5 invalid" in said
    table = (tmp_path / "tables" / "table4.md").read_text()
    assert "toy-grey" in table and "toy-half" in table, "the reasons stand beneath the table"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"denoising__classic_levels": 1001}, "denoising.classic_levels"),
        ({"image_size": 8}, "multiple of 16"),
        ({"denoising__trainings": "two"}, "denoising.trainings"),
        ({"denoising__trainings": "[]"}, "denoising.trainings"),
        ({"denoising__classics": "wiener+assumed_sigma=0"}, "expected a positive number"),
        ({"denoising__classics": "wiener+sigma=1"}, "option of denoiser 'wiener' named 'sigma'"),
        ({"denoising__classics": "dncnn+assumed_sigma=0.1"}, "named 'assumed_sigma'"),
    ],
)
def test_what_cannot_be_asked_for_is_said_at_once(capsys, setting, words):
    sets = [f"--set={name.replace('__', '.')}={value}" for name, value in setting.items()]
    assert run_command_line(["run", "table4", "--dry-run", *sets]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def planned(experiment: str, *sets: str) -> list:
    """Return the cells of an experiment that call a denoiser once, and those that train one."""
    plan = make_plan(study_for(load_budget("smoke", sets)), [experiment])
    return [one.cell for one in plan if one.cell.task in ("train", "denoise")]


def test_the_smoke_budget_trains_blind_and_the_study_in_every_way():
    blind, study = planned("table4"), planned("denoising")
    learnt = {
        name: sorted(
            tuple(c.spec["levels"]) for c in found if c.task == "train" and c.spec["levels"]
        )
        for name, found in (("table4", blind), ("denoising", study))
    }
    assert learnt["table4"] == 2 * [(50, 150, 400)]
    each = [(50,), (50, 150, 400), (100,), (150,), (400,)]
    assert learnt["denoising"] == sorted(2 * each)
    rows = [c for c in study if c.task == "denoise" and c.spec["denoiser"]["name"] == "dncnn"]
    assert {(c.spec["trained"]["name"], tuple(c.uses[0].spec["levels"])) for c in rows} == {
        ("one", (100,)), ("blind", (50, 150, 400)),
        *(("level", (t,)) for t in (50, 150, 400)),
    }  # fmt: skip
    assert all(
        c.uses[0].spec["levels"] == [c.spec["t"]]
        for c in rows
        if c.spec["trained"]["name"] == "level"
    )
    assert {c.spec["schedule"]["name"] for c in study if c.task == "denoise"} == {
        "sigmoid", "linear",
    }  # fmt: skip


def test_labels_tell_every_cell_of_the_study_from_the_others():
    labels = [cell.label for cell in planned("denoising", "denoising.clipped=true")]
    assert len(labels) == len(set(labels))
    assert sum("clipped" in label for label in labels) * 2 + 6 == sum(
        "denoise" in x for x in labels
    )


def test_all_methods_of_a_level_meet_the_same_images():
    cells = [c for c in planned("table4") if c.task == "denoise" and c.spec["t"] == 150]
    about = {
        (c.spec["n"], c.spec["seed"], str(c.spec["dataset"]), str(c.spec["schedule"]))
        for c in cells
    }
    assert len(cells) == 9 and len(about) == 1


@pytest.mark.slow
def test_no_printed_digit_depends_on_workers_or_batches(tmp_path):
    """All of Table 4, with every training, in two ways that share no cell but trainings."""
    names = "identity,wiener,bm3d-torch,conv-ae,dncnn"
    wanted = {"denoising__classics": names, "denoising__trainings": "one,level,blind"}
    tables = []
    for workers, size in (("1", 3), ("3", 4)):
        out = tmp_path / workers
        words = command(out, "--workers", workers, micro_batch=size, **wanted)
        subprocess.run([sys.executable, "-m", "bench", *words], check=True)
        tables.append((out / "tables" / "table4.md").read_text())
    one, other = tables
    assert "DnCNN (per level)" in one and "Diff cU-Net, one step" in one
    assert one == other
