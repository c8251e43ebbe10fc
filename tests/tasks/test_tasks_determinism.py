import dataclasses
import importlib

import pytest
import torch
from tasks_place import CELLS, content, dirty


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_does_not_depend_on_what_ran_before_it(place, name):
    dirty(0)
    first = content(place.run(CELLS[name], f"{name}-first"))
    dirty(1)
    again = content(place.run(CELLS[name], f"{name}-again"))
    assert first == again


def cut(place, monkeypatch, name, n):
    """Return what a task joined from its parts, for `n` images in micro-batches of 3."""
    seen = []
    cell = CELLS[name]
    module = importlib.import_module(f"bench.tasks.{cell.task}")
    joined = module.joined
    monkeypatch.setattr(module, "joined", lambda parts: seen.append(joined(parts)) or seen[-1])
    place.run(dataclasses.replace(cell, spec={**cell.spec, "n": n}), f"{name}-{n}")
    return seen[0]


@pytest.mark.parametrize("name", ["sample", "features", "restore", "denoise", "wiener"])
def test_an_image_does_not_depend_on_the_padding(place, monkeypatch, name):
    whole, padded = (cut(place, monkeypatch, name, n) for n in (6, 5))
    for key, value in padded.items():
        assert torch.equal(value[:5], whole[key][:5]), key


def test_another_seed_is_another_result(place):
    cell = CELLS["sample"]
    one = place.run(cell, "one-seed")
    other = dataclasses.replace(cell, spec={**cell.spec, "seed": 2})
    assert content(one) != content(place.run(other, "other-seed"))
