"""Ordinary differential equations dy/ds = f(s, y), solved by our own loops or by torchdiffeq.

`s` is the solver's own time; it has nothing to do with the diffusion step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bench.api import BenchError, Kind, Solution, register
from models import borrowed
from models.registered import registered
from models.unsolved import Counted, NotFinite, Unreachable, Unsolved

__all__ = ("Field", "Integrator", "NotFinite", "Scheme", "Unreachable", "Unsolved", "integrate")

Field = Callable[[Any, Tensor], Tensor]
"""f(s, y); s is a float on our own path and a scalar tensor on torchdiffeq's."""

PATHS = ("own", "torchdiffeq")


MOST = 100_000
"""Evaluations after which an adaptive solver gives up, for one block and one batch."""


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
    apart: bool = False
    """Whether every sample of a batch has steps of its own; torchode does the work."""

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


@register(
    Kind.SOLVER,
    "dopri5-each",
    source="the same method with steps of its own for every sample: Lienen and Guennemann 2022",
    needs=("torchode",),
)
def dopri5_each() -> Scheme:
    """Return the adaptive Dormand-Prince method; torchode runs it, sample by sample."""
    return Scheme(5, adaptive=True, apart=True)


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
    """Relative tolerance of an adaptive solver, and `atol` its absolute one."""
    atol: float = 1e-5
    most: int = MOST
    """Evaluations of a field after which an adaptive solver gives up."""
    watched: bool = False
    """Whether every slope is looked at, to find where a solution goes wrong: slow."""

    def __post_init__(self) -> None:
        registered(Kind.SOLVER, self.solver)
        if self.path not in PATHS:
            raise BenchError(f"no solver path '{self.path}'; expected one of {', '.join(PATHS)}")
        if self.steps < 1:
            raise BenchError(f"the solver got {self.steps} steps, expected 1 or more")
        for name, value in (("relative", self.rtol), ("absolute", self.atol)):
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise BenchError(
                    f"the solver's {name} tolerance is {value}, expected a positive number"
                )
        if self.most < 1:
            raise BenchError(f"the solver may evaluate {self.most} times, expected 1 or more")
        if self.scheme.apart and self.adjoint:
            raise BenchError(f"'{self.solver}' has no adjoint method; use dopri5")
        if self.foreign and self.scheme.twin is None and not self.scheme.apart:
            raise BenchError(
                f"torchdiffeq has no method like '{self.solver}'; "
                "use path='own' without the adjoint, or another solver"
            )

    @property
    def scheme(self) -> Scheme:
        """The method that `solver` names."""
        scheme: Scheme = registered(Kind.SOLVER, self.solver)()
        return scheme

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
        place: str = "",
    ) -> Solution:
        """Solve dy/ds = field(s, y) over `span` from y0.

        Args:
            field: The right-hand side.
            y0: Initial state.
            span: First and last s.
            parameters: For the adjoint method: every tensor, besides y0, that the field depends
                on and that wants a gradient. A module's own parameters need not be listed.
            place: Which block of a network this is, for errors.

        Raises:
            NotFinite: If an adaptive or watched solver meets NaN or infinity.
            Unreachable: If an adaptive one cannot keep its tolerance.
            Missing: If torchdiffeq, or torchode, is needed and absent.
        """
        adaptive = self.scheme.adaptive
        most = self.most if adaptive else None
        counted = Counted(field, place=place, watched=adaptive or self.watched, most=most)
        if self.foreign:
            y = borrowed.solved(self, counted, y0, span, parameters)
        else:
            scheme, h, y = self.scheme, (span[1] - span[0]) / self.steps, y0
            for n in range(self.steps):
                y = scheme.step(counted, span[0] + n * h, y, h)
        return Solution(y, counted.calls)


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
