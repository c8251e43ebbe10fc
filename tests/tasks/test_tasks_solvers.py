"""Solvers of a network whose ODE is solved in closed form, and what goes wrong."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from tasks_place import Place, content
from torch import nn

from bench import registry
from bench.api import Cell, Invalid, Kind, Skip, Solution
from bench.tasks.denoise import denoise
from bench.tasks.solved import Way, ways_of
from bench.tasks.solver_times import solver_times
from bench.tasks.solvers import solvers
from models.denoise import DiffusionDenoiser
from models.solve import Integrator

RATE = 1.5
FIXED = {"name": "euler", "steps": [1, 2, 4]}
SHARED, APART = ({"name": name, "tolerances": [1e-3]} for name in ("dopri5", "dopri5-each"))
SPEC = {
    "denoiser": {"name": "growing"}, "dataset": {"name": "pictures"}, "seed": 1,
    "schedule": {"name": "linear"}, "t": 150, "n": 7, "micro_batch": 4, "neighbours": 3,
}  # fmt: skip


class Growth(nn.Module):
    """dy/ds = RATE * y."""

    def forward(self, s, y):
        return RATE * y


class Rotation(nn.Module):
    """Every image rotates, the brighter the faster."""

    def forward(self, s, y):
        speed = 12 * torch.tanh(y.square().mean(dim=(1, 2, 3), keepdim=True))
        return speed * torch.stack([y[..., 1::2], -y[..., ::2]], dim=-1).flatten(-2)


class Blown(nn.Module):
    """Leaves float32 with its second step."""

    def forward(self, s, y):
        return 1e20 * y**3


class LatelyBad(Growth):
    """Has no value near the end."""

    def forward(self, s, y):
        return torch.where(torch.as_tensor(s) > 0.9, math.nan, RATE * y)


class HalfBad(Growth):
    """Has no value from the middle on."""

    def forward(self, s, y):
        return torch.where(torch.as_tensor(s) >= 0.5, math.nan, RATE * y)


class Growing(nn.Module):
    """A network that is nothing but the solution of an ODE from its input."""

    def __init__(self, field=Growth):
        super().__init__()
        self.field = field()
        self.integrator = Integrator("euler", steps=2)

    def fields(self):
        yield self.field, 1

    def trace(self, x, step):
        return self.integrator(self.field, x, place="ODE block 1 of 1 (1 channels)")

    def forward(self, x, step):
        solution = self.trace(x, step)
        assert isinstance(solution, Solution)
        return solution.y


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return what measures a cell on a network with a field."""

    counted = itertools.count()

    def measured(field=Growth, *ways, task=solvers, network=None, tag=None, **changes):
        spec = {**SPEC, "solver": list(ways), **changes}
        context = Place(tmp_path).context(Cell(task.__name__, spec), tag or str(next(counted)))
        plain, denoiser = context.build, DiffusionDenoiser(network or Growing(field))
        monkeypatch.setattr(denoiser, "fit", lambda *_: None)

        def build(kind, spec=None):
            if kind is Kind.DENOISER:
                return denoiser
            return plain(kind, spec)

        monkeypatch.setattr(context, "build", build)
        return task(context.cell, context)

    return measured


def part(outcome, name):
    rows = [row for row in outcome.rows if row["part"] == name and not row["fault"]]
    return {(row["solver"], row["solver_steps"] or row["tolerance"]): row for row in rows}


def test_distances_evaluations_and_errors_are_those_of_the_closed_form(run):
    outcome = run(Growth, FIXED, {"name": "rk4", "steps": [1]}, SHARED)
    rows = part(outcome, "solver")
    for n in FIXED["steps"]:
        wrong = 1 - (1 + RATE / n) ** n / math.exp(RATE)
        row = rows["euler", n]
        assert row["distance_per_image"] == pytest.approx([wrong] * 4, rel=1e-4)
        assert (row["nfe"], row["nfe_per_block"]) == (n, [n])
        assert row["is_trained"] == (n == 2)
    taylor = sum(RATE**k / math.factorial(k) for k in range(5))
    assert rows["rk4", 1]["distance"] == pytest.approx(1 - taylor / math.exp(RATE), rel=1e-3)
    assert rows["rk4", 1]["nfe"] == 4
    assert rows["dopri5", 1e-3]["distance"] < 1e-3
    assert {row["trained_solver"] for row in outcome.rows} == {"euler"}
    assert len(rows["euler", 1]["mse_per_image"]) == 7
    assert rows["euler", 2]["widths"] == [1]


