"""Bad input for solvers from the command line, and which networks are examined."""

import json

import pytest

from bench.api import Kind
from bench.budget import load_budget
from bench.cli import run_command_line
from bench.experiments.theory_solvers import cells, examined
from bench.plan import study_for

QUICK = (
    *("train.updates=1", "train.passes=0", "train.validations=0", "theory.solver_images=2"),
    *("theory.solver_steps=1", "theory.tolerances=0.01", "theory.neighbours=2", "micro_batch=2"),
)


def study(*changes):
    return study_for(load_budget("smoke", ["dataset=digits", *changes]))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("tolerance=0", "relative tolerance is 0, expected a positive number"),
        ("tolerance=-1", "relative tolerance is -1, expected a positive number"),
        ("tolerance=nan", "relative tolerance is nan, expected a positive number"),
        ("solver_steps=0", "the solver got 0 steps, expected 1 or more"),
        ("most_evaluations=0", "may evaluate 0 times, expected 1 or more"),
    ],
)
def test_settings_that_cannot_be_are_one_line(option, words, tmp_path, capsys):
    network = f"backbones=cunet+solver=dopri5+{option}"
    command = ["run", "theory", "--out", str(tmp_path), "--set", network, "--dry-run"]
    assert run_command_line(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_only_networks_that_may_solve_an_ode_are_examined():
    assert examined(study("backbones=unet,cunet,unet-8.8m,discrete-tied")) == [
        "cunet", "discrete-tied",
    ]  # fmt: skip
    # Their cells say why not.
    assert examined(study("backbones=unet")) == ["unet"]


def test_what_needs_another_library_has_cells_of_its_own():
    found = list(cells(study()))
    assert [cell.task for cell in found] == ["solvers", "solvers", "solver_times", "solver_times"]
    named = [{one["name"] for one in cell.spec[Kind.SOLVER.value]} for cell in found]
    assert named[0] == named[2] and named[1] == named[3] == {"dopri5-each"}
    assert [cell.timing for cell in found] == [False, False, True, True]
    assert len({json.dumps(cell.uses[0].spec, default=dict) for cell in found}) == 1


def measured(tmp_path, capsys, backbone, *more):
    settings = [text for change in (f"backbones={backbone}", *QUICK) for text in ("--set", change)]
    command = ["run", "theory", "--out", str(tmp_path), "--workers", "1", *settings, *more]
    code = run_command_line(command)
    return code, capsys.readouterr()


@pytest.mark.slow
def test_a_network_without_a_field_is_skipped_and_the_others_go_on(tmp_path, capsys):
    import bench

    measured(tmp_path, capsys, "unet", "--only", "solvers*")
    rows = bench.load(tmp_path)
    skipped = rows[rows["task"] == "solvers"]
    assert set(skipped["status"]) == {"skipped"}
    assert skipped["reason"].str.contains("has no field to examine").all()
    assert set(rows[rows["task"] == "train"]["status"]) == {"ok"}
    assert "has no field to examine" in (tmp_path / "tables" / "theory.md").read_text()


@pytest.mark.slow
def test_a_tolerance_below_rounding_names_the_block_in_the_cells_reason(tmp_path, capsys):
    import bench

    network = "cunet+solver=dopri5+tolerance=1e-20"
    assert measured(tmp_path, capsys, network, "--only", "solvers*")[0] == 1
    rows = bench.load(tmp_path)
    (reason,) = rows[rows["task"] == "train"]["reason"]
    assert reason.startswith("ODE block 1 of 9 (8 channels): dopri5 cannot keep a tolerance")
    assert "underflow" not in reason
