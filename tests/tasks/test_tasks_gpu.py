"""The timing tasks on a GPU, for which the processor stands."""

import contextlib
import gc
import types

import pytest
import torch
from tasks_timed import FAILING, NETWORK, Context, rows_of
from torch import nn

from bench.api import Kind
from bench.metrics.latency import MOST_BATCH
from bench.tasks import latency as latency_task
from bench.tasks.block_times import block_times
from bench.tasks.latency import Built, _largest_batch, _stepping_down, latency
from bench.tasks.roofline import roofline
from bench.tasks.timing import conditions


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """Leave out the collections around each measurement: they take longer than what is timed."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


class Gpu(str):
    """The processor's name, but taken for a GPU's."""

    def startswith(self, prefix):
        return prefix == "cuda"


@pytest.fixture
def gpu(monkeypatch):
    """Stand for a GPU with the processor; return how often its cache was emptied."""
    emptied = []
    fakes = {
        "is_available": lambda: True,
        "synchronize": lambda device: None,
        "device": lambda device: contextlib.nullcontext(),
        "Event": lambda enable_timing: types.SimpleNamespace(
            record=lambda: None, elapsed_time=lambda end: 1000.0
        ),
        "empty_cache": lambda: emptied.append(1),
        "reset_peak_memory_stats": lambda device: None,
        "memory_allocated": lambda device: 100 * 2**20,
        "memory_reserved": lambda device: 200 * 2**20,
        "max_memory_allocated": lambda device: 103 * 2**20,
        "max_memory_reserved": lambda device: 204 * 2**20,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return emptied


def test_a_timing_says_its_conditions_and_puts_them_back(gpu, monkeypatch):
    monkeypatch.setattr("bench.metrics.roofline.CONV_BATCHES", (1,))
    monkeypatch.setattr("bench.metrics.roofline.CONV_WIDTH", 8)
    monkeypatch.setattr("bench.metrics.roofline.SIDES", (8,))
    monkeypatch.setattr("bench.metrics.roofline.COPIED_BYTES", {"cpu": 2**10})
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with conditions({"threads": 1}, Context(Gpu("cpu"))):
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
        for task in (latency, block_times, roofline):
            row = rows_of(task, NETWORK, context=Context(Gpu("cpu")))[0]
            assert (row["tf32"], row["threads"], row["device"]) == (False, 1, "cpu")
            assert all(cpu.isdecimal() for cpu in row["cpus"].split(","))
            assert torch.backends.cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_memory_on_a_gpu_is_a_networks_own(gpu):
    row = rows_of(latency, {**NETWORK, "weights": 2}, context=Context(Gpu("cpu")))[0]
    own = 2 + 4 * (3 * 27 + 3) / 2**20  # weights, the convolution's among them
    assert row["cuda_allocated_mib"] == row["peak_memory_mib"] == pytest.approx(own + 3)
    assert row["cuda_reserved_mib"] == pytest.approx(own + 4)


class Roomy(nn.Module):
    """Says how much fits, with words of either kind."""

    def __init__(self, room, error=torch.OutOfMemoryError, seen=None):
        super().__init__()
        self.layer = nn.Linear(1 + room, 1)
        self.room, self.error, self.seen = room, error, seen

    def forward(self, x, step):
        if self.seen is not None:
            self.seen.append(len(x))
        if len(x) > self.room:
            raise self.error("it does not fit")


def largest(*networks):
    built = [Built(str(n), {"name": "roomy"}, one) for n, one in enumerate(networks)]
    return _largest_batch(built, {"channels": 1, "image_size": 1}, "cpu")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_the_largest_batch_is_what_fits_all_networks(gpu, error):
    seen = []
    assert largest(Roomy(100, error, seen), Roomy(9, error, seen)) == 8
    assert seen == [n for n in (1, 2, 4, 8, 16) for _ in range(2)]
    assert len(gpu) == 5


def test_the_search_ends_at_a_cap(gpu):
    assert largest(Roomy(10**5)) == MOST_BATCH


def test_a_fault_at_a_batch_of_one_is_not_taken_for_too_little_memory(gpu):
    with pytest.raises(RuntimeError, match="it does not fit"):
        largest(Roomy(0, RuntimeError))
    with pytest.raises(Exception, match="a batch of one image does not fit the device"):
        largest(Roomy(0))


def test_what_runs_out_of_memory_while_timing_is_halved(gpu):
    def timed(batch):
        if batch > 4:
            raise torch.OutOfMemoryError
        return batch

    assert _stepping_down(timed, 16) == 4
    assert len(gpu) == 2

    def never(batch):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        _stepping_down(never, 4)


@pytest.mark.parametrize(("fails", "batch", "capped"), [(5, 4, False), (10**9, 8, True)])
def test_a_search_from_end_to_end(gpu, monkeypatch, fails, batch, capped):
    monkeypatch.setattr("bench.metrics.latency.largest_batch.__defaults__", (8,))
    monkeypatch.setattr(latency_task, "MOST_BATCH", 8)

    class Full(Context):
        def build(self, kind, spec):
            network = super().build(kind, spec)
            if kind is not Kind.BACKBONE:
                return network
            inside = network.forward

            def forward(x, step):
                # Not in the search, which runs batches of 8 but once: only when all is held.
                if len(x) == 8 and network.calls > fails:
                    raise torch.OutOfMemoryError
                return inside(x, step)

            network.forward = forward
            return network

    context = Full(Gpu("cpu"))
    failing, good = rows_of(latency, FAILING, NETWORK, context=context, batch="largest")
    assert failing["fault"].startswith("Failing failed")
    assert (good["batch"], good["batch_capped"]) == (batch, capped)
    networks = [one for one in context.built if type(one).__name__ == "Network"]
    assert len(networks) == 3  # with a twin in the search, and one in the audit
