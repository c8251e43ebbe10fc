"""Known answers of solvers and noise schedules, which come by name."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import torch

from bench.canaries.canary import Canary

STEPS = 16
SIGMA_AT_THE_END = {
    "linear": 78.703640405203717,
    "cosine": 10145.584805010751,
    "sigmoid": 912.44629956276142,
}
"""sigma of level 1000, from the published formulas in 40-digit arithmetic."""


def solver_canaries(name: str, scheme: Any) -> Iterator[Canary]:
    """Yield those of one explicit solver of order p with p stages, for dz/ds = -z from z = 1.

    A step of size h multiplies z by the first p + 1 terms of exp(-h), whatever the coefficients;
    and the error against exp(-1) falls by 2^p where steps are halved.
    """
    order = scheme.order
    factor = sum((-1 / STEPS) ** k / math.factorial(k) for k in range(order + 1))
    yield Canary(
        f"{name}-decay",
        factor**STEPS,
        1e-13,
        functools.partial(_decayed, scheme, STEPS),
        f"closed form: {STEPS} times the first {order + 1} terms of exp(-1/{STEPS})",
    )
    yield Canary(
        f"{name}-order",
        float(order),
        0.1,
        functools.partial(_order, scheme),
        "its order: how the error against exp(-1) falls, in powers of two, as steps are halved",
    )


def schedule_canary(name: str, schedule: Any) -> Canary:
    """Return that of one schedule: how noisy its last level is."""
    expected = SIGMA_AT_THE_END[name]
    return Canary(
        f"{name}-sigma-1000",
        expected,
        1e-9 * expected,
        lambda: float(schedule.level(1000).sigma),
        "the published formula in 40-digit arithmetic",
    )


def _decayed(scheme: Any, steps: int) -> float:
    z = torch.ones((), dtype=torch.float64)
    for step in range(steps):
        z = scheme.step(lambda s, z: -z, step / steps, z, 1 / steps)
    return float(z)


def _order(scheme: Any) -> float:
    coarse, fine = (abs(_decayed(scheme, n) - math.exp(-1)) for n in (STEPS, 2 * STEPS))
    return math.log2(coarse / fine)
