"""Solvers: order, agreement with torchdiffeq, counting, and what goes wrong."""

import math
from dataclasses import replace

import pytest
import torch
import torchdiffeq
from torch import Tensor

from bench.api import BenchError, Kind
from bench.registry import build, names
from models.solve import Integrator, NotFinite, Unreachable, integrate
from models.unsolved import Unsolved

FIXED = ["euler", "midpoint", "rk4", "rk4-classic"]
EVALUATIONS = {"euler": 1, "midpoint": 2, "rk4": 4, "rk4-classic": 4}


def oscillator(s: float, y: Tensor) -> Tensor:
    """y = (z, v) with z'' = -z: a circle."""
    return torch.stack([y[1], -y[0]])


def driven(s: float, y: Tensor) -> Tensor:
    """Depends on s and is not linear in y."""
    return torch.sin(3 * torch.as_tensor(s, dtype=y.dtype) + y) * y.flip(0)


def start() -> Tensor:
    return torch.tensor([1.0, 0.25], dtype=torch.float64)


def on_circle(s: float) -> Tensor:
    z, v = start().tolist()
    turn = [z * math.cos(s) + v * math.sin(s), v * math.cos(s) - z * math.sin(s)]
    return torch.tensor(turn, dtype=torch.float64)


def test_every_solver_is_tested_here() -> None:
    assert names(Kind.SOLVER) == sorted([*FIXED, "dopri5", "dopri5-each"])


@pytest.mark.parametrize("solver", FIXED)
def test_order_on_the_harmonic_oscillator(solver: str) -> None:
    def error(steps: int) -> float:
        y = integrate(oscillator, start(), solver=solver, steps=steps, span=(0.0, 2.0)).y
        return float((y - on_circle(2.0)).norm())

    slope = math.log2(error(32) / error(64))
    assert slope == pytest.approx(build("solver", solver).order, abs=0.1)


@pytest.mark.parametrize("solver", FIXED)
def test_tableau_is_consistent(solver: str) -> None:
    scheme = build("solver", solver)
    assert sum(scheme.weights) == pytest.approx(1, abs=1e-15)
    assert [sum(row) for row in scheme.matrix] == pytest.approx(list(scheme.nodes), abs=1e-15)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "rk4"])
@pytest.mark.parametrize("steps", [1, 3, 49])
@pytest.mark.parametrize("span", [(0.0, 1.0), (0.5, -1.5)])
def test_our_loop_is_torchdiffeqs(solver: str, steps: int, span: tuple[float, float]) -> None:
    own = integrate(driven, start(), solver=solver, steps=steps, span=span)
    path = integrate(driven, start(), solver=solver, steps=steps, span=span, path="torchdiffeq")
    grid = torch.linspace(*span, steps + 1, dtype=torch.float64)
    plain = torchdiffeq.odeint(driven, start(), grid, method=solver)[-1]
    torch.testing.assert_close(own.y, plain, atol=1e-12, rtol=0)
    torch.testing.assert_close(path.y, plain, atol=1e-12, rtol=0)
    assert own.nfe == path.nfe == steps * EVALUATIONS[solver]


def test_classic_rk4_is_its_textbook_formula() -> None:
    y, h = start(), 0.3
    k1 = driven(0.0, y)
    k2 = driven(h / 2, y + h / 2 * k1)
    k3 = driven(h / 2, y + h / 2 * k2)
    k4 = driven(h, y + h * k3)
    expected = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    found = integrate(driven, y, solver="rk4-classic", span=(0.0, h)).y
    torch.testing.assert_close(found, expected, atol=1e-15, rtol=0)


def test_dopri5_keeps_its_tolerance_and_counts() -> None:
    def solve(tolerance: float) -> tuple[float, int]:
        found = integrate(
            oscillator, start(), solver="dopri5", rtol=tolerance, atol=tolerance, span=(0.0, 2.0)
        )
        return float((found.y - on_circle(2.0)).norm()), found.nfe

    (rough, few), (fine, many) = solve(1e-3), solve(1e-9)
    assert rough < 1e-2
    assert fine < 1e-8
    assert few < many


