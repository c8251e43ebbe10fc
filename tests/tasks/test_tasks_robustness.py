"""The tasks `robustness` and `lipschitz`, on networks whose answers are known in closed form."""

import dataclasses
import math

import pytest
import tasks_place
import torch
from tasks_place import LEVEL, SETS, TRAIN, content, dirty
from torch import nn

from bench.api import BenchError, Cell, Invalid, Kind, Solution
from bench.parts import Pace

FINDING = {"tolerance": 0.05, "iterations": 200}
SPEC = {**SETS, **LEVEL, **FINDING, "n": 5}
ROBUST = Cell("robustness", {**SPEC, "n_jacobian": 4})
BLOCKS = Cell("lipschitz", SPEC)


def changed(cell, **spec):
    return dataclasses.replace(cell, spec={**cell.spec, **spec})


class Twice(nn.Module):
    """Says twice its input: v = 2 x_t."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.layer.weight, 2.0)

    def forward(self, x_t, step):
        return self.layer(x_t)


class Saturated(Twice):
    """Bounded, whatever it is given."""

    def forward(self, x_t, step):
        return (self.layer(x_t) / 20).tanh()


class Cut(Twice):
    """Half of what it says is hidden from autograd."""

    def forward(self, x_t, step):
        with torch.no_grad():
            hidden = self.layer(x_t)
        return self.layer(x_t) + hidden


class Numpy(Twice):
    def forward(self, x_t, step):
        return torch.from_numpy(self.layer(x_t).detach().numpy())


class Infinite(Twice):
    def forward(self, x_t, step):
        return self.layer(x_t) / 0.0


class Field(nn.Module):
    """f = k y on a half of the state, 0 on the other."""

    def __init__(self, k):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(k))

    def forward(self, s, y, e):
        return torch.cat([self.k * y[:, :1], 0 * y[:, 1:]], dim=1)


class Solved(nn.Module):
    """One step of Euler's method: 1 + k on a half of the state, the identity on the other."""

    def __init__(self, k):
        super().__init__()
        self.dynamics = Field(k)

    def forward(self, y, e):
        return Solution(y + self.dynamics(0.0, y, e), 1)


class Continuous(nn.Module):
    KS = (0.5, 3.0)

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Solved(k) for k in self.KS)

    def fields(self):
        return ((block.dynamics, 2) for block in self.blocks)

    def forward(self, x_t, step):
        y = torch.cat([x_t, -x_t], dim=1)
        for block in self.blocks:
            y = block(y, step).y
        return y[:, :1]


@pytest.fixture
def measured(place, monkeypatch, request):
    """Return a function that measures a cell with a network of this class, without training."""

    def measure(network, cell):
        monkeypatch.setattr(tasks_place, "Tiny", network)
        return place.run(cell, f"{cell.task}-{network.__name__}-{request.node.name}").rows

    return measure


def share_of(context):
    return context.build(Kind.SCHEDULE).share(LEVEL["t"])


def test_a_linear_network_changes_as_much_as_its_input_in_every_direction(measured):
    rows = [row for row in measured(Twice, ROBUST) if row["part"] == "change"]
    assert len(rows) == 2 * 2 * 4
    for row in rows:
        # Both maps are multiples of the identity: relative sizes stay.
        assert row["change_per_image"] == pytest.approx([row["size"]] * row["n"], rel=2e-3)
        assert row["n"] == (5 if row["direction"] == "random" else 4)


def test_its_singular_values_are_those_of_the_closed_form(place, measured):
    rows = {row["of"]: row for row in measured(Twice, ROBUST) if row["part"] == "stretch"}
    share = share_of(place.context(ROBUST, "schedule"))
    assert rows["output"]["stretch"] == pytest.approx(2, rel=1e-5)
    assert rows["x0"]["stretch"] == pytest.approx(
        abs(math.sqrt(share) - 2 * math.sqrt(1 - share)), rel=1e-4
    )
    assert rows["output"]["gain_per_image"] == pytest.approx([1] * 4, rel=1e-5)
    assert rows["output"]["converged"] == 1


