"""The audits of a timing catch networks that cheat; the ceilings and the times of parts."""

import functools
import gc
import itertools
import math
import random

import pytest
import torch
from torch import nn

from bench.api import BenchError
from bench.metrics.audit import (
    BFLOAT16,
    REORDERED,
    Audit,
    TimedCall,
    output_error,
    preparing,
    repeated_input,
)
from bench.metrics.cost.parts import Part
from bench.metrics.latency import Pace, compare_latency, wall_clock
from bench.metrics.part_times import part_times
from bench.metrics.ratio import Ratio
from bench.metrics.roofline import DTYPES, _long_enough, _product, ceilings

SLOW = 1.0
LOOK = 0.01


class Clock:
    """A clock that only work moves."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


class Machine:
    """What networks here run on: it counts their seconds, more or less."""

    def __init__(self, seed=0, noise=0.0):
        self.now, self.rng, self.noise = 0.0, random.Random(seed), noise

    def work(self, seconds):
        self.now += seconds * math.exp(self.rng.gauss(0, self.noise))

    def stopwatch(self, call):
        start = self.now
        call()
        return self.now - start


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """Leave out the collection before each comparison: it takes longer than what is timed."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


def draws():
    drawn = torch.Generator().manual_seed(0)
    return lambda: (torch.randn(1, 1, 4, 4, generator=drawn),)


class Honest(nn.Module):
    def __init__(self, machine):
        super().__init__()
        self.machine = machine

    def forward(self, x):
        self.machine.work(SLOW)
        return x * 2


class Remembering(Honest):
    """Knows the inputs that it has seen."""

    def __init__(self, machine):
        super().__init__(machine)
        self.seen = {}

    def forward(self, x):
        key = x.numpy().tobytes()
        self.machine.work(LOOK)
        if key not in self.seen:
            self.seen[key] = super().forward(x)
        return self.seen[key]


class Skipping(Honest):
    """Does the work in its first calls only."""

    def __init__(self, machine):
        super().__init__(machine)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.machine.work(LOOK)
        return super().forward(x) if self.calls < 3 else x


def repeated(kind, seed=0, noise=0.0):
    machine = Machine(seed, noise)
    rng = random.Random(seed)
    return repeated_input(kind(machine), draws(), rng=rng, stopwatch=machine.stopwatch)


def audit_of(kind):
    machine = Machine()
    call = TimedCall(kind(machine), draws())
    pace = Pace(repeats=6, warmup=0, most_rounds=6, most_s=0)
    stopwatch = preparing(machine.stopwatch)
    compare_latency({"a": call}, pace, rng=random.Random(0), stopwatch=stopwatch)
    return output_error(call, kind(machine))


def test_an_honest_network_passes():
    found = Audit(audit_of(Honest), repeated(Honest))
    assert found.output_error == 0
    assert found.repeated.value == pytest.approx(1)
    assert found.fault == ""


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_network_that_remembers_is_found_in_whatever_order(noise):
    for seed in range(20):
        ratio = repeated(Remembering, seed, noise)
        assert ratio.value < 0.1
        assert "something remembers it" in Audit(0.0, ratio).fault


@pytest.mark.parametrize(("noise", "most"), [(0.05, 0), (0.2, 2)])
def test_an_honest_network_is_hardly_ever_refused(noise, most):
    refused = [seed for seed in range(100) if Audit(0.0, repeated(Honest, seed, noise)).fault]
    assert len(refused) <= most


def test_a_network_that_is_timed_without_working_is_found():
    error = audit_of(Skipping)
    assert error == pytest.approx(0.5)
    fault = Audit(error, Ratio(1.0, 0.99, 1.01, 6)).fault
    assert "the timed output differs from the scored one by 0.5" in fault


class Shrinking(Honest):
    """Answers with a column of its output, which would broadcast."""

    def forward(self, x):
        return super().forward(x)[..., :1]


def test_another_shape_is_no_pass_even_where_it_broadcasts():
    call = TimedCall(Shrinking(Machine()), draws())
    call()
    assert output_error(call, Honest(Machine())) == float("inf")


