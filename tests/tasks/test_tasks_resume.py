import contextlib
import random
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks_place import CELLS, TRAIN, Context, Killed, content, dirty

from bench import parts
from bench.api import Cell, Paused, StorageError
from bench.context import TaskContext
from bench.parts import Pace, in_parts, joined, keep, read_kept
from bench.store import Store
from bench.training import Loop

LONG = ("train", "sample", "features", "generated", "restore", "denoise", "wiener")


@pytest.fixture
def always_due(monkeypatch):
    """Save every part and every update at once, as where they take long."""
    monkeypatch.setattr(Pace, "due", lambda self: True)


@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("how", ["pause_after", "kill_after"])
@pytest.mark.parametrize("name", LONG)
def test_a_cell_that_was_cut_is_the_uninterrupted_one(place, always_due, name, how, after):
    cell = CELLS[name]
    whole = content(place.run(cell, f"{name}-whole"))
    tag = f"{name}-{how}-{after}"
    dirty(after)
    first = place.run(cell, tag, **{how: after})
    left = sum(1 for path in (place.root / f"partial-{tag}").rglob("*.safetensors"))
    dirty(7)
    assert content(place.run(cell, tag)) == whole
    if len(range(0, cell.spec.get("n", 8), 3)) > after:
        assert first is None and left > 0


# ------------------------------------------------------------------ parts


def context(folder, **stops):
    return Context(None, folder, folder / "key", {}, **stops)


def test_parts_made_from_other_bytes_of_a_used_cell_are_not_gone_on_from(tmp_path):
    """The used cell has the same key, and was trained anew on a machine that rounds otherwise."""
    store, used = Store(tmp_path), "a" * 64
    teacher = Cell("toy", {})
    about = {
        "key": used, "task": "toy", "label": "toy", "status": "ok", "reason": "", "spec": {},
        "rows": [], "uses": [], "timing": False, "made": {}, "files": {},
    }  # fmt: skip
    made = []

    def measured(weights, stop=False):
        folder = store.work(used)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights").write_text(weights)
        store.replace(about, folder, {"weights": ""})
        cell = Cell("toy", {}, (teacher,))
        partial = store.partial("b" * 64)
        context = TaskContext(
            cell, {id(teacher): used}, store, tmp_path, partial, "cpu", print,
            pause_wanted=lambda: stop and len(made) > 1,
        )  # fmt: skip
        made.clear()
        with contextlib.suppress(Paused):
            for _ in in_parts(context, counted(made), count=6, size=2):
                pass
        return list(made), Loop.of(TRAIN, context, mirrors=False).folder

    store.prepare()
    begun, first = measured("one", stop=True)
    assert begun == [0, 2]
    assert measured("one") == ([4], first), "the same bytes are gone on from"
    again, other = measured("two")
    assert again == [0, 2, 4] and other != first


def counted(made):
    """Return a maker that notes its blocks, and draws from everything that is global."""

    def make(block):
        made.append(block.start)
        drawn = [random.random(), float(np.random.rand()), float(torch.rand(()))]
        half = torch.arange(block.start, block.stop).to(torch.bfloat16)
        return {"i": half, "x": torch.tensor([drawn] * len(block), dtype=torch.float64).mT.mT}

    return make


def run(folder, made, count=11, size=2, **stops):
    try:
        return joined(in_parts(context(folder, **stops), counted(made), count=count, size=size))
    except (Paused, Killed):
        return None


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from(["pause_after", "kill_after"]), st.integers(0, 5)), max_size=4
    ),
    st.booleans(),
)
def test_parts_are_the_same_wherever_they_are_cut(tmp_path_factory, count, size, cuts, slow):
    whole = run(tmp_path_factory.mktemp("whole"), [], count, size)
    folder, made = tmp_path_factory.mktemp("cut"), []
    with pytest.MonkeyPatch.context() as patch:
        if slow:
            patch.setattr(Pace, "due", lambda self: True)
        for how, after in cuts:
            if run(folder, made, count, size, **{how: after}) is not None:
                made.clear()  # it came to the end: what it had not kept is made again
        assert same(run(folder, made, count, size), whole)
    if slow or all(how == "pause_after" for how, _ in cuts):
        assert len(made) == len(set(made))


def test_after_a_pause_nothing_is_made_again(tmp_path):
    made = []
    for after in (2, 3, 3, 5):
        assert run(tmp_path, made, pause_after=after) is None
    assert run(tmp_path, made) is not None
    assert made == [0, 2, 4, 6, 8, 10]


def test_nothing_is_begun_once_a_pause_is_wanted(tmp_path):
    made = []
    assert run(tmp_path, made, pause_after=0) is None
    assert made == []


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)


def flip_header(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"2/x", b"4/x"))


def huge_header(path):
    path.write_bytes((2**63).to_bytes(8, "little") + path.read_bytes()[8:])


def folder_instead(path):
    path.unlink()
    path.mkdir()


def foreign(path):
    other = path.parents[2] / "other" / "another-key"
    stranger = Context(None, other, other, {})
    list(in_parts(stranger, counted([]), count=11, size=2))
    shutil.copy(other / "parts" / path.name, path)


DAMAGES = {
    "bit": flip,
    "name": flip_header,
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "header": huge_header,
    "gone": lambda path: path.unlink(),
    "foreign": foreign,
    "loop": lambda path: path.unlink() or path.symlink_to(path.name),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_made_again(tmp_path, always_due, damage):
    whole, made = run(tmp_path / "whole", []), []
    run(tmp_path / "cut", made, pause_after=4)
    DAMAGES[damage](tmp_path / "cut" / "key" / "parts" / "00000002.safetensors")
    again = []
    assert same(run(tmp_path / "cut", again), whole)
    assert again == [2, 8, 10]


def test_what_is_kept_comes_back_bit_for_bit(tmp_path):
    tensors = {
        "half": torch.tensor([1.5, -0.0, float("nan")], dtype=torch.bfloat16),
        "step": torch.tensor(7.0),
        "none": torch.empty(0, 3),
        "flags": torch.tensor([True, False]),
        "turned": torch.arange(6).reshape(2, 3).mT,
    }
    tensors["twice"] = tensors["turned"]
    keep(tmp_path / "x", tensors, of="me", facts={"a": [1, 0.1]})
    back, facts = read_kept(tmp_path / "x", of="me")
    assert facts == {"a": [1, 0.1]} and back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert back[name].dtype == value.dtype and back[name].shape == value.shape
        assert torch.equal(back[name].nan_to_num(9), value.nan_to_num(9))
    assert read_kept(tmp_path / "x", of="you") is None


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    keep(tmp_path / "x", {"a": torch.ones(2)}, of="me", facts={})

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parts, "save_file", full)
    with pytest.raises(StorageError, match="No space left on device; earlier results"):
        keep(tmp_path / "x", {"a": torch.zeros(2)}, of="me", facts={})
    assert float(read_kept(tmp_path / "x", of="me")[0]["a"].sum()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_saving_takes_a_hundredth_of_the_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(parts.time, "monotonic", lambda: now[0])
    pace, spent = Pace(cost=0.1), 0.0

    def save():
        nonlocal spent
        now[0] += 0.5
        spent += 0.5

    for _ in range(10_000):
        now[0] += 0.1
        if pace.due():
            pace.spend(save)
    assert 0.008 < spent / now[0] <= 0.0105
