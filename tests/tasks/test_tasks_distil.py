"""The task `distil`: students in a chain, interrupted or not."""

import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tasks_place import NETWORK, SETS, TRAIN, TRAINING, Tiny, content, dirty

from bench.api import BenchError, Cell
from bench.checkpoint import load_weights
from bench.parts import Pace, read_tensors
from bench.tasks.denoisers import WEIGHTS
from models.denoise import DiffusionDenoiser

KIND = {"distillation": {"name": "progressive"}}
CELL = Cell("distil", {**NETWORK, **KIND, "training": TRAINING, "steps": 4}, (TRAIN,))
HALF = Cell("distil", {**NETWORK, **KIND, "training": TRAINING, "steps": 2}, (CELL,))


def weights(place, cell):
    return load_file(place.made[id(cell)] / WEIGHTS)


def test_a_chain_of_students_ends_in_one_that_samples(place):
    spec = {**SETS, "sampler": {"name": "ddim"}, "spacing": "uniform", "steps": 2}
    sample = Cell("sample", spec, (HALF,))
    assert place.run(sample, "samples").rows[0]["n_generated"] == 8
    loaded = DiffusionDenoiser(Tiny())
    load_weights(place.made[id(HALF)] / WEIGHTS, loaded)
    for student, teacher in ((CELL, TRAIN), (HALF, CELL)):
        one, other = weights(place, student), weights(place, teacher)
        assert one.keys() == other.keys() == loaded.state_dict().keys()
        moved = max(float((one[name] - other[name]).abs().max()) for name in one)
        assert 0 < moved < 0.2, "it began as its teacher"


def test_the_row_says_what_was_done(place):
    (row,) = place.run(CELL, "row").rows
    assert (row["updates"], row["images_seen"], row["n_train"]) == (6, 24, 20)
    assert (row["steps"], row["teacher_steps"]) == (4, 8)
    losses = [row[name] for name in ("loss_last", "loss_held_out", "loss_held_out_undistilled")]
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)


def test_the_weights_say_what_they_predict(place):
    path = place.run(CELL, "about").files[WEIGHTS]
    about = json.loads(read_tensors(path)[1]["about"])
    assert (about["prediction"], about["schedule"]) == ("v", "sigmoid")
    assert about["spec"]["steps"] == 4


def test_more_training_lowers_the_loss_on_held_out_images(place):
    longer = {**TRAINING, "updates": 150, "learning_rate": 1e-2}
    cell = dataclasses.replace(CELL, spec={**CELL.spec, "training": longer})
    (row,) = place.run(cell, "longer").rows
    assert row["loss_held_out"] < 0.8 * row["loss_held_out_undistilled"]


@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("how", ["pause_after", "kill_after"])
def test_a_distillation_that_was_cut_is_the_uninterrupted_one(place, monkeypatch, how, after):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    dirty(0)
    whole = content(place.run(CELL, "whole"))
    dirty(after)
    tag = f"{how}-{after}"
    assert place.run(CELL, tag, **{how: after}) is None
    assert any((place.root / f"partial-{tag}").rglob("*.safetensors"))
    dirty(7)
    assert content(place.run(CELL, tag)) == whole


def test_another_seed_is_another_student(place):
    other = dataclasses.replace(CELL, spec={**CELL.spec, "seed": 2})
    one, two = (load_file(place.run(c, f"{i}").files[WEIGHTS]) for i, c in enumerate((CELL, other)))
    assert any(not torch.equal(one[name], two[name]) for name in one)


def test_a_teacher_of_other_steps_is_one_clear_line(place):
    third = dataclasses.replace(HALF, spec={**HALF.spec, "steps": 3})
    with pytest.raises(BenchError, match="distilled for 4 steps, expected 6 for a student of 3"):
        place.run(third, "third")
    with pytest.raises(BenchError, match=r"no teacher; expected a cell 'train' or 'distil'"):
        place.run(dataclasses.replace(CELL, uses=()), "alone")
    many = dataclasses.replace(CELL, spec={**CELL.spec, "steps": 501})
    with pytest.raises(BenchError, match="1002 sampling steps"):
        place.run(many, "many")
