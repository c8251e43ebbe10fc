import pytest
import torch

from bench import possible
from bench.api import BenchError
from bench.budget import BUDGETS

SMOKE = BUDGETS["smoke"]


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The sizes that backbones were called at, beside an empty memory."""
    made = []
    call = possible._call
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))

    def counted(backbone, options):
        made.append(options["image_size"])
        return call(backbone, options)

    monkeypatch.setattr(possible, "_call", counted)
    possible._taken.cache_clear()
    yield made
    possible._taken.cache_clear()


def ask(size, backbone="unet"):
    possible._taken.cache_clear()  # as in another process
    possible.refuse_impossible(backbone, SMOKE.model_copy(update={"image_size": size}), 1)


def test_a_size_that_was_taken_is_remembered_by_all_that_it_depends_on(calls, monkeypatch):
    for size in (32, 32, 64):
        ask(size)
    assert calls == [32, 64]
    monkeypatch.setattr(possible, "digest", lambda module: "other code")
    ask(32)
    monkeypatch.setattr(possible, "version", lambda package: "99.0")
    ask(32)
    assert calls == [32, 64, 32, 32]


def test_a_refusal_is_never_remembered(calls):
    for _ in range(2):
        with pytest.raises(BenchError, match="30"):
            ask(30)
    assert calls == [30, 30]


def test_a_backbone_without_a_source_is_called_each_time(calls, monkeypatch):
    monkeypatch.setattr(possible, "source_of", lambda module: None)
    for _ in range(2):
        ask(32)
    assert calls == [32, 32]


def test_a_fault_of_calling_without_memory_refuses_nothing(calls, monkeypatch):
    def looks_at_its_numbers(kind, name, **options):
        return torch.zeros(1).item()  # which a tensor without memory does not have

    monkeypatch.setattr(possible, "build", looks_at_its_numbers)
    ask(32)
    assert calls == [32]
