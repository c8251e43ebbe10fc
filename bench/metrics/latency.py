"""How long calls take, measured in turns so that a drift of the machine hits all of them."""

import functools
import gc
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from bench.api import BenchError
from bench.metrics.ratio import Ratio, paired_ratio

NOISY = 0.10
"""Interquartile range over median from which a timing counts as noisy."""
HALF_WIDTH = 0.03
"""A ratio is settled once its 95 % interval is within so much of it, either side."""
GROWTH = 1.5
"""Rounds grow by so much before settling is looked at again: looking seldom keeps the interval
honest."""
MOST_BATCH = 4096
"""No larger batch is looked for."""
TIME_SPENT = "the time allowed was spent"
ROUNDS_SPENT = "all rounds allowed were spent"
NANO = 1e-9

Stopwatch = Callable[[Callable[[], object]], float]
"""Runs a call and returns its seconds."""


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


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rounds a comparison takes."""

    repeats: int
    """Rounds that count, at least."""
    warmup: int
    """Rounds before them that do not."""
    most_rounds: int
    """After so many rounds it ends, settled or not."""
    most_s: float
    """After so many seconds of counted rounds likewise, but not before `repeats`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Timings of calls that took turns, and their ratios to the first of them."""

    timings: dict[str, Timing]
    ratios: dict[str, Ratio]
    """Of every call but the first."""
    rounds: int
    limit: str = ""
    """What ended it before all was settled; empty where nothing did."""

    def ratios_to_all(self, name: str) -> dict[str, Ratio]:
        """Return the ratios of a call's times to those of every other call."""
        own = self.timings[name].samples
        return {
            other: paired_ratio(own, timing.samples)
            for other, timing in self.timings.items()
            if other != name
        }

    def unsettled(self, name: str) -> str:
        """Return why a call's numbers are not to be trusted; empty where they are."""
        timing, ratio = self.timings[name], self.ratios.get(name)
        reasons = []
        if timing.noisy:
            spread = (timing.q3_s - timing.q1_s) / timing.median_s
            reasons.append(f"interquartile range {spread:.0%} of the median, above {NOISY:.0%}")
        if ratio is not None and ratio.half_width > HALF_WIDTH:
            reached = f"{ratio.half_width:.1%}" if math.isfinite(ratio.half_width) else "no bound"
            reasons.append(f"95 % interval of the ratio within {reached}, above {HALF_WIDTH:.0%}")
        if not reasons:
            return ""
        limit = f": {self.limit}" if self.limit else ""
        return f"{'; '.join(reasons)} after {self.rounds} rounds{limit}"


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
    stopwatch = functools.partial(wall_clock, synchronize=synchronize, clock=clock)
    pace = Pace(repeats, warmup, repeats, 0.0)
    return compare_latency(calls, pace, rng=rng, stopwatch=stopwatch).timings


def compare_latency(
    calls: Mapping[str, Callable[[], object]],
    pace: Pace,
    *,
    rng: random.Random,
    stopwatch: Stopwatch,
) -> Comparison:
    """Time calls in rounds until their ratios to the first one have settled, or the pace ends.

    Settled: no interquartile range above 10 % of its median, no 95 % interval of a ratio wider
    than 3 % either side. Looked at after `repeats` rounds and each time that half as many more
    have been taken.

    Raises:
        BenchError: If there is nothing to time.
    """
    if pace.repeats < 1 or not calls:
        raise BenchError(
            f"{pace.repeats} repeats of {len(calls)} calls, expected at least one of each"
        )
    samples: dict[str, list[float]] = {name: [] for name in calls}
    with no_collecting():
        for _ in range(pace.warmup):
            _round(calls, rng, stopwatch)
        target, spent = pace.repeats, 0.0
        for taken in itertools.count(1):
            for name, elapsed in _round(calls, rng, stopwatch).items():
                samples[name].append(elapsed)
                spent += elapsed
            late = taken >= pace.repeats and spent >= pace.most_s
            if taken < target and not late:
                continue
            found = _compared(samples)
            if not any(map(found.unsettled, calls)):
                return found
            if late or taken >= pace.most_rounds:
                return replace(
                    found, limit=ROUNDS_SPENT if taken >= pace.most_rounds else TIME_SPENT
                )
            target = min(math.ceil(target * GROWTH), pace.most_rounds)
    raise AssertionError("unreachable")  # the rounds end by the pace


def _round(
    calls: Mapping[str, Callable[[], object]], rng: random.Random, stopwatch: Stopwatch
) -> dict[str, float]:
    order = list(calls)
    rng.shuffle(order)
    return {name: stopwatch(calls[name]) for name in order}


def _compared(samples: Mapping[str, list[float]]) -> Comparison:
    first, *others = samples
    return Comparison(
        {name: summarise(taken) for name, taken in samples.items()},
        {name: paired_ratio(samples[name], samples[first]) for name in others},
        len(samples[first]),
    )


@contextmanager
def no_collecting() -> Iterator[None]:
    """Keep the garbage collector from striking inside a measured time."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


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


def stopwatch_for(device: str) -> Stopwatch:
    """Return what times a call: `wall_clock` on a CPU, elsewhere the device's own events.

    The events lie in the device's queue around the work, so that waiting for the processor to
    notice its end does not count; the time from the first launch to the last result does.
    """
    if not device.startswith("cuda"):
        return wall_clock
    import torch

    def timed(call: Callable[[], object]) -> float:
        # Events belong to the queue of the current device, which need not be this one.
        with torch.cuda.device(device):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize(device)
            begin.record()
            call()
            end.record()
            torch.cuda.synchronize(device)
            return begin.elapsed_time(end) / 1000

    return timed


def largest_batch(fits: Callable[[int], bool], most: int = MOST_BATCH) -> int:
    """Return the largest power of two, up to `most`, for which `fits` says yes.

    Raises:
        BenchError: If not even a batch of one fits.
    """
    batch = 1
    if not fits(batch):
        raise BenchError("a batch of one image does not fit the device; use one with more memory")
    while 2 * batch <= most and fits(2 * batch):
        batch *= 2
    return batch


def wall_clock(
    call: Callable[[], object],
    synchronize: Callable[[], None] | None = None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> float:
    """Return the seconds that a call takes, the device's work before and in it included."""
    if synchronize:
        synchronize()
    start = clock()
    call()
    if synchronize:
        synchronize()
    return (clock() - start) * NANO
