"""Latency with a clock of our own, and peak memory."""

import gc
import random
import time

import pytest

from bench.api import BenchError
from bench.metrics import memory
from bench.metrics.latency import measure_latency, summarise, synchronizer


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
    calls = {"sleep": lambda: time.sleep(0.02)}
    timing = measure_latency(calls, repeats=3, warmup=0, rng=random.Random(0))["sleep"]
    assert 0.02 <= timing.median_s < 0.2


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
    assert callable(synchronizer("cuda:0"))


# --------------------------------------------------------------------------- memory


def test_the_peak_holds_what_a_call_needed_for_a_moment():
    peak = memory.measure_peak(lambda: len(bytearray(b"x") * (64 * 2**20)))
    assert peak.cuda_allocated_mib is None
    assert peak.rss_mib >= peak.rss_before_mib * 0.99
    if peak.rss_reset:
        assert peak.rss_mib - peak.rss_before_mib == pytest.approx(64, abs=20)
        after = memory.measure_peak(lambda: None)
        assert after.rss_mib < peak.rss_mib - 32


def test_without_proc_the_system_is_asked(monkeypatch, tmp_path):
    known = memory.rss_mib()
    monkeypatch.setattr(memory, "STATUS", tmp_path / "absent" / "status")
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "absent" / "clear_refs")
    assert not memory.reset_peak_rss()
    assert memory.rss_mib() == pytest.approx(known, rel=0.2)
    assert memory.peak_rss_mib() >= known * 0.8


def test_a_reset_that_did_nothing_is_not_believed(monkeypatch, tmp_path):
    status = tmp_path / "status"
    status.write_text("VmHWM:\t  900000 kB\nVmRSS:\t  100000 kB\n")
    monkeypatch.setattr(memory, "STATUS", status)
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "clear_refs")
    assert not memory.reset_peak_rss()
    status.write_text("VmHWM:\t  100500 kB\nVmRSS:\t  100000 kB\n")
    assert memory.reset_peak_rss()
