"""The second-order adjoint of a second-order ODE, for what it costs beside the first-order one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from models.solve import rk4
from models.theory.block import Block, halves

Slope = Callable[[Block, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps a state and what is carried beside it [2,B,C/2,H,W] to the slopes of both."""
STEPS = 32


class Operations(TorchDispatchMode):
    """Counts the floating-point operations that run inside, derivatives included."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operator and add what it takes."""
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            rule = flop_registry[func.overloadpacket]
            self.count += rule(*args, **(kwargs or {}), out_val=out)
        return out


@dataclass(frozen=True)
class SecondAdjoint:
    """The gradient by the second-order adjoint, and its work."""

    of_state: Tensor
    """dL/dy(0), [B,C,H,W]."""
    work: int
    """Floating-point operations of its backward solve."""
    work_of_first: int
    """Those of the first-order adjoint, with the same steps."""


def second_order_adjoint(block: Block, weights: Tensor, steps: int = STEPS) -> SecondAdjoint:
    """Return dL/dy(0) for L = sum of weights * y(1), along z'' = a(z, v), v = z'.

    The first-order adjoint is the pair p = dL/dz, r = dL/dv with

        p' = -r a_z,    r' = -p - r a_v.

    Without p it is one equation of second order,

        r'' = r a_z - r' a_v - r (d/ds a_v),

    solved backwards with z'' = a. Its last term needs second derivatives of the field.

    Source: Norcliffe et al. 2020, "On Second Order Behaviour in Augmented Neural ODEs",
    where the adjoint of second-order neural ODEs is derived.
    Differs: the gradient with respect to the parameters, an integral beside it that costs both
    methods the same, is left out on both sides.

    Args:
        block: Field and initial state.
        weights: [B,C,H,W], the derivative of L at the end.
        steps: Of the fourth-order solver, forwards and backwards.
    """
    y1 = _forwards(block, steps)
    p, r = halves(weights)
    with Operations() as first:
        _backwards(block, y1, torch.stack([p, r]), _first, steps)
    slope = -p - _by_velocity(block, y1, r)
    with Operations() as second:
        r0, slope0 = _backwards(block, y1, torch.stack([r, slope]), _second, steps)
    p0 = -slope0 - _by_velocity(block, block.y0, r0)
    of_state = torch.cat([p0, r0], dim=1)
    return SecondAdjoint(of_state, second.count, first.count)


@torch.no_grad()
def _forwards(block: Block, steps: int) -> Tensor:
    y = block.y0
    for _ in range(steps):
        y = rk4().step(block.field, 0.0, y, 1 / steps)
    return y


def _backwards(block: Block, y1: Tensor, beside: Tensor, slope: Slope, steps: int) -> Tensor:
    """Return what is carried beside the state, [2,B,C/2,H,W], at s = 0."""
    size = y1.numel()

    def field(s: float, packed: Tensor) -> Tensor:
        slopes = slope(block, packed[:size].view_as(y1), packed[size:].view_as(beside))
        return torch.cat([one.flatten() for one in slopes])

    packed = torch.cat([y1.flatten(), beside.flatten()])
    for _ in range(steps):
        packed = rk4().step(field, 0.0, packed, -1 / steps)
    return packed[size:].view_as(beside)


def _first(block: Block, y: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes of the state and of (p, r)."""
    p, r = beside
    y, dy = _evaluated(block, y)
    (by_y,) = torch.autograd.grad(halves(dy)[1], y, r)
    by_z, by_v = halves(by_y)
    return dy.detach(), torch.stack([-by_z, -p - by_v])


def _second(block: Block, y: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes of the state and of (r, r')."""
    r, slope = beside
    y, dy = _evaluated(block, y)
    a = halves(dy)[1]
    (by_y,) = torch.autograd.grad(a, y, r, create_graph=True)
    (by_y_of_slope,) = torch.autograd.grad(a, y, slope, retain_graph=True)
    by_z, by_v = halves(by_y)
    # The derivative of r a_v along the trajectory, a product from the right: reverse mode twice.
    probe = torch.zeros_like(by_v, requires_grad=True)
    (back,) = torch.autograd.grad(by_v, y, probe, create_graph=True)
    (along,) = torch.autograd.grad(back, probe, dy.detach())
    bend = by_z.detach() - halves(by_y_of_slope)[1] - along
    return dy.detach(), torch.stack([slope, bend])


def _by_velocity(block: Block, y: Tensor, r: Tensor) -> Tensor:
    """Return r a_v."""
    y, dy = _evaluated(block, y)
    (by_y,) = torch.autograd.grad(halves(dy)[1], y, r)
    return halves(by_y)[1]


def _evaluated(block: Block, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return a state that wants a gradient, and the field there."""
    y = y.detach().requires_grad_()
    with torch.enable_grad():
        return y, block.field(0.0, y)
