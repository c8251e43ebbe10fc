"""Equations 3 and 4: what an ODE block solves, in the paper's text and in the released code."""

import torch
from torch import Tensor

from bench.api import Checked, Claim, Curve, Holds, Kind, register
from models.solve import integrate
from models.theory.block import Block, halves, relative, released, second_order
from models.theory.slopes import falling, order

ORDERS = {"euler": 1, "midpoint": 2, "rk4": 4, "rk4-classic": 4}
COUNTS = (8, 16, 32, 64)
FINE = 256
"""Steps of the trajectory that is looked at, and of the reference for the orders."""
NEAR = 0.15
"""An order is that of theory if it is so near."""
PANEL_RESIDUAL = "Is it a second-order equation?"
PANEL_ORDER = "Error of a solve against its steps"


def trajectory(block: Block, steps: int) -> Tensor:
    """Return the states [steps + 1, B, C, H, W] at equal times from 0 to 1."""
    states = [block.y0]
    for n in range(steps):
        span = (n / steps, (n + 1) / steps)
        states.append(integrate(block.field, states[-1], solver="rk4", span=span).y)
    return torch.stack(states)


def residual(block: Block, steps: int) -> float:
    """Return how far z'' is from the field's second half along the trajectory, relative to z''.

    z'' is taken from the positions alone, by central differences, so that the residual of a
    solution falls with the square of the step, and that of anything else stays.
    """
    states = trajectory(block, steps)
    z = torch.stack([halves(y)[0] for y in states])
    measured = (z[2:] - 2 * z[1:-1] + z[:-2]) * steps**2
    said = torch.stack([halves(block.field(0.0, y))[1] for y in states[1:-1]])
    return relative(said, measured)


@torch.no_grad()
def errors(block: Block, solver: str) -> list[float]:
    """Return the relative errors at s = 1 for the numbers of steps in `COUNTS`."""
    right = integrate(block.field, block.y0, solver="rk4-classic", steps=FINE).y
    return [
        relative(integrate(block.field, block.y0, solver=solver, steps=n).y, right) for n in COUNTS
    ]


@register(Kind.CHECK, "second-order", source="equations 3 and 4 of the paper; the released code")
@torch.no_grad()
def second_order_equation(effort: int, seed: int) -> Checked:
    """Check that the block solves z'' = f(z, z', t), with which order, and what the code solves.

    Args:
        effort: Not used: this is quick.
        seed: Of the weights and the state.
    """
    ours, theirs = second_order(seed), released(seed)
    steps = (16, 32, 64, 128)
    own = [residual(ours, n) for n in steps]
    other = [residual(theirs, n) for n in steps]
    axes = {"x_axis": "points on the trajectory", "y_axis": "residual of z'' = f, relative"}
    curves = [
        Curve(PANEL_RESIDUAL, "section 3 of the paper", steps, own, **axes),
        Curve(PANEL_RESIDUAL, "released code", steps, other, **axes),
    ]
    found = {}
    for solver in ORDERS:
        wrong = errors(ours, solver)
        found[solver] = order(COUNTS, wrong)
        label = f"{solver}: {found[solver]:.2f}"
        axes = {"x_axis": "steps of the solver", "y_axis": "error at s = 1, relative"}
        curves.append(Curve(PANEL_ORDER, label, COUNTS, wrong, **axes))
    for power in sorted(set(ORDERS.values())):
        first = curves[2 + list(ORDERS.values()).index(power)].y[0]
        line = falling(COUNTS, first, power)
        curves.append(Curve(PANEL_ORDER, f"order {power}", COUNTS, line, reference=True, **axes))
    return Checked([_solves(steps, own), _code(other[-1]), _orders(found)], curves)


def _solves(steps: tuple[int, ...], own: list[float]) -> Claim:
    power = order(steps, own)
    return Claim(
        "Equations 3 and 4",
        "A block is a second-order ODE, z'' = f(z, z', t), from an initial state and velocity.",
        Holds.YES if abs(power - 2) < NEAR else Holds.NO,
        f"In `cunet` the residual of z'' = f along the trajectory is {own[-1]:.1e} and vanishes "
        f"with the square of the spacing (order {power:.2f}).",
        {"residual": own[-1], "order of the residual": power},
    )


def _code(left: float) -> Claim:
    return Claim(
        "Equations 3 and 4, in the released code",
        "The released network solves this second-order equation.",
        Holds.NO if left > 0.1 else Holds.YES,
        f"The residual stays at {left:.2f} of z'' however finely one looks: the code splits the "
        "state in two, joins it again and lets f be the derivative of the whole, which is a "
        "first-order equation.",
        {"residual": left},
    )


def _orders(found: dict[str, float]) -> Claim:
    near = all(abs(found[solver] - power) < NEAR for solver, power in ORDERS.items())
    told = ", ".join(f"{solver} {value:.2f}" for solver, value in found.items())
    return Claim(
        "Section 3.1, the solvers of the block",
        "The error of a solve falls with the order of its method: 1, 2, 4.",
        Holds.YES if near else Holds.NO,
        f"Measured orders on the block of `cunet`: {told}.",
        {f"order of {solver}": value for solver, value in found.items()},
    )