def test_an_engine_is_granted_the_rounding_of_its_numbers():
    assert Audit(1e-5, tolerance=REORDERED).fault == ""
    assert "differs" in Audit(1e-3, tolerance=REORDERED).fault
    assert Audit(1e-2, tolerance=BFLOAT16).fault == ""
    assert "differs" in Audit(1e-5).fault


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


class Work(nn.Module):
    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, itertools.cycle(seconds)

    def forward(self, x):
        self.clock.now += round(next(self.seconds) * 1e9)
        return x


class Net(nn.Module):
    """Parts of known times, one called twice, one inside another; a second in between."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.stages = nn.ModuleList([Work(clock, [2]), nn.Sequential(Work(clock, [3]), nn.ReLU())])
        self.head = Work(clock, [4])

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


class Swinging(nn.Module):
    """Two parts that are slow in turn, and now and then an interruption in the second."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        # Every value twice: a call is watched, and another not, in random order.
        self.first = Work(clock, [1, 1, 3, 3])
        self.second = Work(clock, [3, 3, 1, 1, 3, 3, 1, 1, 90, 90, 90, 90])

    def forward(self, x):
        self.clock.now += 10**8
        return self.second(self.first(x))


def test_the_times_of_parts_that_swing_add_up_too():
    clock = Clock()
    network = Swinging(clock)
    calls = {"net": (network, functools.partial(network, torch.ones(1)))}
    found = part_times(calls, repeats=8, warmup=0, rng=random.Random(0), clock=clock)["net"]
    assert math.fsum(found.parts.values()) + found.unexplained == pytest.approx(found.whole)
    assert found.unexplained == pytest.approx(0.1)  # medians would leave 4 - 3 - 3
    assert found.whole == found.untimed_parts == pytest.approx(4.1)  # no interruption
    assert [part.name for part in found.parts] == ["first", "second"]


# --------------------------------------------------------------------------------- ceilings


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("bench.metrics.roofline.COPIED_BYTES", {"cpu": 2**20})
    monkeypatch.setattr("bench.metrics.roofline.SIDES", (64, 128, 256))
    monkeypatch.setattr("bench.metrics.roofline.CONV_SIDE", 8)


def measured(stopwatch):
    found = ceilings("cpu", repeats=2, rng=random.Random(0), stopwatch=stopwatch)
    return {one.name: one for one in found}


def test_work_grows_until_starting_it_does_not_count(small):
    def timed(call):  # as of a device to which the size of its work is no matter
        return 1e-3 * call().numel() / 64**2

    found = measured(timed)
    # 0.02 s are 20 times 64 x 64 numbers, of which an image of the convolution has two times.
    assert {found[f"matmul-{dtype}"].macs for dtype in DTYPES} == {256**3}  # the largest
    assert {found[f"conv3x3-{dtype}"].macs for dtype in DTYPES} == {16 * 8 * 8 * 128 * 128 * 9}
    assert found["conv3x3-float32"].bytes_moved == 4 * (2 * 16 * 128 * 64 + 128 * 128 * 9)


def test_work_grows_no_further_than_the_memory(small):
    def timed(call):
        out = call()
        if out.numel() > 128**2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1e-6

    with pytest.raises(torch.OutOfMemoryError):
        measured(timed)  # a copy of 1 MiB does not fit: nothing smaller to fall back to
    found = _long_enough(
        [functools.partial(_product, "cpu", torch.float32, side) for side in (64, 128, 256)], timed
    )
    assert found.macs == 128**3


def test_the_ceilings_are_those_of_this_machine(monkeypatch, small):
    monkeypatch.setattr("bench.metrics.roofline.LEAST_S", 0.0)
    found = measured(wall_clock)
    assert set(found) == {
        f"{work}-{dtype}"
        for work in ("matmul", "conv3x3", "copy")
        for dtype in ("float32", "bfloat16")
    }
    assert found["matmul-float32"].macs == 64**3
    assert found["conv3x3-float32"].macs == 8 * 8 * 128 * 128 * 9
    assert found["copy-float32"].bytes_moved == found["copy-bfloat16"].bytes_moved == 2**21
    assert found["copy-float32"].macs is None
    assert all(0 < one.best_s <= one.median_s for one in found.values())


def test_nothing_to_repeat_is_an_error():
    with pytest.raises(BenchError, match="at least one"):
        ceilings("cpu", repeats=0, rng=random.Random(0), stopwatch=wall_clock)
