"""Peak memory of a call, and the stopwatch of a GPU, of which there is none here."""

import types
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import ANY

import pytest
import torch

from bench.metrics import memory
from bench.metrics.latency import stopwatch_for, synchronizer


class Gpu:
    """Stands for `torch.cuda`: a queue that works while nobody waits, and an allocator."""

    def __init__(self):
        self.log = []
        self.now = 5.0  # seconds: when the queue will be empty
        self.live, self.held = 300, 512
        self.most_live, self.most_held = 900, 1024

    def launch(self, seconds, live=0, held=0):
        """Do what a call does: put work into the queue, which needs memory meanwhile."""
        self.log.append("call")
        self.now += seconds
        if "call" not in self.log[:-1]:  # a library's workspace, for good
            self.live, self.held = self.live + 32, self.held + 32
        self.most_live = max(self.most_live, self.live + live)
        self.most_held = max(self.most_held, self.held + held)

    def event(self, enable_timing):
        assert enable_timing
        event = types.SimpleNamespace(at=None)

        def record():
            self.log.append("record")
            event.at = self.now

        event.record = record
        event.elapsed_time = lambda end: 1000 * (end.at - event.at)
        return event

    @contextmanager
    def device(self, name):
        self.log.append(f"enter {name}")
        yield
        self.log.append("leave")

    def empty_cache(self):
        self.log.append("empty")
        self.held = self.live + 12

    def reset(self):
        self.log.append("reset")
        self.most_live, self.most_held = self.live, self.held


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu()

    def waiting(device):
        assert device == "cuda:1"
        gpu.log.append("wait")

    def of_device(answer):
        def asked(device):
            assert device == "cuda:1"
            return answer()

        return asked

    fakes = {
        "Event": gpu.event,
        "device": gpu.device,
        "synchronize": waiting,
        "empty_cache": gpu.empty_cache,
        "reset_peak_memory_stats": of_device(gpu.reset),
        "memory_allocated": of_device(lambda: gpu.live * 2**20),
        "memory_reserved": of_device(lambda: gpu.held * 2**20),
        "max_memory_allocated": of_device(lambda: gpu.most_live * 2**20),
        "max_memory_reserved": of_device(lambda: gpu.most_held * 2**20),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return gpu


def test_a_gpu_is_timed_by_events_in_its_own_queue(gpu):
    assert stopwatch_for("cuda:1")(lambda: gpu.launch(0.25)) == pytest.approx(0.25)
    assert gpu.log == ["enter cuda:1", "wait", "record", "call", "record", "wait", "leave"]


def test_a_gpu_is_waited_for(gpu):
    synchronizer("cuda:1")()
    assert gpu.log == ["wait"]


def test_the_peak_on_a_gpu_is_what_a_call_adds_and_its_weights(gpu):
    peak = memory.measure_peak(lambda: gpu.launch(1, 50, 64), "cuda:1", weights_mib=7)
    assert gpu.log == ["call", "wait", "empty", "reset", "call", "wait"]
    assert (peak.cuda_allocated_mib, peak.cuda_reserved_mib) == (57, 71)
    assert peak.memory_mib == 57
    gpu.live, gpu.held, gpu.most_live, gpu.most_held = 5000, 9000, 9000, 9900
    assert memory.measure_peak(lambda: gpu.launch(1, 50, 64), "cuda:1", weights_mib=7) == replace(
        peak, rss_rise_mib=ANY
    )


def test_the_peak_holds_what_a_call_needed_for_a_moment():
    peak = memory.measure_peak(lambda: len(bytearray(b"x") * (64 * 2**20)))
    assert peak.cuda_allocated_mib is None
    assert peak.rss_rise_mib >= 0
    if peak.rss_reset:
        assert peak.rss_rise_mib == pytest.approx(64, abs=20)
        assert memory.measure_peak(lambda: None).rss_rise_mib < 32


def test_a_network_needs_its_own_weights_beside_what_a_call_adds():
    network = torch.nn.Linear(2**10, 2**10)
    network.register_buffer("seen", torch.zeros(2**18, dtype=torch.float64))
    network.again = network.weight  # one and the same
    weights = memory.mib_of_weights(network)
    assert weights == pytest.approx(4 + 2**-8 + 2)
    peak = memory.measure_peak(lambda: None, weights_mib=weights)
    assert peak.memory_mib == peak.weights_mib + peak.rss_rise_mib >= 6


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
