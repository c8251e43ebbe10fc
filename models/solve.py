"""Ordinary differential equations dy/ds = f(s, y), solved by our own loops or by torchdiffeq.

`s` is the solver's own time; it has nothing to do with the diffusion step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.api import ENTRIES, BenchError, Kind, Missing, Solution, register

Field = Callable[[Any, Tensor], Tensor]
"""f(s, y); s is a float on our own path and a scalar tensor on torchdiffeq's."""

PATHS = ("own", "torchdiffeq")


class NotFinite(BenchError, ArithmeticError):
    """An adaptive solver cannot go on: the field returned NaN or infinity, or blew up."""


@dataclass(frozen=True)
class Scheme:
    """An explicit Runge-Kutta method by its Butcher tableau, or an adaptive one by name.

    A solver plug-in is a function without arguments that returns a scheme.
    """

    order: int
    nodes: tuple[float, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()
    """Row i holds the weights of slopes 0..i-1 in stage i."""
    weights: tuple[float, ...] = ()
    twin: str | None = None
    """What torchdiffeq calls the same method."""
    adaptive: bool = False

    def step(self, field: Field, s: float, y: Tensor, h: float) -> Tensor:
        """Advance y from s to s + h."""
        slopes: list[Tensor] = []
        for node, row in zip(self.nodes, self.matrix, strict=True):
            slopes.append(field(s + node * h, _moved(y, h, row, slopes)))
        return _moved(y, h, self.weights, slopes)


def _moved(y: Tensor, h: float, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """Return y + h * sum of weights * slopes, leaving out zero weights."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            y = y + (h * weight) * slope
    return y


@register(Kind.SOLVER, "euler", source="Euler 1768; one evaluation a step, order 1")
def euler() -> Scheme:
    """Return Euler's method."""
    return Scheme(1, (0.0,), ((),), (1.0,), twin="euler")


@register(Kind.SOLVER, "midpoint", source="Runge 1895; two evaluations a step, order 2")
def midpoint() -> Scheme:
    """Return the explicit midpoint method."""
    return Scheme(2, (0.0, 1 / 2), ((), (1 / 2,)), (0.0, 1.0), twin="midpoint")


@register(
    Kind.SOLVER,
    "rk4",
    source="Kutta 1901, the 3/8 rule; four evaluations a step, order 4; torchdiffeq's 'rk4'",
)
def rk4() -> Scheme:
    """Return the 3/8 rule."""
    return Scheme(
        4,
        (0.0, 1 / 3, 2 / 3, 1.0),
        ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
        (1 / 8, 3 / 8, 3 / 8, 1 / 8),
        twin="rk4",
    )


@register(
    Kind.SOLVER,
    "rk4-classic",
    source="Kutta 1901, the classic method; four evaluations a step, order 4",
)
def rk4_classic() -> Scheme:
    """Return the classic fourth-order method."""
    return Scheme(
        4,
        (0.0, 1 / 2, 1 / 2, 1.0),
        ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
    )


@register(
    Kind.SOLVER,
    "dopri5",
    source="Dormand and Prince 1980; adaptive, order 5 with an embedded order 4",
    needs=("torchdiffeq",),
)
def dopri5() -> Scheme:
    """Return the adaptive Dormand-Prince method; torchdiffeq runs it."""
    return Scheme(5, twin="dopri5", adaptive=True)


@dataclass(frozen=True)
class Integrator:
    """How the ODE blocks of a network are solved; call it with a field and an initial state."""

    solver: str = "rk4"
    steps: int = 1
    """Steps of equal size; an adaptive solver chooses its own."""
    path: str = "own"
    """"own" or "torchdiffeq"; adaptive solvers and the adjoint method always take the latter."""
    adjoint: bool = False
    """Gradients by a second ODE, solved backwards, in memory that does not grow with the steps."""
    rtol: float = 1e-5
    atol: float = 1e-5

    def __post_init__(self) -> None:
        known = [name for kind, name in ENTRIES if kind is Kind.SOLVER]
        if self.solver not in known:
            raise BenchError(f"no solver named '{self.solver}'; known: {', '.join(sorted(known))}")
        if self.path not in PATHS:
            raise BenchError(f"no solver path '{self.path}'; expected one of {', '.join(PATHS)}")
        if self.steps < 1:
            raise BenchError(f"the solver got {self.steps} steps, expected 1 or more")
        if self.foreign and self.scheme.twin is None:
            raise BenchError(
                f"torchdiffeq has no method like '{self.solver}'; "
                "use path='own' without the adjoint, or another solver"
            )

    @property
    def scheme(self) -> Scheme:
        """The method that `solver` names."""
        return ENTRIES[Kind.SOLVER, self.solver].build()

    @property
    def foreign(self) -> bool:
        """Whether torchdiffeq does the work."""
        return self.path == "torchdiffeq" or self.adjoint or self.scheme.adaptive

    def __call__(
        self,
        field: Field,
        y0: Tensor,
        *,
        span: tuple[float, float] = (0.0, 1.0),
        parameters: Sequence[Tensor] = (),
    ) -> Solution:
        """Solve dy/ds = field(s, y) over `span` from y0.

        Args:
            field: The right-hand side.
            y0: Initial state.
            span: First and last s.
            parameters: For the adjoint method: every tensor, besides y0, that the field depends
                on and that wants a gradient. A module's own parameters need not be listed.

        Raises:
            NotFinite: If an adaptive solver meets NaN, infinity or a step of size zero.
            Missing: If torchdiffeq is needed and absent.
        """
        counted = _Counted(field, check=self.scheme.adaptive)
        if self.foreign:
            y = self._borrowed(counted, y0, span, parameters)
        else:
            scheme, h, y = self.scheme, (span[1] - span[0]) / self.steps, y0
            for n in range(self.steps):
                y = scheme.step(counted, span[0] + n * h, y, h)
        return Solution(y, counted.calls)

    def _borrowed(
        self,
        field: "_Counted",
        y0: Tensor,
        span: tuple[float, float],
        parameters: Sequence[Tensor],
    ) -> Tensor:
        """Let torchdiffeq solve it."""
        library = _torchdiffeq()
        s = torch.tensor(span, dtype=y0.dtype, device=y0.device)
        # A grid, because a step size can leave a rest of 1e-16 that costs a step of its own.
        options = {} if self.scheme.adaptive else {"grid_constructor": self._grid}
        shared = {
            "method": self.scheme.twin,
            "rtol": self.rtol,
            "atol": self.atol,
            "options": options,
        }
        try:
            if not self.adjoint:
                return library.odeint(field, y0, s, **shared)[-1]
            wanted = tuple(p for p in (*field.parameters(), *parameters) if p.requires_grad)
            return library.odeint_adjoint(field, y0, s, adjoint_params=wanted, **shared)[-1]
        except AssertionError as error:  # torchdiffeq's only sign of a vanishing step
            raise NotFinite(
                f"{self.solver} gave up after {field.calls} evaluations at s = {field.at:.4g}: "
                f"{error}; the field is too stiff, loosen rtol and atol or use a fixed-step solver"
            ) from error

    def _grid(self, field: Field, y0: Tensor, s: Tensor) -> Tensor:
        """Return the ends of the fixed steps; `s` runs backwards for the adjoint ODE."""
        ramp = torch.linspace(0, 1, self.steps + 1, dtype=s.dtype, device=s.device)
        return torch.lerp(s[0], s[-1], ramp)


def integrate(  # noqa: PLR0913 - the flat form of Integrator
    field: Field,
    y0: Tensor,
    *,
    solver: str = "rk4",
    steps: int = 1,
    path: str = "own",
    adjoint: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    span: tuple[float, float] = (0.0, 1.0),
    parameters: Sequence[Tensor] = (),
) -> Solution:
    """Solve dy/ds = field(s, y) from y0; see `Integrator` for the arguments."""
    method = Integrator(solver, steps, path, adjoint, rtol, atol)
    return method(field, y0, span=span, parameters=parameters)


class _Counted:
    """A field that counts its evaluations; it lives as long as one solution."""

    def __init__(self, field: Field, *, check: bool) -> None:
        self.field = field
        self.check = check
        self.calls = 0
        self.s: Any = 0.0

    def __call__(self, s: Any, y: Tensor) -> Tensor:
        self.calls += 1
        slope = self.field(s, y)
        # Only where a step size is chosen from the values, so fixed steps never wait for a device.
        if self.check:
            self.s = s
            if not torch.isfinite(slope).all():
                raise NotFinite(
                    f"the field returned NaN or infinity at s = {self.at:.4g} in evaluation "
                    f"{self.calls}; lower the learning rate, check the input for NaN, or use a "
                    "fixed-step solver to look at the state"
                )
        return slope

    @property
    def at(self) -> float:
        """Where the last evaluation was; s may be a tensor that autograd follows."""
        return float(torch.as_tensor(self.s).detach())

    def parameters(self) -> list[Tensor]:
        """Return the parameters of the field, where it is a module."""
        return list(self.field.parameters()) if isinstance(self.field, torch.nn.Module) else []


def _torchdiffeq() -> ModuleType:
    try:
        import torchdiffeq
    except ModuleNotFoundError as error:
        raise Missing(
            "adaptive solvers, the adjoint method and path='torchdiffeq' need torchdiffeq; "
            "install with: pip install torchdiffeq"
        ) from error
    return torchdiffeq
