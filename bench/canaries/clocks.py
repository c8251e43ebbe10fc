"""Known answers of the stopwatch, measured by the code that measures latencies."""

import functools
import random
import time
from collections.abc import Iterator

import numpy as np
import torch

from bench.canaries.canary import Canary
from bench.metrics.latency import measure_latency

NAP_S = 0.050
NAP_OVER_S = 0.010
"""How much later than asked a sleeper may wake."""
UNIT_S = 0.004
"""About how long one unit of work takes: short enough to run uninterrupted on a busy machine."""
ROUNDS = 51
READINGS = 50_000


def clock_canaries() -> Iterator[Canary]:
    """Yield them."""
    yield Canary(
        "sleep-50-ms",
        NAP_S + NAP_OVER_S / 2,
        NAP_OVER_S / 2,
        _nap,
        "a sleep of 50 ms takes 50 to 60 ms",
    )
    yield Canary("twice-the-work", 2.0, 0.2, _ratio, "the ratio of two times to one time the work")
    yield Canary(
        "clock-backwards", 0.0, 0.0, _backwards, f"of {READINGS} readings none is before the last"
    )


def _nap() -> float:
    timings = measure_latency(
        {"nap": functools.partial(time.sleep, NAP_S)}, repeats=5, warmup=1, rng=random.Random(0)
    )
    return timings["nap"].median_s


def _ratio() -> float:
    """Return the ratio of the shortest times for double and for single work.

    The shortest, not the median: this tells whether times can be believed, and how disturbed the
    machine was is told by the quartiles of every timing.
    """
    unit = _calibrated()
    timings = measure_latency(
        {"one": functools.partial(_work, unit), "two": functools.partial(_work, 2 * unit)},
        repeats=ROUNDS,
        warmup=2,
        rng=random.Random(0),
    )
    return min(timings["two"].samples) / min(timings["one"].samples)


def _calibrated() -> int:
    """Return how many products take about one unit of time."""
    count = 64
    while True:
        start = time.perf_counter()
        _work(count)
        elapsed = time.perf_counter() - start
        if elapsed > UNIT_S / 4:
            return max(1, round(count * UNIT_S / elapsed))
        count *= 2


@torch.inference_mode()
def _work(count: int) -> None:
    """Multiply small matrices, which stay in the nearest cache and on one thread."""
    matrix = torch.full((64, 64), 1 / 64)
    product = matrix
    for _ in range(count):
        product = product @ matrix


def _backwards() -> float:
    readings = np.array([time.perf_counter_ns() for _ in range(READINGS)])
    return float((np.diff(readings) < 0).sum())
