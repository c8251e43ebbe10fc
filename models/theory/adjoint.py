"""Proposition 3.1 and equations 10 to 14: gradients by the adjoint ODE, and what they cost."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from bench.api import Checked, Claim, Curve, Holds, Kind, register
from models.solve import integrate
from models.theory.block import Block, relative, second_order
from models.theory.second_adjoint import SecondAdjoint, second_order_adjoint

TOLERANCES = tuple(10.0**-k for k in range(3, 10))
TARGET = 1e-6
"""Of the tolerance at which the gradient has to be right to `NEAR`."""
NEAR = 1e-4
FINE = 32
"""Steps of the solve that autograd goes through for the gradient that is right."""
COUNTS = (1, 2, 4, 8, 16)
MIB = 2**20
PANEL_GRADIENT = "Gradient by the adjoint ODE"
PANEL_MEMORY = "Memory of a training step"


@dataclass(frozen=True)
class Gradient:
    """Derivatives of a loss, and what getting them took."""

    values: Tensor
    """With respect to the initial state and all parameters, in one vector."""
    nfe: int
    """Evaluations of the field, forwards."""
    kept_bytes: int
    """What autograd kept between forward and backward; parameters are no part of it."""


def gradient(block: Block, **solver: object) -> Gradient:
    """Return the derivatives of L = sum of w * y(1), with fixed random w, through a solve."""
    y0 = block.y0.clone().requires_grad_()
    wanted = [y0, *block.dynamics.parameters()]
    kept: dict[int, int] = {}
    theirs = {tensor.data_ptr() for tensor in wanted}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in theirs:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        solution = integrate(
            block.field, y0, parameters=tuple(block.dynamics.parameters()), **solver
        )
    loss = (weights_like(solution.y) * solution.y).sum()
    found = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    flat = torch.cat([g.flatten() for g in found])
    return Gradient(flat, solution.nfe, sum(kept.values()))


def weights_like(y: Tensor) -> Tensor:
    """Return the weights of the loss, a fixed random direction."""
    rng = torch.Generator().manual_seed(1)
    return torch.randn(y.shape, generator=rng, dtype=y.dtype)


@register(
    Kind.CHECK, "adjoint", source="Proposition 3.1, equations 10 to 14; Norcliffe et al. 2020"
)
def adjoint_method(effort: int, seed: int) -> Checked:
    """Check gradient, memory and cost of the adjoint of the second-order block.

    Args:
        effort: Not used: this is quick.
        seed: Of the weights and the state.
    """
    block = second_order(seed, batch=1)
    right = gradient(block, solver="rk4", steps=FINE)
    wrong = [
        relative(
            gradient(block, solver="dopri5", adjoint=True, rtol=tol, atol=tol).values, right.values
        )
        for tol in TOLERANCES
    ]
    plain = [gradient(block, solver="rk4", steps=n) for n in COUNTS]
    flat = [gradient(block, solver="rk4", steps=n, adjoint=True) for n in COUNTS]
    again = second_order_adjoint(block, weights_like(block.y0))
    claims = [_right(wrong), _memory(plain, flat), _reuse(again, right.values, block)]
    return Checked(claims, [*_gradient_curves(wrong), *_memory_curves(plain, flat)])


def _right(wrong: list[float]) -> Claim:
    at_target = wrong[TOLERANCES.index(TARGET)]
    return Claim(
        "Proposition 3.1, equations 10 to 14",
        "The first-order adjoint gives the gradient of the second-order block.",
        Holds.YES if at_target < NEAR else Holds.NO,
        f"With (z, v) as the state it gives the gradient of autograd through the solver: relative "
        f"error {at_target:.1e} at a tolerance of {TARGET:.0e}, and {wrong[-1]:.1e} at "
        f"{TOLERANCES[-1]:.0e}.",
        {"relative error at 1e-6": at_target, "relative error at 1e-9": wrong[-1]},
    )


def _slope(points: list[Gradient]) -> float:
    """Return the bytes that each further evaluation keeps, from the last two points."""
    a, b = points[-2:]
    return (b.kept_bytes - a.kept_bytes) / (b.nfe - a.nfe)


def _memory(plain: list[Gradient], flat: list[Gradient]) -> Claim:
    share = _slope(flat) / _slope(plain)
    return Claim(
        "Section 2, 'constant memory cost'; the adjoint of Section 3.3",
        "With the adjoint the memory of training does not grow with the evaluations of the field.",
        Holds.YES if abs(share) < 0.02 else Holds.NO,
        f"Each further evaluation keeps {_slope(plain) / 1024:.0f} KiB without the adjoint and "
        f"{100 * share:.1f} % of that with it; the released code trains without it.",
        {"growth with the adjoint, share of that without": share},
    )


def _reuse(again: SecondAdjoint, right: Tensor, block: Block) -> Claim:
    count = block.y0.numel()
    error = relative(again.of_state.flatten(), right[:count])
    factor = again.work / again.work_of_first
    return Claim(
        "Section 3.3, after equation 14",
        "To reuse the first-order adjoint is cheaper than to use the second-order adjoint.",
        Holds.YES if factor > 1 and error < NEAR else Holds.NO,
        f"The second-order adjoint of Norcliffe et al. gives the same gradient (to {error:.0e}) "
        f"in {factor:.2f} times the operations: it needs second derivatives of the field.",
        {"operations, second over first": factor, "relative difference": error},
    )


def _gradient_curves(wrong: list[float]) -> list[Curve]:
    axes = {"x_axis": "tolerance of the solver", "y_axis": "error of the gradient, relative"}
    return [
        Curve(PANEL_GRADIENT, "adjoint, dopri5", TOLERANCES, wrong, **axes),
        Curve(PANEL_GRADIENT, "the tolerance", TOLERANCES, TOLERANCES, reference=True, **axes),
    ]


def _memory_curves(plain: list[Gradient], flat: list[Gradient]) -> list[Curve]:
    axes = {"x_axis": "evaluations of the field", "y_axis": "kept for the gradient (MiB)"}
    return [
        Curve(
            PANEL_MEMORY,
            label,
            [one.nfe for one in points],
            [one.kept_bytes / MIB for one in points],
            **axes,
        )
        for label, points in (("back-propagation", plain), ("adjoint", flat))
    ]
