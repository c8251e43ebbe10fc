"""Solvers: order, agreement with torchdiffeq, counting, and what goes wrong."""

import math

import pytest
import torch
import torchdiffeq
from torch import Tensor

from bench.api import BenchError, Kind
from bench.registry import build, names
from models.solve import Integrator, NotFinite, integrate

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
    assert names(Kind.SOLVER) == sorted([*FIXED, "dopri5"])


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
    with pytest.raises(NotFinite, match=r"dopri5|the field returned"):
        integrate(lambda s, y: y.square(), start()[:1] + 0.25, solver="dopri5")


def test_wrong_settings_are_one_clear_line() -> None:
    with pytest.raises(BenchError, match="no solver named 'leapfrog'; known: dopri5, euler"):
        Integrator("leapfrog")
    with pytest.raises(BenchError, match="use path='own'"):
        Integrator("rk4-classic", path="torchdiffeq")
