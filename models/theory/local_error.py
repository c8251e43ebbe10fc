"""Local against global error: of the solvers inside a block, and of deterministic samplers."""

from collections.abc import Sequence

import torch

from bench.api import Checked, Claim, Curve, Holds, Kind, register
from models.samplers.ddim import ddim
from models.samplers.euler import euler
from models.samplers.heun import heun
from models.samplers.walk import Sampler
from models.solve import integrate
from models.theory.block import Block, relative, second_order
from models.theory.mixture import T_END, Exact, last_state, ring
from models.theory.second_order import COUNTS, FINE, ORDERS, errors
from models.theory.slopes import order

NEAR = 0.15
SAMPLERS: dict[str, tuple[Sampler, int]] = {
    "euler": (euler, 1),
    "ddim": (ddim, 1),
    "heun": (heun, 2),
}
"""Deterministic samplers of one step and their order; a step of `dpmpp-2m` needs the one before."""
STEPS = (40, 80, 160, 320)
"""Of the samplers."""
STATES = 128
FLOW = 20
"""Steps of the exact flow for each step of a sampler."""
PANEL_SOLVERS = "Solvers of a block"
PANEL_SAMPLERS = "Samplers, exact score"


@torch.no_grad()
def local_errors(block: Block, solver: str) -> list[float]:
    """Return the errors of one solver step of size 1/n from y(0), against the exact solution."""
    found = []
    for n in COUNTS:
        span = (0.0, 1 / n)
        right = integrate(block.field, block.y0, solver="rk4-classic", steps=FINE // n, span=span).y
        wrong = integrate(block.field, block.y0, solver=solver, span=span).y
        found.append(relative(wrong, right))
    return found


@register(Kind.CHECK, "local-error", source="section 3.3, last paragraph; Hairer et al. 1993, II.3")
@torch.no_grad()
def local_and_global(effort: int, seed: int) -> Checked:
    """Check that errors of one step are of one order more than those of the whole way.

    Args:
        effort: Not used: this is quick.
        seed: Of weights and states.
    """
    block = second_order(seed)
    solvers = {name: (local_errors(block, name), errors(block, name)) for name in ORDERS}
    samplers = _of_samplers(seed)
    claims = [
        _claim("solvers of the block", solvers, COUNTS, dict(ORDERS)),
        _claim("samplers", samplers, STEPS, {name: p for name, (_, p) in SAMPLERS.items()}),
    ]
    curves = [
        *_curves(PANEL_SOLVERS, solvers, COUNTS, "steps of the solver"),
        *_curves(PANEL_SAMPLERS, samplers, STEPS, "steps of the sampler, even in log SNR"),
    ]
    return Checked(claims, curves)


def _of_samplers(seed: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return the errors of each sampler: of the step from the middle of the way, and of all."""
    exact = ring()
    x = exact.draw(STATES, 1.0, seed)
    x = x[exact.inland(x)]
    grids = {steps: exact.schedule.even_grid(steps) for steps in STEPS}
    end = exact.flow(x, 1.0, T_END, FLOW * STEPS[0])
    steps_from = {}
    for steps, grid in grids.items():
        one = grid[steps // 2 :][:2]
        begin = exact.flow(x, 1.0, one[0], FLOW * STEPS[0])
        steps_from[steps] = one, begin, exact.flow(begin, *one, FLOW)
    found = {}
    for name, (sampler, _) in SAMPLERS.items():
        local = [
            relative(_sampled(exact, sampler, begin, one), right)
            for one, begin, right in steps_from.values()
        ]
        whole = [relative(_sampled(exact, sampler, x, grid), end) for grid in grids.values()]
        found[name] = (local, whole)
    return found


def _sampled(
    exact: Exact, sampler: Sampler, x: torch.Tensor, grid: Sequence[float]
) -> torch.Tensor:
    states = sampler(exact, x, grid, torch.zeros_like, clip=False)
    return last_state(states, exact.schedule)


def _claim(
    what: str,
    found: dict[str, tuple[list[float], list[float]]],
    counts: Sequence[int],
    theory: dict[str, int],
) -> Claim:
    slopes = {name: (order(counts, a), order(counts, b)) for name, (a, b) in found.items()}
    holds = all(
        abs(local - theory[name] - 1) < NEAR and abs(whole - theory[name]) < NEAR
        for name, (local, whole) in slopes.items()
    )
    told = "; ".join(
        f"{name} {local:.2f} and {whole:.2f}" for name, (local, whole) in slopes.items()
    )
    return Claim(
        f"Section 3.3, last paragraph: {what}",
        "If a method has a local error of order p + 1, its global error is of order p.",
        Holds.YES if holds else Holds.NO,
        f"Measured local and global orders: {told}.",
        {
            f"{kind} order of {name}": value
            for name, pair in slopes.items()
            for kind, value in zip(("local", "global"), pair, strict=True)
        },
    )


def _curves(
    panel: str,
    found: dict[str, tuple[list[float], list[float]]],
    counts: Sequence[int],
    x_axis: str,
) -> list[Curve]:
    return [
        Curve(panel, f"{name}, {kind}", counts, values, x_axis, "error, relative")
        for name, pair in found.items()
        for kind, values in zip(("one step", "all"), pair, strict=True)
    ]
