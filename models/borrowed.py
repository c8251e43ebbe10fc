"""Solving by other libraries: torchdiffeq (one step size for a batch), torchode (one an image)."""

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.api import BenchError, Missing
from models.unsolved import LOOSEN, Counted, Unreachable

if TYPE_CHECKING:
    from models.solve import Integrator

FIRST = 0.9, 0.2, 10.0
"""Safety factor, and by how much a step may shrink and grow at once: torchdiffeq's."""
STAGES = 7
"""Of a step of Dormand and Prince: so many evaluations at one s are a step of size zero."""


def solved(
    how: "Integrator",
    field: Counted,
    y0: Tensor,
    span: tuple[float, float],
    parameters: Sequence[Tensor],
) -> Tensor:
    """Return the state at the end of `span`; see `Integrator` for the arguments.

    Raises:
        Unreachable: If an adaptive solver cannot keep its tolerance.
        NotFinite: If the field returned NaN or infinity.
        Missing: If the library is not installed.
    """
    if how.scheme.adaptive:
        _refuse_less_than_rounding(how, field, y0)
    if how.scheme.apart:
        return _by_torchode(how, field, y0, span)
    return _by_torchdiffeq(how, field, y0, span, parameters)


def _refuse_less_than_rounding(how: "Integrator", field: Counted, y0: Tensor) -> None:
    """Refuse tolerances below the rounding of the numbers: no step is small enough for them."""
    rounding = torch.finfo(y0.dtype).eps
    if how.rtol >= rounding or how.atol >= rounding * float(y0.detach().abs().max()):
        return
    kind = str(y0.dtype).removeprefix("torch.")
    raise Unreachable(
        f"{how.solver} cannot keep a tolerance of {max(how.rtol, how.atol):g} in {kind}, whose "
        f"rounding is {rounding:.1e}",
        advice=f"expected {10 * rounding:.0e} or more",
        **field.so_far,
    )


def _by_torchdiffeq(
    how: "Integrator",
    field: Counted,
    y0: Tensor,
    span: tuple[float, float],
    parameters: Sequence[Tensor],
) -> Tensor:
    library = _torchdiffeq()
    s = torch.tensor(span, dtype=y0.dtype, device=y0.device)

    def grid(field: object, y0: Tensor, s: Tensor) -> Tensor:
        """Return the ends of the fixed steps; `s` runs backwards for the adjoint ODE."""
        ramp = torch.linspace(0, 1, how.steps + 1, dtype=s.dtype, device=s.device)
        return torch.lerp(s[0], s[-1], ramp)

    # A grid, because a step size can leave a rest of 1e-16 that costs a step of its own.
    options = {} if how.scheme.adaptive else {"grid_constructor": grid}
    shared = {"method": how.scheme.twin, "rtol": how.rtol, "atol": how.atol, "options": options}
    try:
        if not how.adjoint:
            return library.odeint(field, y0, s, **shared)[-1]
        wanted = tuple(p for p in (*field.parameters(), *parameters) if p.requires_grad)
        return library.odeint_adjoint(field, y0, s, adjoint_params=wanted, **shared)[-1]
    except AssertionError as error:  # torchdiffeq's only sign of a vanishing step
        raise _vanishing(how, field) from error


def _by_torchode(
    how: "Integrator", field: Counted, y0: Tensor, span: tuple[float, float]
) -> Tensor:
    """Solve every sample of y0 [B, ...] with steps of its own.

    The field gets s as a tensor [B, 1, ...] that broadcasts against y. All samples are evaluated
    until the last one is done.

    Source: Lienen and Guennemann 2022, "torchode: A Parallel ODE Solver for PyTorch".
    """
    if y0.dim() < 2:
        raise BenchError(
            f"{how.solver} got a state of shape {list(y0.shape)}, expected [samples, ...]"
        )
    library, batch = _torchode(), len(y0)
    times = (batch, *[1] * (y0.dim() - 1))
    begin, end = (y0.new_full((batch,), s) for s in span)
    still, last = torch.zeros_like(begin), torch.full_like(begin, torch.nan)

    def flat(s: Tensor, y: Tensor) -> Tensor:
        nonlocal still, last
        # The library itself steps on the spot for ever.
        still, last = torch.where((s == last) & (s != end), still + 1, 0.0), s
        if bool((still > STAGES).any()):
            raise _vanishing(how, field)
        return field(s.reshape(times), y.reshape(y0.shape)).reshape(batch, -1)

    term = library.ODETerm(flat, with_stats=False)
    safety, least, most = FIRST
    control = library.IntegralController(
        how.atol, how.rtol, term=term, safety=safety, factor_min=least, factor_max=most
    ).to(y0.device)
    solver = library.AutoDiffAdjoint(
        library.Dopri5(term=term).to(y0.device), control, backprop_through_step_size_control=False
    )
    problem = library.InitialValueProblem(y0.reshape(batch, -1), begin, end, None)
    found = solver.solve(problem, term)
    if bool((found.status != 0).any()):
        raise _vanishing(how, field)
    return found.ys[:, -1].reshape(y0.shape)


def _vanishing(how: "Integrator", field: Counted) -> Unreachable:
    return Unreachable(
        f"{how.solver} needs steps smaller than the rounding of s for a tolerance of "
        f"{max(how.rtol, how.atol):g}",
        advice=f"the field is too stiff or blows up: {LOOSEN}",
        **field.so_far,
    )


def _torchdiffeq() -> ModuleType:
    try:
        import torchdiffeq
    except ModuleNotFoundError as error:
        raise Missing(
            "adaptive solvers, the adjoint method and path='torchdiffeq' need torchdiffeq; "
            "install with: pip install torchdiffeq"
        ) from error
    return torchdiffeq


def _torchode() -> ModuleType:
    try:
        import torchode
    except ModuleNotFoundError as error:
        raise Missing(
            "solver 'dopri5-each' is unavailable: needs torchode; install with: pip install "
            "torchode"
        ) from error
    return torchode
