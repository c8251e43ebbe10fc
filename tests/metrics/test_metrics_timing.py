"""Latency with a clock of our own, and ratios of times."""

import gc
import itertools
import math
import random
import time

import numpy as np
import pytest

from bench.api import BenchError
from bench.metrics.latency import (
    Comparison,
    Pace,
    compare_latency,
    largest_batch,
    measure_latency,
    stopwatch_for,
    summarise,
    synchronizer,
    wall_clock,
)
from bench.metrics.ratio import Ratio, order_rank, paired_ratio


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """Leave out the collection before each comparison: it takes longer than what is timed."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


class Clock:
    """A clock that only calls move."""

    def __init__(self):
        self.now = 0
        self.log = []

    def __call__(self):
        return self.now

    def work(self, name, seconds):
        def call():
            self.log.append(name)
            self.now += round(seconds * 1e9)

        return call


def measure(calls, clock, **changes):
    settings = {"repeats": 5, "warmup": 2, "rng": random.Random(0), "clock": clock, **changes}
    return measure_latency(calls, **settings)


def test_every_call_gets_its_own_time():
    clock = Clock()
    timings = measure({"a": clock.work("a", 0.5), "b": clock.work("b", 2.0)}, clock)
    assert timings["a"].samples == pytest.approx((0.5,) * 5)
    assert timings["b"].median_s == pytest.approx(2.0)
    assert timings["b"].q3_s == pytest.approx(timings["b"].q1_s)
    assert not timings["b"].noisy


def test_calls_take_turns_in_random_order():
    clock = Clock()
    measure({n: clock.work(n, 1) for n in "abc"}, clock, repeats=20, warmup=3)
    rounds = [tuple(clock.log[i : i + 3]) for i in range(0, 69, 3)]
    assert len(rounds) == 23
    assert all(set(turn) == set("abc") for turn in rounds)
    assert len(set(rounds)) > 3
    again = Clock()
    measure({n: again.work(n, 1) for n in "abc"}, again, repeats=20, warmup=3)
    assert again.log == clock.log


def test_warming_up_does_not_count():
    clock = Clock()
    durations = iter([100.0, 50.0, 1.0, 1.0, 1.0])

    def call():
        clock.now += round(next(durations) * 1e9)

    assert measure({"a": call}, clock, repeats=3)["a"].samples == (1.0, 1.0, 1.0)


def test_the_device_is_waited_for_inside_the_measured_time():
    clock = Clock()
    pending = []

    def launch():
        pending.append(3.0)

    def wait():
        while pending:
            clock.now += round(pending.pop() * 1e9)

    assert measure({"a": launch}, clock, synchronize=wait)["a"].median_s == pytest.approx(3.0)


def test_quartiles_and_noise():
    timing = summarise([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (timing.q1_s, timing.median_s, timing.q3_s) == (2.0, 3.0, 4.0)
    assert timing.noisy
    assert not summarise([1.0, 1.04, 1.05, 1.06, 9.0]).noisy


def test_a_real_clock_measures_real_time():
    calls = {"sleep": lambda: time.sleep(0.01)}
    timing = measure_latency(calls, repeats=3, warmup=0, rng=random.Random(0))["sleep"]
    assert 0.01 <= timing.median_s < 0.2


def test_garbage_collection_is_put_back_even_after_a_fault():
    def fail():
        assert not gc.isenabled()
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        measure_latency({"a": fail}, repeats=1, warmup=0, rng=random.Random(0))
    assert gc.isenabled()


@pytest.mark.parametrize("changes", [{"repeats": 0}, {"calls": {}}])
def test_nothing_to_time_is_an_error(changes):
    settings = {"calls": {"a": print}, "repeats": 1, "warmup": 0, "rng": random.Random(0)}
    with pytest.raises(BenchError, match="at least one"):
        measure_latency(**{**settings, **changes})


def test_a_cpu_needs_no_waiting():
    assert synchronizer("cpu") is None
    assert stopwatch_for("cpu") is wall_clock


# ---------------------------------------------------------------------------- ratios


def test_the_ratio_is_of_pairs_so_that_drift_cancels():
    drift = [1.0, 7.0, 2.0, 9.0, 3.0, 30.0, 0.5, 4.0]
    ratio = paired_ratio([2 * d for d in drift], drift)
    assert (ratio.value, ratio.low, ratio.high, ratio.rounds) == (2.0, 2.0, 2.0, 8)
    assert ratio.half_width == 0


def test_medians_of_either_side_may_be_of_different_states_of_the_machine():
    # Another program's work makes about half of the rounds slower by half: nine for one call, ten
    # for the other, as it began in the middle of a round. Both medians lie on the border.
    fast, slow = [1.0] * 9, [1.5] * 9
    ours = [0.5 * pace for pace in [*fast, 1.0, *slow]]
    theirs = [*fast, 1.5, *slow]
    assert np.median(ours) / np.median(theirs) == pytest.approx(0.5 / 1.5)
    assert paired_ratio(ours, theirs).value == 0.5


@pytest.mark.parametrize(("low", "high"), [(0.96, 1.001), (0.999, 1.04)])
def test_an_interval_is_as_wide_as_its_larger_side(low, high):
    ratio = Ratio(1.0, low, high, 20)
    assert ratio.half_width == pytest.approx(0.04)
    timing = summarise([1.0] * 20)
    found = Comparison({"a": timing, "b": timing}, {"b": ratio}, 20)
    assert "within 4.0%, above 3%" in found.unsettled("b")


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (15, 4), (20, 6), (100, 40)]
)
def test_the_ranks_of_the_interval_are_those_of_the_tables(count, rank):
    # Conover 1999, table A3, and scipy.stats.binom.ppf(0.025, n, 1 / 2).
    assert order_rank(count) == rank


def test_too_few_rounds_bound_nothing():
    ratio = paired_ratio([1.0] * 5, [1.0] * 5)
    assert (ratio.low, ratio.high) == (0.0, math.inf)


def test_the_interval_holds_as_often_as_it_says_however_skewed_the_times():
    rng = np.random.default_rng(0)
    noise = np.exp(rng.exponential(0.3, size=(2, 2000, 15)))
    ratios = [paired_ratio(3 * a, b) for a, b in zip(*noise, strict=True)]
    held = np.mean([r.low <= 3 <= r.high for r in ratios])
    assert 0.95 <= held <= 0.98  # 15 rounds give 96.5 %
    assert np.mean([r.value for r in ratios]) == pytest.approx(3, rel=0.02)


def changing(clock, *seconds):
    """A call that takes these seconds in turn, again and again."""
    left = itertools.cycle(seconds)

    def call():
        clock.now += round(next(left) * 1e9)

    return call


def compare(calls, clock, **changes):
    pace = Pace(**{"repeats": 10, "warmup": 0, "most_rounds": 80, "most_s": 1e6, **changes})

    def stopwatch(call):
        start = clock.now
        call()
        return (clock.now - start) / 1e9

    return compare_latency(calls, pace, rng=random.Random(0), stopwatch=stopwatch)


def test_quiet_calls_need_no_more_rounds():
    clock = Clock()
    found = compare({"a": changing(clock, 1.0), "b": changing(clock, 0.5, 0.502)}, clock)
    assert found.rounds == 10
    assert set(found.ratios) == {"b"}
    assert found.ratios["b"].value == pytest.approx(0.501)
    assert found.unsettled("a") == found.unsettled("b") == ""


def test_a_noisy_ratio_is_repeated_to_the_cap_and_says_what_was_reached():
    clock = Clock()
    found = compare({"a": changing(clock, 1.0), "b": changing(clock, 1.0, 2.0)}, clock)
    assert found.rounds == len(found.timings["b"].samples) == 80
    assert found.unsettled("a") == ""
    assert found.unsettled("b") == (
        "interquartile range 67% of the median, above 10%; "
        "95 % interval of the ratio within 33.3%, above 3% after 80 rounds: "
        "all rounds allowed were spent"
    )


def test_noise_that_passes_is_outlived():
    clock = Clock()
    rough = [1.0, 1.4, 1.8, 1.2, 2.0, 1.1, 1.9, 1.5, 1.3, 1.7]
    call = changing(clock, *rough, *[1.0] * 990)
    found = compare({"a": changing(clock, 1.0), "b": call}, clock)
    assert 10 < found.rounds < 80
    assert found.unsettled("b") == ""


def test_time_ends_a_comparison_too_but_not_before_the_rounds_asked_for():
    clock = Clock()
    rough = changing(clock, 1.0, 2.0)
    at_once, later = (compare({"a": rough}, clock, most_s=most) for most in (1.0, 30.0))
    assert (at_once.rounds, later.rounds) == (10, 20)
    assert at_once.unsettled("a").endswith("after 10 rounds: the time allowed was spent")
    assert later.unsettled("a").endswith("after 20 rounds: the time allowed was spent")


@pytest.mark.parametrize(("room", "largest"), [(1, 1), (5, 4), (64, 64), (10**9, 4096)])
def test_the_largest_batch_that_fits_is_a_power_of_two(room, largest):
    tried = []
    assert largest_batch(lambda n: tried.append(n) or n <= room) == largest
    assert tried == sorted(tried)
    with pytest.raises(BenchError, match="does not fit the device"):
        largest_batch(lambda n: False)
