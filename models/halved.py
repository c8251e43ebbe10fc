"""Runge-Kutta for z'' = a without the half of every slope that is known: dz/ds is v itself.

The numbers are those of `Scheme.step` up to rounding; what is saved are the copies that put slopes
[v | a] together, and the memory of every intermediate sum. For inference: autograd cannot follow
what is overwritten.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.solve import Scheme

Acceleration = Callable[[float, Tensor], Tensor]
"""dv/ds [B, C/2, H, W] at time s in a state [z | v] of [B,C,H,W]."""


def solve_halved(
    scheme: Scheme,
    steps: int,
    acceleration: Acceleration,
    y0: Tensor,
    span: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """Return the state [z | v] at the end of `span` after steps of equal size from y0."""
    h, y = (span[1] - span[0]) / steps, y0
    stages = [torch.empty_like(y0) if any(row) else None for row in scheme.matrix]
    for n in range(steps):
        y = _step(scheme, acceleration, span[0] + n * h, y, h, stages)
    return y


def _step(
    scheme: Scheme,
    acceleration: Acceleration,
    s: float,
    y: Tensor,
    h: float,
    stages: Sequence[Tensor | None],
) -> Tensor:
    velocities: list[Tensor] = []
    accelerations: list[Tensor] = []
    for node, row, stage in zip(scheme.nodes, scheme.matrix, stages, strict=True):
        state = y if stage is None else _moved(y, h, row, velocities, accelerations, stage)
        velocities.append(_halves(state)[1])
        accelerations.append(acceleration(s + node * h, state))
    return _moved(y, h, scheme.weights, velocities, accelerations, torch.empty_like(y))


def _moved(
    y: Tensor,
    h: float,
    weights: Sequence[float],
    velocities: Sequence[Tensor],
    accelerations: Sequence[Tensor],
    out: Tensor,
) -> Tensor:
    """Write y + h * sum of weights * [v | a] into `out`, and return it."""
    for start, slopes, end in zip(
        _halves(y), (velocities, accelerations), _halves(out), strict=True
    ):
        for weight, slope in zip(weights, slopes, strict=True):
            if weight:
                torch.add(start, slope, alpha=h * weight, out=end)
                start = end
    return out


def _halves(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return z and v of a state: views of it."""
    half = y.shape[1] // 2
    return y[:, :half], y[:, half:]
