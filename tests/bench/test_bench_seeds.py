import random
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import registry
from bench.api import Cell, Kind
from bench.context import TaskContext
from bench.seeds import ImageNoise, generator, seed_globals, seed_of


@given(st.lists(st.integers() | st.text(), min_size=2, max_size=4, unique_by=repr))
def test_a_seed_depends_on_the_order_of_its_parts(parts):
    assert seed_of(*parts) != seed_of(*reversed(parts))
    assert 0 <= seed_of(*parts) < 2**63


def test_parts_do_not_run_into_each_other():
    assert seed_of("a", "bc") != seed_of("ab", "c")
    assert seed_of(1) != seed_of("1")


def test_an_images_noise_does_not_depend_on_its_batch():
    whole = ImageNoise("x", images=[3, 4, 5])(torch.empty(3, 1, 8, 8))
    alone = ImageNoise("x", images=[4])(torch.empty(1, 1, 8, 8))
    assert torch.equal(whole[1], alone[0])


def test_noise_goes_on_from_call_to_call():
    noise = ImageNoise("x", images=[0])
    like = torch.empty(1, 1, 64, 64)
    first, second = noise(like), noise(like)
    assert not torch.equal(first, second)
    assert abs(float(torch.cat([first, second]).std()) - 1) < 0.05


def test_generators_are_repeatable():
    assert torch.equal(
        torch.rand(3, generator=generator("a", 1)), torch.rand(3, generator=generator("a", 1))
    )


def test_what_is_drawn_from_the_global_generators_is_settled_by_name():
    def drawn(*parts):
        seed_globals(*parts)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    first = drawn("a", 1)
    assert drawn("a", 1) == first
    assert all(x != y for x, y in zip(first, drawn("a", 2), strict=True))


def test_what_building_a_plugin_draws_does_not_reach_what_the_plugin_draws(monkeypatch):
    def drawn(cell, name, *, at_build):
        monkeypatch.setattr(
            registry, "build", lambda kind, name: [random.random() for _ in range(at_build)]
        )
        context = TaskContext(
            Cell("toy", {}), {}, None, Path(), Path(cell), "cpu", print, lambda: False
        )
        context.build(Kind.SAMPLER, {"name": name})
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    first = drawn("a", "one", at_build=0)
    assert drawn("a", "one", at_build=5) == first
    assert drawn("a", "two", at_build=0) != first != drawn("b", "one", at_build=0)
