"""How long calls take, measured in turns so that a drift of the machine hits all of them."""

import gc
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.api import BenchError

NOISY = 0.10
"""Interquartile range over median from which a timing counts as noisy."""
NANO = 1e-9


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds per call; quartiles, and all samples in the order in which they were taken."""

    median_s: float
    q1_s: float
    q3_s: float
    samples: tuple[float, ...]

    @property
    def noisy(self) -> bool:
        """Whether the middle half of the samples spreads over more than 10 % of the median."""
        return self.q3_s - self.q1_s > NOISY * self.median_s


def measure_latency(
    calls: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warmup: int,
    rng: random.Random,
    synchronize: Callable[[], None] | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Timing]:
    """Time calls in rounds: every round runs each of them once, in an order drawn anew.

    Args:
        calls: What to time, by name.
        repeats: Rounds that count.
        warmup: Rounds before them that do not.
        rng: Draws the orders.
        synchronize: Waits for the device; called before both readings of the clock.
        clock: Nanoseconds.

    Raises:
        BenchError: If there is nothing to time.
    """
    if repeats < 1 or not calls:
        raise BenchError(f"{repeats} repeats of {len(calls)} calls, expected at least one of each")
    samples: dict[str, list[float]] = {name: [] for name in calls}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(-warmup, repeats):
            order = list(calls)
            rng.shuffle(order)
            for name in order:
                elapsed = _time_once(calls[name], synchronize, clock)
                if turn >= 0:
                    samples[name].append(elapsed)
    finally:
        if collecting:
            gc.enable()
    return {name: summarise(taken) for name, taken in samples.items()}


def summarise(samples: list[float]) -> Timing:
    """Return median and quartiles of seconds."""
    q1, median, q3 = (float(q) for q in np.quantile(samples, [0.25, 0.5, 0.75]))
    return Timing(median, q1, q3, tuple(samples))


def synchronizer(device: str) -> Callable[[], None] | None:
    """Return what waits for a device's work to end, for `measure_latency`; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return lambda: torch.cuda.synchronize(device)


def _time_once(
    call: Callable[[], object],
    synchronize: Callable[[], None] | None,
    clock: Callable[[], int],
) -> float:
    if synchronize:
        synchronize()
    start = clock()
    call()
    if synchronize:
        synchronize()
    return (clock() - start) * NANO