def test_adjoint_reaches_a_closure_and_a_module() -> None:
    # y' = a y over [0, 1] gives y0 e^a, whose derivative by a is y0 e^a.
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    shared = {"adjoint": True, "steps": 64}
    integrate(lambda s, y: a * y, start(), parameters=(a,), **shared).y.sum().backward()
    assert a.grad is not None
    assert float(a.grad) == pytest.approx(1.25 * math.exp(0.7), rel=1e-6)

    class Growth(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

        def forward(self, s: Tensor, y: Tensor) -> Tensor:
            return self.a * y

    module = Growth()
    integrate(module, start(), **shared).y.sum().backward()
    assert float(module.a.grad) == pytest.approx(float(a.grad), rel=1e-12)


def test_nan_names_the_place() -> None:
    def field(s: Tensor, y: Tensor) -> Tensor:
        return y if s < 0.5 else y * math.nan

    with pytest.raises(NotFinite, match=r"NaN or infinity at s = 0\.\d+ in evaluation \d+") as info:
        integrate(field, start(), solver="dopri5")
    assert isinstance(info.value, ArithmeticError)
    assert isinstance(info.value, BenchError)


def test_nan_in_the_state_is_found_at_once() -> None:
    with pytest.raises(NotFinite, match="in evaluation 1;"):
        integrate(oscillator, start() * math.nan, solver="dopri5")


def test_a_vanishing_step_is_named_too() -> None:
    # y' = y^2 from 1.25 leaves every bound at s = 0.8.
    with pytest.raises(Unsolved, match=r"dopri5 needs steps|the field returned") as info:
        integrate(lambda s, y: y.square(), start()[:1] + 0.25, solver="dopri5")
    assert "at s = 0.8 in evaluation " in str(info.value)
    assert info.value.s == pytest.approx(0.8, abs=1e-3) and info.value.nfe > 10


@pytest.mark.parametrize("tolerance", [0, 0.0, -1e-3, math.nan, math.inf, "tight"])
@pytest.mark.parametrize("which", ["rtol", "atol"])
def test_a_tolerance_is_a_positive_number(which: str, tolerance: float) -> None:
    with pytest.raises(BenchError, match=f"tolerance is {tolerance}, expected a positive number"):
        Integrator("dopri5", **{which: tolerance})


@pytest.mark.parametrize("solver", ["dopri5", "dopri5-each"])
def test_a_tolerance_below_rounding_is_refused_with_the_place(solver: str) -> None:
    y, tight = torch.ones(2, 2), {"rtol": 1e-20, "atol": 1e-20}
    how = Integrator(solver, **tight)
    with pytest.raises(Unreachable, match=r"ODE block 2 of 9: .* 1e-20 in float32, whose rounding"):
        how(lambda s, y: -y, y, place="ODE block 2 of 9")
    # Small states may well have a small absolute tolerance.
    tiny = Integrator("dopri5", rtol=1e-8, atol=1e-12)(lambda s, y: -y, 1e-7 * y).y
    torch.testing.assert_close(tiny, 1e-7 * y / math.e, rtol=1e-4, atol=0)


@pytest.mark.parametrize("solver", ["dopri5", "dopri5-each"])
def test_a_limit_of_evaluations_ends_an_adaptive_solver(solver: str) -> None:
    if solver == "dopri5-each":
        pytest.importorskip("torchode", reason="the extra [solvers]")
    field, y = (lambda s, y: 300 * torch.cos(100 * s) * y.flip(1)), torch.ones(2, 2)
    with pytest.raises(Unreachable, match=r"not kept with 50 evaluations .* in evaluation 50;"):
        Integrator(solver, most=50)(field, y)
    with pytest.raises(BenchError, match="may evaluate 0 times"):
        Integrator(solver, most=0)


def test_a_watched_solver_finds_where_fixed_steps_go_wrong() -> None:
    def field(s: float, y: Tensor) -> Tensor:
        return y if s < 0.5 else y * math.nan

    silent = Integrator("euler", steps=4)
    assert silent(field, start()).y.isnan().all()
    with pytest.raises(NotFinite, match=r"infinity at s = 0.5 in evaluation 3;"):
        replace(silent, watched=True)(field, start())


class TestEach:
    """Steps of its own for every sample."""

    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        pytest.importorskip("torchode", reason="the extra [solvers]")

    def test_keeps_its_tolerance_forwards_and_backwards(self) -> None:
        def field(s: Tensor, y: Tensor) -> Tensor:
            assert s.shape == (3, 1)
            return -torch.sin(3 * s) * y

        y = torch.tensor([[1.0], [2.0], [-4.0]], dtype=torch.float64)
        for begin, end in ((0.0, 1.0), (1.0, 0.25)):
            found = integrate(
                field, y, solver="dopri5-each", rtol=1e-9, atol=1e-9, span=(begin, end)
            )
            growth = math.exp((math.cos(3 * end) - math.cos(3 * begin)) / 3)
            torch.testing.assert_close(found.y, growth * y, rtol=1e-7, atol=0)

    def test_a_sample_does_not_know_its_neighbours(self) -> None:
        speed = torch.tensor([[1.0], [60.0]], dtype=torch.float64)

        def field(of: Tensor) -> object:
            return lambda s, y: of * torch.stack([y[:, 1], -y[:, 0]], dim=1)

        y = torch.ones(2, 2, dtype=torch.float64)
        for solver, depends in (("dopri5", True), ("dopri5-each", False)):
            both = integrate(field(speed), y, solver=solver).y[:1]
            alone = integrate(field(speed[:1]), y[:1], solver=solver).y
            assert (float((both - alone).norm()) > 1e-8) == depends, solver

    @pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-5])
    def test_who_is_done_waits_for_the_others(self, tolerance: float) -> None:
        # Those at the end stand still there, which is no vanishing step.
        y = torch.linspace(0.1, 3, 64)[:, None]
        shared = {"rtol": tolerance, "atol": tolerance}
        found = integrate(lambda s, y: torch.sin(3 * y), y, solver="dopri5-each", **shared).y
        right = integrate(lambda s, y: torch.sin(3 * y), y, steps=200).y
        torch.testing.assert_close(found, right, atol=100 * tolerance, rtol=0)

    def test_a_vanishing_step_is_named(self) -> None:
        with pytest.raises(Unsolved, match=r"dopri5-each needs steps|the field returned") as info:
            integrate(lambda s, y: y.square(), torch.full((2, 1), 1.25), solver="dopri5-each")
        assert info.value.s == pytest.approx(0.8, abs=1e-3) and 10 < info.value.nfe < 2000

    def test_gradients_pass(self) -> None:
        y = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
        integrate(lambda s, y: 0.7 * y, y, solver="dopri5-each").y.sum().backward()
        torch.testing.assert_close(y.grad, torch.full_like(y, math.exp(0.7)), rtol=1e-5, atol=0)

    def test_what_it_cannot_do_is_said(self) -> None:
        with pytest.raises(BenchError, match="has no adjoint method; use dopri5"):
            Integrator("dopri5-each", adjoint=True)
        with pytest.raises(BenchError, match=r"expected \[samples, ...\]"):
            integrate(oscillator, start(), solver="dopri5-each")


def test_a_network_names_the_block_that_cannot_be_solved() -> None:
    net = build("backbone", "cunet", channels=1, image_size=16, scale=0.125)
    net.integrator = Integrator("dopri5", most=10)
    with torch.no_grad(), pytest.raises(Unreachable, match=r"^ODE block 1 of 9 \(4 channels\): "):
        net(torch.zeros(1, 1, 16, 16), torch.zeros(1))
    tuned = build("backbone", "cunet", image_size=16, scale=0.125, most_evaluations=7)
    assert tuned.integrator.most == 7


def test_wrong_settings_are_one_clear_line() -> None:
    with pytest.raises(
        BenchError, match="no solver named 'leapfrog'; known: dopri5, dopri5-each, euler"
    ):
        Integrator("leapfrog")
    with pytest.raises(BenchError, match="use path='own'"):
        Integrator("rk4-classic", path="torchdiffeq")
