"""Trainings in arithmetic that the processor lacks are told before they begin."""

from types import SimpleNamespace

import pytest

from bench.api import Cell
from bench.cli import run_command_line
from bench.commands.emulation import emulation
from bench.metrics import trunk
from bench.shipped import CHECKPOINT

SMALL = ["--dataset", "digits", "--set", "train.precision=bfloat16", "--only", "train*"]
NOTE = "this processor has no bfloat16 arithmetic"


@pytest.fixture
def emulated(monkeypatch):
    monkeypatch.setattr(trunk, "has_bfloat16", lambda: False)


@pytest.mark.parametrize("words", [["plan", "table1"], ["run", "table1", "--dry-run"]])
def test_trainings_that_would_be_emulated_are_told(words, emulated, tmp_path, capsys):
    assert run_command_line([*words, *SMALL, "--out", str(tmp_path)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if NOTE in line)
    assert "in 2 trainings" in line and "--set train.precision=float32" in line


def test_nothing_is_told_once_it_is_float32(emulated, tmp_path, capsys):
    words = ["run", "table1", "--dry-run", *SMALL, "--set", "train.precision=float32"]
    assert run_command_line([*words, "--out", str(tmp_path)]) == 0
    assert NOTE not in capsys.readouterr().out


def test_nothing_is_told_where_the_processor_has_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(trunk, "has_bfloat16", lambda: True)
    words = ["run", "table1", "--dry-run", *SMALL]
    assert run_command_line([*words, "--out", str(tmp_path)]) == 0
    assert NOTE not in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_tells_it_and_trains_nevertheless(emulated, tmp_path, capsys):
    short = ["--set", "train.updates=1", "--set", "train.passes=0", "--set", "train.validations=1"]
    tiny = ["--set", "scale=0.05", "--set", "image_size=16", "--set", "backbones=cunet"]
    words = ["run", "table1", *SMALL, *short, *tiny, "--out", str(tmp_path), "--workers", "1"]
    assert run_command_line(words) == 0
    assert f"{NOTE}, and emulates it" in capsys.readouterr().out
    assert run_command_line(words) == 0, "the training is there"
    assert NOTE not in capsys.readouterr().out


@pytest.mark.parametrize(("taken", "told"), [(False, True), (True, False)])
def test_a_network_that_comes_trained_is_not_told(taken, told, emulated):
    spec = {"training": {"precision": "bfloat16"}} | (
        {CHECKPOINT: {"name": "a/b"}} if taken else {}
    )
    planned = SimpleNamespace(cell=Cell("train", spec), key="k")
    session = SimpleNamespace(device="cpu", place=None, plan=[planned], to_do=lambda fresh: {"k"})
    assert (NOTE in emulation(session)) == told


@pytest.mark.parametrize("task", ["train", "distil", "convergence"])
def test_all_that_runs_the_training_loop_is_told(task, emulated):
    planned = SimpleNamespace(cell=Cell(task, {"training": {"precision": "bfloat16"}}), key="k")
    session = SimpleNamespace(device="cpu", place=None, plan=[planned], to_do=lambda fresh: {"k"})
    assert "in 1 training;" in emulation(session)


def test_nothing_is_told_of_a_cluster_or_a_gpu(emulated):
    planned = SimpleNamespace(cell=Cell("train", {"training": {"precision": "bfloat16"}}), key="k")
    for device, place in (("cuda", None), ("cpu", object())):
        session = SimpleNamespace(
            device=device, place=place, plan=[planned], to_do=lambda fresh: {"k"}
        )
        assert emulation(session) == ""
