"""The levels that a sampler visits, descending."""

import math
from collections.abc import Callable

import numpy as np

from bench.api import BenchError
from models.schedule import Schedule


def respaced(start: float, count: int) -> list[float]:
    """Return `count` + 1 levels from `start` down to 0, evenly spaced; inner ones are whole.

    Rounding is downwards, which gives the authors' step grid.

    Source: Nichol and Dhariwal 2021, section 4.

    Raises:
        BenchError: If there are not so many whole levels.
    """
    _refuse_too_many(start, count)
    inner = (math.floor(start * (count - n) / count + 1e-9) for n in range(1, count))
    return [float(start), *map(float, inner), 0.0]


def quadratic(start: float, count: int) -> list[float]:
    """Return `count` + 1 levels whose square roots are evenly spaced: dense where noise is low.

    Source: Song et al. 2021 (DDIM), appendix D.2.
    Differs: not rounded to whole levels, which would coincide near 0.

    Raises:
        BenchError: If there are not so many whole levels.
    """
    _refuse_too_many(start, count)
    return [start * ((count - n) / count) ** 2 for n in range(count)] + [0.0]


def log_snr(schedule: Schedule, start: float, count: int) -> list[float]:
    """Return `count` + 1 levels, evenly spaced in the log signal-to-noise ratio down to level 1.

    The last step, from level 1 to 0, has no such length: the ratio of level 0 is infinite.

    Source: Lu et al. 2022 (DPM-Solver), section 3.4.

    Raises:
        BenchError: If there are not so many whole levels.
    """
    _refuse_too_many(start, count)
    if count == 1 or start <= 1:
        return respaced(start, count)
    first, last = (float(schedule.log_snr(t)) for t in (start, 1.0))
    inner = [schedule.snr_inverse(math.exp(r)) for r in np.linspace(first, last, count)[1:-1]]
    return [float(start), *inner, 1.0, 0.0]


def strided(start: float, stride: int = 1) -> list[float]:
    """Return the levels from `start` down to 0 in steps of `stride`; all but `start` are whole.

    Raises:
        BenchError: If the stride is not positive.
    """
    if stride < 1:
        raise BenchError(f"stride is {stride}, expected 1 or more")
    if start == 0:
        return [0.0]
    return [float(start), *map(float, range(math.ceil(start) - stride, 0, -stride)), 0.0]


SPACINGS: dict[str, Callable[[Schedule, float, int], list[float]]] = {
    "uniform": lambda _, start, count: respaced(start, count),
    "quadratic": lambda _, start, count: quadratic(start, count),
    "log-snr": log_snr,
}


def grid_of(spacing: str, schedule: Schedule, start: float, count: int) -> list[float]:
    """Return `count` + 1 levels from `start` down to 0 in some spacing.

    Raises:
        BenchError: If the spacing is unknown, or there are not so many whole levels.
    """
    if spacing not in SPACINGS:
        raise BenchError(f"no spacing named '{spacing}'; expected one of {', '.join(SPACINGS)}")
    return SPACINGS[spacing](schedule, start, count)


def _refuse_too_many(start: float, count: int) -> None:
    most = max(1, math.floor(start))
    if not 1 <= count <= most or start <= 0:
        raise BenchError(
            f"{count} sampling steps from level {start:g} asked for, expected 1 to {most}; "
            "lower the number of steps"
        )