@pytest.mark.parametrize(("network", "growth"), [(Twice, 1000.0), (Saturated, None)])
def test_growth_tells_a_bounded_network_from_one_that_is_not(measured, network, growth):
    rows = {r["factor"]: r["growth"] for r in measured(network, ROBUST) if r["part"] == "grown"}
    if growth is None:
        assert rows[1000.0] < 1.2 * rows[100.0]
    else:
        assert rows[1000.0] == pytest.approx(growth, rel=1e-4)


def test_blocks_of_ode_networks_have_the_stretch_of_their_step_and_their_fields_slope(measured):
    rows = measured(Continuous, BLOCKS)
    assert [row["place"] for row in rows] == [0, 1]
    for row, k in zip(rows, Continuous.KS, strict=True):
        assert row["ode"]
        assert row["type"] == "Solved"
        assert row["evaluations"] == 1
        assert row["stretch_per_image"] == pytest.approx([1 + k] * 5, rel=5e-3)
        assert row["field_per_image"] == pytest.approx([k] * 5, rel=5e-3)
        assert row["stretch"] <= math.exp(row["field"]) * (1 + 1e-3)


def test_a_network_without_blocks_is_one_block(measured):
    (row,) = measured(Twice, BLOCKS)
    assert (row["block"], row["type"], row["ode"]) == ("network", "Twice", False)
    assert row["stretch"] == pytest.approx(2, rel=1e-5)
    assert row["field"] is None


def test_iterations_that_end_too_early_are_told(measured):
    rows = measured(tasks_place.Tiny, changed(ROBUST, iterations=1, tolerance=1e-6))
    told = [row for row in rows if row["part"] == "stretch"]
    assert all(row["converged"] == 0 and row["iterations"] == 1 for row in told)
    assert all(row["residual"] > 1e-6 for row in told)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Cut, r"the derivative of 'tiny' is not that of its output: a step of 0.0001"),
        (Numpy, r"'tiny \(output\)' has no derivative by its input"),
        (Infinite, r"the output of tiny holds NaN or infinity"),
    ],
)
def test_a_network_that_cannot_be_differentiated_is_invalid_by_name(measured, network, words):
    with pytest.raises(Invalid, match=words):
        measured(network, ROBUST)


def test_blocks_that_cannot_be_differentiated_are_invalid_by_name(measured):
    with pytest.raises(Invalid, match="'network' has no derivative by its input"):
        measured(Numpy, BLOCKS)


def test_what_is_no_diffusion_model_is_one_clear_line(place):
    for cell in (ROBUST, BLOCKS):
        with pytest.raises(BenchError, match=r"'wiener' is no diffusion model.*diffusion:<"):
            place.run(changed(cell, denoiser={"name": "wiener"}), f"wiener-{cell.task}")


@pytest.mark.parametrize("cell", [ROBUST, BLOCKS], ids=lambda cell: cell.task)
def test_a_measurement_that_was_cut_is_the_uninterrupted_one(place, monkeypatch, cell):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    cell = dataclasses.replace(cell, uses=(TRAIN,))
    dirty(0)
    whole = content(place.run(cell, f"whole-{cell.task}"))
    for how, after in (("pause_after", 1), ("kill_after", 2)):
        dirty(after)
        assert place.run(cell, f"{how}-{cell.task}", **{how: after}) is None
        dirty(7)
        assert content(place.run(cell, f"{how}-{cell.task}")) == whole
    # All parts are there: only the rows are made again.
    assert content(place.run(cell, f"whole-{cell.task}")) == whole


def test_images_have_perturbations_of_their_own_whatever_the_number_of_them(measured):
    few, many = (
        {
            (row["of"], row["size"]): row["change_per_image"]
            for row in measured(tasks_place.Tiny, changed(ROBUST, n=n, n_jacobian=2))
            if row["part"] == "change" and row["direction"] == "random"
        }
        for n in (3, 6)
    )
    for key, values in few.items():
        assert values == pytest.approx(many[key][:3], rel=1e-5)
    assert len(set(few["output", 0.1])) == 3
