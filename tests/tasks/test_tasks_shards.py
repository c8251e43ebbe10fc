"""Shares of a cell, made one by one: the cell is the same to the last bit, and makes no part."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks_place import CELLS, Place, content, dirty
from test_tasks_resume import context, counted, run, same

from bench.api import Cell, Kind, Paused
from bench.parts import Pace, in_parts, joined
from bench.registry import find
from bench.shards import BLOCKS, share_of

SHARDED = ("sample", "features", "generated", "restore", "denoise", "wiener")
FINE = {"micro_batch": 1}


def shard(folder, made, index, of, count=11, size=2, **stops):
    stops["share"] = (index, of)
    with pytest.raises(Paused):
        joined(in_parts(context(folder, **stops), counted(made), count=count, size=size))


# ------------------------------------------------------------------ parts


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 9), st.booleans(), st.data())
def test_parts_are_the_same_whoever_made_them(tmp_path_factory, count, size, of, slow, data):
    whole = run(tmp_path_factory.mktemp("whole"), [], count, size)
    folder, made = tmp_path_factory.mktemp("shares"), []
    done = data.draw(st.lists(st.sampled_from(range(of)), unique=True))
    with pytest.MonkeyPatch.context() as patch:
        if slow:
            patch.setattr(Pace, "due", lambda self: True)
        for index in done:
            dirty(index)
            shard(folder, made, index, of, count, size)
        starts = range(0, count, size)
        assert made == [starts[b] for index in done for b in share_of(len(starts), index, of)]
        assert same(run(folder, made, count, size), whole)
    assert sorted(made) == list(starts)  # the cell made what no share had, and that alone


def test_a_share_that_was_cut_goes_on_and_others_numbers_do_no_harm(tmp_path):
    whole, made = run(tmp_path / "whole", []), []
    shard(tmp_path / "cut", made, 0, 2, pause_after=2)
    assert made == [0, 2]
    shard(tmp_path / "cut", made, 0, 2)
    assert made == [0, 2, 4]
    for of in (7, 3, 2, 5):
        for index in range(of):
            shard(tmp_path / "cut", made, index, of)
    again = []
    assert same(run(tmp_path / "cut", again), whole) and again == []


def test_a_file_holds_what_follows_each_other(tmp_path, monkeypatch):
    """Else what stands in it behind a part of another file would not be found."""
    monkeypatch.setattr(Pace, "due", lambda self: False)
    made, again = [], []
    assert run(tmp_path / "x", made, pause_after=4) is None  # one file, from 0
    shard(tmp_path / "x", made, 4, 6)  # another, from 8
    shard(tmp_path / "x", made, 1, 2)  # finds no file that begins with 6
    assert made == [0, 2, 4, 6, 8, 6, 10]
    assert same(run(tmp_path / "x", again), run(tmp_path / "whole", [])) and again == []


def test_a_damaged_share_is_made_by_the_cell(tmp_path):
    whole = run(tmp_path / "whole", [])
    for index in range(2):
        shard(tmp_path / "x", [], index, 2)
    path = tmp_path / "x" / "key" / "parts" / "00000006.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 4
    path.write_bytes(damaged)
    made = []
    assert same(run(tmp_path / "x", made), whole)
    assert made[0] == 6 and set(made) <= {6, 8, 10}


def test_progress_is_that_of_the_share_in_the_whole(tmp_path):
    told = context(tmp_path, share=(1, 2))
    with pytest.raises(Paused):
        for _ in in_parts(told, counted([]), count=11, size=2):
            pytest.fail("a share gives nothing back, or it would gather in memory")
    assert told.told == [(2, 11), (4, 11), (5, 11)]


# ------------------------------------------------------------------ cells


@pytest.mark.parametrize("name", SHARDED)
def test_a_task_declares_the_blocks_that_it_has(place, name, monkeypatch):
    told = place.context(CELLS[name], name)
    task = find(Kind.TASK, CELLS[name].task).build
    task(CELLS[name], told)
    assert len(told.told) == getattr(task, BLOCKS)(CELLS[name]) == -(-told.told[-1][1] // 3)


def fine(cell, **uses):
    """Return a cell with an image a block, which uses others."""
    return Cell(cell.task, {**cell.spec, **FINE}, tuple(uses.values()) or cell.uses)


def sharded(place, cell, shards):
    """Measure a cell after its shares, the last ones first; it finds all of its parts."""
    tag = f"{cell.task}-{len(place.made)}"
    for index in reversed(range(shards)):
        dirty(index)
        assert place.run(cell, tag, share=(index, shards)) is None
    kept = {p: p.read_bytes() for p in (place.root / f"partial-{tag}").rglob("*.safetensors")}
    dirty(99)
    outcome = place.run(cell, tag)
    after = {p: p.read_bytes() for p in (place.root / f"partial-{tag}").rglob("*.safetensors")}
    assert shards == 0 or (kept and after == kept)
    place.made[id(cell)] = place.root / tag
    return outcome


def chain(root, shards):
    """Return what comes of samples, their features and those of real images, and the distance."""
    place = Place(root)
    sample = fine(CELLS["sample"])
    generated, real = fine(CELLS["generated"], sample=sample), fine(CELLS["features"])
    cells = [sample, generated, real, fine(CELLS["restore"])]
    made = [content(sharded(place, cell, shards)) for cell in cells]
    distance = Cell("frechet", CELLS["frechet"].spec, (generated, real))
    return [*made, content(place.run(distance, "frechet"))]


@pytest.mark.slow
def test_from_samples_to_the_distance_shards_change_no_bit(tmp_path):
    alone = chain(tmp_path / "0", 0)
    rows, _ = alone[-1]
    assert "frechet" in rows and len(alone) == 5
    for shards in (1, 2, 7):
        assert chain(tmp_path / f"{shards}", shards) == alone


def test_a_fault_in_a_part_would_be_seen(tmp_path):
    """The comparison above notices one bit of one image of one share."""
    place, cell = Place(tmp_path / "x"), fine(CELLS["sample"])
    whole = content(place.run(cell, "whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.tasks.sample.to_bytes", lambda images: _off_by_one(images))
        assert place.run(cell, "planted", share=(2, 3)) is None
    assert content(place.run(cell, "planted")) != whole


def _off_by_one(images):
    made = images.clamp(0, 1).mul(255).round().to(torch.uint8)
    made[0, 0, 0, 0] ^= 1
    return made
