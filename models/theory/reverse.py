"""Equations 5 to 9: the reverse SDE is the probability-flow ODE and a Langevin part."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from bench.api import Checked, Claim, Curve, Holds, Kind, register
from models.samplers.euler import euler
from models.samplers.heun import heun
from models.samplers.reverse_sde import reverse_sde
from models.samplers.walk import Sampler
from models.theory.distance import sliced_wasserstein
from models.theory.mixture import RADIUS, T_END, Exact, last_state, ring

PARTICLES = 16_384
"""Times the effort."""
CALLS = (4, 8, 16, 32, 64, 128, 256)
LEVELS = (0.8, 0.6, 0.4, 0.2, 0.1, T_END)
"""Where the laws are compared."""
FINE = 100
"""Steps where they are."""
WRONG = 1.5
"""The flawed start is so many times as wide as the true one."""
TIMES_FLOOR = 2.0
NEAR = 0.015
"""A method is faster that comes within this distance with fewer calls..."""
CLEARLY = 1.2
"""...so many times fewer; where neither is, that is not decided."""
PAIRS, FIRST_PAIR = 8, 1000
"""Exact samples that are held against another, and the seed from which theirs are counted."""
PANEL_LAWS = "The law at every level"
PANEL_EXACT = "Exact score, right start"
PANEL_FLAWED = f"Exact score, start {WRONG} times too wide"
AWAY = "sliced Wasserstein distance to the exact law"
EXACT_PAIR = "two exact samples"
METHODS: dict[str, Sampler] = {
    "ODE, Euler": euler,
    "ODE, Heun": heun,
    "SDE, Euler-Maruyama": reverse_sde,
}


def langevin(exact: Exact, x: Tensor, t: float, *, span: float, steps: int, seed: int) -> Tensor:
    """Return states after the part that equation 9 adds to the ODE, alone, at one level.

        dx = beta/2 score(x, t) ds + sqrt(beta) dw

    It leaves the law of level t as it is, and forgets where in it a state was.

    Args:
        exact: The diffusion.
        x: States at level t.
        t: The level.
        span: How long, in units of the time in which the noise alone has the variance of a
            component: after a few of them a state has forgotten where it was in its component.
        steps: Of the method of Euler and Maruyama.
        seed: Of the noise.
    """
    draw, h = seeded(seed), span * exact.deviation(t) ** 2 / steps
    for _ in range(steps):
        x = x + h / 2 * exact.score(x, t) + math.sqrt(h) * draw(x)
    return x


def seeded(seed: int) -> Callable[[Tensor], Tensor]:
    """Return a source of standard normal noise."""
    rng = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=rng, dtype=like.dtype)


@register(
    Kind.CHECK, "reverse-sde", source="equations 5 to 9; Song et al. 2021; Karras et al. 2022"
)
@torch.no_grad()
def reverse_processes(effort: int, seed: int) -> Checked:
    """Check that both have the laws of the diffusion, and which is nearer after how many calls.

    Args:
        effort: Multiplies the particles.
        seed: Of states and noise.
    """
    exact, count = ring(), PARTICLES * effort
    # The laws are compared as far as fewer particles tell them apart: with all of them, the error
    # of the many steps that the SDE takes would be seen.
    few, least = count // 4, _floor(exact, count, T_END, seed)
    laws, floor = _laws(exact, few, seed)
    stays = [_moved_by_langevin(exact, few, t, seed) for t in LEVELS]
    right, wrong = (
        {name: _errors(exact, name, count, width, seed) for name in METHODS}
        for width in (1.0, WRONG)
    )
    claims = [
        _same_laws({**laws, "Langevin part alone": stays}, floor),
        _compared("with the exact score and the right start", right, least),
        _compared(f"with the exact score, and a start {WRONG} times too wide", wrong, least),
    ]
    return Checked(
        claims,
        [
            *_law_curves({**laws, "Langevin part alone": stays}, floor),
            *_error_curves(PANEL_EXACT, right, least),
            *_error_curves(PANEL_FLAWED, wrong, least),
        ],
    )


def _sampled(exact: Exact, name: str, x: Tensor, grid: Sequence[float], seed: int) -> Tensor:
    states = METHODS[name](exact, x, grid, seeded(seed), clip=False)
    return last_state(states, exact.schedule)


def _laws(exact: Exact, count: int, seed: int) -> tuple[dict[str, list[float]], list[float]]:
    """Return the distances to the exact laws at `LEVELS`, and those of two exact samples."""
    floor = [_floor(exact, count, t, seed) for t in LEVELS]
    laws = {}
    for name in ("ODE, Heun", "SDE, Euler-Maruyama"):
        x, at, laws[name] = exact.draw(count, 1.0, seed + 2), 1.0, []
        grid = exact.schedule.even_grid(FINE)
        for number, t in enumerate(LEVELS):
            between = [at, *(level for level in grid if t < level < at), t]
            x, at = _sampled(exact, name, x, between, seed + 3 + number), t
            laws[name].append(_apart(exact, x, t, seed))
    return laws, floor


def _floor(exact: Exact, count: int, t: float, seed: int) -> float:
    """Return how far two exact samples are apart, a mean over several."""
    others = (exact.draw(count, t, seed + FIRST_PAIR + i) for i in range(PAIRS))
    return sum(_apart(exact, x, t, seed) for x in others) / PAIRS


def _moved_by_langevin(exact: Exact, count: int, t: float, seed: int) -> float:
    x = exact.draw(count, t, seed + 2)
    return _apart(exact, langevin(exact, x, t, span=5.0, steps=FINE // 2, seed=seed + 3), t, seed)


def _apart(exact: Exact, x: Tensor, t: float, seed: int) -> float:
    return sliced_wasserstein(x, exact.draw(len(x), t, seed))


def _errors(exact: Exact, name: str, count: int, width: float, seed: int) -> list[float]:
    x = width * exact.draw(count, 1.0, seed + 2)
    found = []
    for calls in CALLS:
        steps = calls // 2 if METHODS[name] is heun else calls
        grid = exact.schedule.even_grid(steps)
        found.append(_apart(exact, _sampled(exact, name, x, grid, seed + 3), T_END, seed))
    return found


def _same_laws(laws: dict[str, list[float]], floor: list[float]) -> Claim:
    worst = {
        name: max(one / other for one, other in zip(values, floor, strict=True))
        for name, values in laws.items()
    }
    told = ", ".join(f"{name} {value:.2f}" for name, value in worst.items())
    return Claim(
        "Equations 5 to 9",
        "The reverse SDE is the probability-flow ODE and a Langevin part; all have the same laws.",
        Holds.YES if max(worst.values()) < TIMES_FLOOR else Holds.NO,
        f"Largest distance to the exact law at {len(LEVELS)} levels, in those of two exact "
        f"samples: {told}.",
        {f"{name}, distance over floor": value for name, value in worst.items()},
    )


def _needed(errors: Sequence[float]) -> float:
    """Return the calls after which a method is near, between those measured; infinite if never.

    The logarithm of the error is taken as linear in that of the calls.
    """
    steps = list(zip(CALLS, errors, strict=True))
    if errors[0] < NEAR:
        return CALLS[0]
    for (few, far), (many, near) in pairwise(steps):
        if near < NEAR:
            share = math.log(far / NEAR) / math.log(far / near)
            return few * (many / few) ** share
    return math.inf


def _crossing(ode: Sequence[float], sde: Sequence[float], floor: float) -> float:
    """Return the calls at which the curve of the ODE first crosses that of the SDE.

    Between those measured, on logarithmic axes. Infinite if they do not while either is told from
    the exact law: below, it is the draw that decides which is nearer.
    """
    steps = list(zip(CALLS, ode, sde, strict=True))
    for (few, *before), (many, *after) in pairwise(steps):
        if max(after) < TIMES_FLOOR * floor:
            break
        first, then = (math.log(one / other) for one, other in (before, after))
        if first * then < 0:
            return few * (many / few) ** (first / (first - then))
    return math.inf


def _compared(where: str, found: dict[str, list[float]], floor: float) -> Claim:
    calls = {name: _needed(errors) for name, errors in found.items()}
    ode, sde = found["ODE, Heun"][-1], found["SDE, Euler-Maruyama"][-1]
    of_sde, of_ode = calls["SDE, Euler-Maruyama"], min(calls["ODE, Euler"], calls["ODE, Heun"])
    faster, slower = CLEARLY * of_ode < of_sde, CLEARLY * of_sde < of_ode
    worse = ode > TIMES_FLOOR * sde
    best = [min(pair) for pair in zip(found["ODE, Euler"], found["ODE, Heun"], strict=True)]
    crossing = _crossing(best, found["SDE, Euler-Maruyama"], floor)
    nearer = "SDE" if found["SDE, Euler-Maruyama"][0] < best[0] else "ODE"
    told = ", ".join(
        f"{name} {count:.0f}" if count < math.inf else f"{name} not by {CALLS[-1]}"
        for name, count in calls.items()
    )
    verdicts = {(True, True): Holds.YES, (False, False): Holds.NO}
    if not faster and not slower:
        verdicts = {(False, worse): Holds.OPEN}
    return Claim(
        f"After equation 9, {where}",
        "The probability-flow ODE is faster, but less accurate than the SDE.",
        verdicts.get((faster, worse), Holds.PARTLY),
        f"Calls to a distance of {NEAR:g} ({100 * NEAR / RADIUS:.0f} % of the data's radius): "
        f"{told}. {_told_crossing(nearer, crossing)} After {CALLS[-1]} calls the ODE is at "
        f"{ode / floor:.1f}, the SDE at {sde / floor:.1f} times the distance of two exact samples.",
        {
            "ODE, distance over floor": ode / floor,
            "SDE, distance over floor": sde / floor,
            **({"calls at the crossing": crossing} if crossing < math.inf else {}),
        },
    )


def _told_crossing(nearer: str, crossing: float) -> str:
    if crossing == math.inf:
        return f"The curves do not cross: the {nearer} is nearer from {CALLS[0]} calls on."
    return f"The curves cross at {crossing:.0f} calls: with fewer the {nearer} is nearer."


def _law_curves(laws: dict[str, list[float]], floor: list[float]) -> list[Curve]:
    axes = {"x_axis": "level t", "y_axis": AWAY, "logarithmic": "y"}
    curves = [Curve(PANEL_LAWS, name, LEVELS, values, **axes) for name, values in laws.items()]
    return [*curves, Curve(PANEL_LAWS, EXACT_PAIR, LEVELS, floor, reference=True, **axes)]


def _error_curves(panel: str, found: dict[str, list[float]], floor: float) -> list[Curve]:
    axes = {"x_axis": "network calls", "y_axis": AWAY}
    curves = [Curve(panel, name, CALLS, values, **axes) for name, values in found.items()]
    line = [floor] * len(CALLS)
    return [*curves, Curve(panel, EXACT_PAIR, CALLS, line, reference=True, **axes)]
