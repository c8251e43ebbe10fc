"""The audits of a timing catch networks that cheat; the ceilings and the times of parts."""

import functools
import itertools
import random
import time

import pytest
import torch
from torch import nn

from bench.api import BenchError
from bench.metrics.audit import Audit, TimedCall, output_error, preparing, repeated_input
from bench.metrics.cost.parts import Part
from bench.metrics.latency import Pace, compare_latency
from bench.metrics.part_times import part_times
from bench.metrics.ratio import Ratio
from bench.metrics.roofline import ceilings

SLOW_S = 0.004


def stopwatch(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def draws():
    drawn = torch.Generator().manual_seed(0)
    return lambda: (torch.randn(1, 1, 4, 4, generator=drawn),)


class Honest(nn.Module):
    def forward(self, x):
        time.sleep(SLOW_S)
        return x * 2


class Remembering(Honest):
    """Knows the inputs that it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def forward(self, x):
        key = x.numpy().tobytes()
        if key not in self.seen:
            self.seen[key] = super().forward(x)
        return self.seen[key]


class Skipping(Honest):
    """Does the work in its first calls only."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) if self.calls < 3 else x


def repeated(network):
    return repeated_input(network, draws(), rng=random.Random(0), stopwatch=stopwatch)


def audit_of(network):
    call = TimedCall(network, draws())
    pace = Pace(repeats=6, warmup=0, most_rounds=6, most_s=0)
    compare_latency({"a": call}, pace, rng=random.Random(0), stopwatch=preparing(stopwatch))
    return output_error(call, type(network)())


def test_an_honest_network_passes():
    found = Audit(audit_of(Honest()), repeated(Honest()))
    assert found.output_error == 0
    assert found.repeated.value == pytest.approx(1, abs=0.5)
    assert found.fault == ""


def test_a_network_that_remembers_is_found():
    ratio = repeated(Remembering())
    assert ratio.value < 0.5
    assert "something remembers it" in Audit(0.0, ratio).fault


def test_a_network_that_is_timed_without_working_is_found():
    error = audit_of(Skipping())
    assert error == pytest.approx(0.5)
    fault = Audit(error, Ratio(1.0, 0.99, 1.01, 6)).fault
    assert "the timed output differs from the scored one by 0.5" in fault


def test_nan_is_no_pass():
    assert "differs" in Audit(float("nan"), Ratio(1.0, 0.99, 1.01, 6)).fault


@pytest.mark.parametrize(
    ("ratio", "faulty"),
    [
        (Ratio(0.89, 0.88, 0.95, 6), True),
        (Ratio(0.91, 0.88, 0.95, 6), False),
        (Ratio(0.7, 0.4, 1.2, 6), False),  # noise
    ],
)
def test_a_tenth_is_the_limit(ratio, faulty):
    assert bool(Audit(0.0, ratio).fault) == faulty


def test_every_timed_call_takes_an_input_that_it_has_not_seen():
    call = TimedCall(nn.Identity(), draws())
    seen = []
    for _ in range(4):
        call.prepare()
        seen.append(call.inputs[0])
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(seen))
    fixed = TimedCall(nn.Identity(), draws(), vary=False)
    first = fixed.inputs[0]
    fixed.prepare()
    assert fixed.inputs[0] is first


# -------------------------------------------------------------------------- times of parts


class Clock:
    """A clock that only work moves."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


class Work(nn.Module):
    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.nanoseconds = clock, round(seconds * 1e9)

    def forward(self, x):
        self.clock.now += self.nanoseconds
        return x


class Net(nn.Module):
    """Parts of known times, one called twice, one inside another; a second in between."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.stages = nn.ModuleList([Work(clock, 2), nn.Sequential(Work(clock, 3), nn.ReLU())])
        self.head = Work(clock, 4)

    def forward(self, x):
        self.clock.now += 10**9
        return self.head(self.stages[1](self.stages[0](self.stages[0](x))))


def test_the_times_of_parts_and_the_rest_add_up():
    clock = Clock()
    network = Net(clock)
    calls = {"net": (network, functools.partial(network, torch.ones(1)))}
    found = part_times(calls, repeats=3, warmup=1, rng=random.Random(0), clock=clock)["net"]
    assert found.parts == {
        Part("stages.0", "stages"): 4.0,
        Part("stages.1", "stages"): 3.0,
        Part("head", "head"): 4.0,
    }
    assert (found.whole, found.untimed_parts, found.unexplained) == (12.0, 12.0, 1.0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


# --------------------------------------------------------------------------------- ceilings


def test_the_ceilings_are_those_of_this_machine(monkeypatch):
    monkeypatch.setattr("bench.metrics.roofline.LEAST_S", 0.0)
    monkeypatch.setattr("bench.metrics.roofline.COPIED_BYTES", {"cpu": 2**20})
    found = {
        one.name: one
        for one in ceilings("cpu", repeats=2, rng=random.Random(0), stopwatch=stopwatch)
    }
    assert set(found) == {
        f"{work}-{dtype}"
        for work in ("matmul", "conv3x3", "copy")
        for dtype in ("float32", "bfloat16")
    }
    assert found["matmul-float32"].macs == 512**3
    assert found["conv3x3-float32"].macs == 64 * 64 * 128 * 128 * 9
    assert found["copy-float32"].bytes_moved == found["copy-bfloat16"].bytes_moved == 2**21
    assert found["copy-float32"].macs is None
    assert all(0 < one.best_s <= one.median_s for one in found.values())


def test_nothing_to_repeat_is_an_error():
    with pytest.raises(BenchError, match="at least one"):
        ceilings("cpu", repeats=0, rng=random.Random(0), stopwatch=stopwatch)