def test_neighbours_matter_where_a_batch_shares_its_steps_and_nowhere_else(run):
    rows = part(run(Rotation, FIXED, SHARED), "neighbours")
    assert min(rows["dopri5", 1e-3]["coupling_per_image"]) > 1e-5
    assert rows["euler", 4]["coupling_most"] < 1e-6
    together = rows["dopri5", 1e-3]["nfe_together"]
    assert min(rows["dopri5", 1e-3]["nfe_alone_per_image"]) <= together
    assert rows["euler", 4]["nfe_alone_per_image"] == [4] * 3


def test_steps_of_its_own_take_the_neighbours_out(run):
    pytest.importorskip("torchode", reason="the extra [solvers]")
    shared = part(run(Rotation, SHARED), "neighbours")["dopri5", 1e-3]
    apart = part(run(Rotation, APART), "neighbours")["dopri5-each", 1e-3]
    assert apart["coupling_most"] < 1e-5 < min(shared["coupling_per_image"])


def test_a_missing_library_leaves_the_cell_out(run, monkeypatch):
    from bench.api import Missing

    monkeypatch.setattr(registry, "missing_needs", lambda entry: list(entry.needs))
    with pytest.raises(Missing, match="'dopri5-each' is unavailable: needs torchode"):
        run(Growth, APART)


def test_a_network_without_fields_is_left_out_by_name(run):
    with pytest.raises(Skip, match="'growing' has no field to examine"):
        run(Growth, FIXED, network=nn.Conv2d(1, 1, 1))


def test_fields_without_a_solver_to_exchange_are_said(run):
    network = Growing()
    network.integrator = None
    with pytest.raises(Skip, match="has no solver to exchange"):
        run(Growth, FIXED, network=network)


def test_one_way_that_diverges_is_a_row_with_its_place_and_the_others_go_on(run):
    outcome = run(
        LatelyBad, {"name": "euler", "steps": [1, 16]}, {"name": "midpoint", "steps": [1]}
    )
    (fault,) = [row["fault"] for row in outcome.rows if row["fault"]]
    assert fault.startswith("euler 16: growing returned NaN or infinity: ODE block 1 of 1")
    assert "at s = 0.9375 in evaluation 16" in fault
    rows = part(outcome, "solver")
    assert set(rows) == {("euler", 1), ("euler", 2), ("midpoint", 1)}
    # Nor has the ODE itself a solution.
    assert rows["euler", 1]["distance"] is None and rows["euler", 1]["psnr"] > 0
    assert "NaN or infinity at s = 0.9" in rows["euler", 1]["unsolved"]


def test_the_networks_own_solver_diverging_is_the_cells_fault(run):
    with pytest.raises(Invalid, match=r"ODE block 1 of 1 .* at s = 0.5 in evaluation 2"):
        run(Blown, FIXED)


def test_other_tasks_say_where_a_solver_diverged_too(run):
    with pytest.raises(Invalid, match=r"NaN or infinity in .*: ODE block 1 of 1 .* evaluation 2"):
        run(HalfBad, task=denoise)


def test_a_cell_is_the_same_after_an_interruption(run):
    finer = {"name": "euler", "steps": [1, 16]}
    once, again = (run(LatelyBad, finer, tag="same") for _ in range(2))
    assert content(once) == content(again) == content(run(LatelyBad, finer))


def test_a_network_gets_its_solver_back(run):
    network = Growing()
    before = network.integrator
    run(Growth, FIXED, network=network)
    assert network.integrator is before


def test_times_have_a_row_for_each_way(run):
    pace = {"threads": 1, "repeats": 3, "warmup": 1, "most_s": 0.0, "n": 2}
    rows = run(Growth, FIXED, SHARED, task=solver_times, **pace).rows
    assert [(row["solver"], row["is_trained"]) for row in rows] == [
        ("euler", True), ("euler", False), ("euler", False), ("dopri5", False),
    ]  # fmt: skip
    assert all(0 < row["call_q1_s"] <= row["call_s"] <= row["call_q3_s"] for row in rows)


def test_ways_are_solvers_times_their_steps_or_tolerances():
    assert [way.key for way in ways_of([FIXED, SHARED])] == [
        "euler 1", "euler 2", "euler 4", "dopri5 0.001",
    ]  # fmt: skip
    adaptive = replace(Integrator("dopri5"), adjoint=True)
    assert not Way("euler", steps=3).of(adaptive).adjoint
