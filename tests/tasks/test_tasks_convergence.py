"""The tasks `convergence` and `training_pace`: looks on the way are shorter trainings, exactly."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from tasks_place import NETWORK, PIXELS, REAL, SETS, TRAINING, content, dirty
from torch import nn

from bench.api import BenchError, Cell, Invalid
from bench.budget import load_budget
from bench.experiments import theory_convergence
from bench.forecast.work import Work, work_of
from bench.metrics.distances import kid_jackknife
from bench.parts import Pace
from bench.plan import Planned, study_for
from bench.tasks.convergence import snapshots_of
from bench.tasks.training_pace import Update, counted
from bench.training import TrainSettings

UPDATES = {**TRAINING, "validations": 2}
SPEC = {
    **NETWORK, "training": UPDATES, "sampler": {"name": "ddim"}, "spacing": "uniform",
    "features": {"name": "pixels"}, "fractions": [0.5, 1.0], "sampling_steps": [2, 5],
    "n": 6, "n_generated": 8, "n_real": 10, "micro_batch": 3,
}  # fmt: skip
CELL = Cell("convergence", SPEC, (REAL,))


def changed(**spec):
    return dataclasses.replace(CELL, spec={**CELL.spec, **spec})


def far(outcome):
    return [row for row in outcome.rows if row["part"] == "distance"]


# ------------------------------------------------------------------ looks


def test_a_look_on_the_way_is_a_shorter_training(place):
    whole = place.run(CELL, "whole")
    short = place.run(changed(training={**UPDATES, "updates": 3}), "short")
    course = [(row["updates"], row["mse_middle"]) for row in whole.rows if row["part"] == "course"]
    assert [update for update, _ in course] == [3, 6]
    assert [row["updates"] for row in far(whole)] == [3, 3, 6, 6]
    strip = [{**row, "updates_most": 0} for row in far(whole)[:2]]
    assert strip == [{**row, "updates_most": 0} for row in far(short)[2:]]
    assert course[0] in [(r["updates"], r.get("mse_middle")) for r in short.rows]
    assert far(whole)[0]["kid"] != far(whole)[2]["kid"]


def test_the_distance_is_that_of_the_cells_of_table_1(place):
    """Training, images, features and distance, each by the task that Table 1 uses."""
    ours = {row["steps"]: row["kid"] for row in far(place.run(CELL, "ours")) if row["updates"] == 6}
    train = Cell("train", {**NETWORK, "training": TRAINING, "levels": []})
    spec = {**SETS, "sampler": {"name": "ddim"}, "spacing": "uniform"}
    sample = Cell("sample", {**spec, "steps": 5}, (train,))
    made = place.run(Cell("features", PIXELS, (sample,)), "made").files["features.safetensors"]
    real = load_file(place.made[id(REAL)] / "features.safetensors")["features"]
    assert ours[5] == kid_jackknife(load_file(made)["features"], real[:10], 4).value
    assert set(ours) == {2, 5}


@pytest.mark.parametrize("how", ["pause_after", "kill_after"])
@pytest.mark.parametrize("after", [4, 8])
def test_one_that_was_cut_is_the_uninterrupted_one(place, monkeypatch, how, after):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    dirty(0)
    whole = content(place.run(CELL, "uncut"))
    dirty(after)
    assert place.run(CELL, f"{how}-{after}", **{how: after}) is None
    dirty(7)
    assert content(place.run(CELL, f"{how}-{after}")) == whole


def test_weights_that_were_lost_are_made_again(place, monkeypatch):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    assert place.run(CELL, "lost", pause_after=5) is None
    kept = next((place.root / "partial-lost").rglob("after-3.safetensors"))
    kept.write_bytes(kept.read_bytes()[:-4])
    with pytest.raises(BenchError, match="after update 3 are lost or damaged; run again"):
        place.run(CELL, "lost")
    assert content(place.run(CELL, "lost")) == content(place.run(CELL, "found"))


def test_another_seed_is_another_training_and_other_noise(place):
    one, two = far(place.run(CELL, "one")), far(place.run(changed(seed=2), "two"))
    assert all(a["kid"] != b["kid"] for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("how", [{"decay": "cosine"}, {"passes": 2.0}])
def test_a_training_whose_middle_is_no_shorter_one_is_refused(place, how):
    with pytest.raises(Invalid, match="expected 'none' and 0"):
        place.run(changed(training={**UPDATES, **how}), "refused")


def test_snapshots_are_whole_updates_each_once():
    assert snapshots_of(200, (1.0, 0.3, 0.5)) == [60, 100, 200]
    assert snapshots_of(2, (0.1, 0.5, 0.6, 1.0)) == [1, 2]


# ------------------------------------------------------------------ effort


def test_multiply_adds_of_products_are_counted_forwards_and_backwards():
    """[5,3] x [3,4] takes 60; the gradient of either takes 60 more."""
    a, b = torch.randn(5, 3), torch.randn(3, 4, requires_grad=True)
    assert counted(lambda: a @ b) == 60
    assert counted(lambda: (a @ b).sum().backward()) == 120
    with pytest.raises(Invalid, match="without multiply-adds"):
        counted(lambda: a + 1)


def test_an_update_changes_the_network_each_time():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def loss(self, batch, rng):
            return (self.w * batch).square().mean()

    module = Half()
    update = Update(module, torch.ones(2, 1, 4, 4), TrainSettings(**TRAINING))
    update.take()
    once = module.w.item()
    update.take()
    assert 1 > once > module.w.item()
    assert 1 > update.state.average["w"].item() > module.w.item()


@pytest.mark.slow
def test_both_networks_are_counted_and_timed(place):
    spec = {
        "backbone": [{"name": "unet", "scale": 0.0625}, {"name": "cunet", "scale": 0.0625}],
        "recipe": {"name": "authors"}, "dataset": NETWORK["dataset"], "training": TRAINING,
        "threads": 1, "repeats": 3, "warmup": 1, "most_s": 0.1, "seed": 0,
    }  # fmt: skip
    unet, cunet = place.run(Cell("training_pace", spec, timing=True), "pace").rows
    assert (unet["backbone"], cunet["backbone"], unet["time_ratio"]) == ("unet", "cunet", 1.0)
    assert 2.9 < unet["macs_update"] / unet["macs_forward"] <= 3
    assert cunet["macs_forward"] < unet["macs_forward"]
    assert unet["update_s"] > 0 and cunet["time_ratio"] > 0


# ------------------------------------------------------------------ plan


def test_its_work_is_foretold():
    """6 updates of 4; 3 images, padded, by 2 and 5 calls after 3 and 6; 3 levels at both looks."""
    cell = changed(denoiser={"name": "diffusion:unet", "recipe": "authors"}, n_generated=2)
    planned = Planned("key", cell, (), frozenset(), "", {"data": {"counts": {"test": 20}}})
    assert work_of(planned) == Work(forward=2 * 3 * 7 + 2 * 3 * 6, updates=24)


def test_the_cells_are_pairs_of_trainings_and_one_pace():
    study = study_for(load_budget("smoke", ["theory.seeds=3", "train.decay=cosine"]))
    cells = list(theory_convergence.cells(study))
    assert [cell.task for cell in cells] == ["convergence"] * 6 + ["training_pace"]
    assert [cell.spec["seed"] for cell in cells[:6]] == [0, 0, 1, 1, 2, 2]
    assert len({cell.label for cell in cells}) == 7
    for cell in cells:
        assert cell.spec["training"]["decay"] == "none"
        assert cell.spec["training"]["updates"] == study.budget.theory.updates
        assert cell.spec["dataset"]["image_size"] == study.budget.theory.image_size
    pair = cells[0].spec, cells[1].spec
    differing = {name for name in pair[0] if pair[0][name] != pair[1][name]}
    assert differing == {"denoiser"}


@pytest.mark.parametrize("setting", ["checkpoints=mnist-32", "train.begin=mnist-32"])
def test_networks_that_come_trained_are_not_what_learns(setting):
    size = ["dataset=mnist", "image_size=32", "scale=0.5", "theory.image_size=32"]
    study = study_for(load_budget("small", [*size, "theory.scale=0.5", setting]))
    for cell in theory_convergence.cells(study):
        assert not {"checkpoint", "begun"} & cell.spec.keys()


def test_other_networks_are_taken_as_they_come_and_one_is_none():
    assert theory_convergence.pair_of(("cunet", "x", "unet")) == ("unet", "cunet")
    assert theory_convergence.pair_of(("cunet-released", "unet", "x")) == ("cunet-released", "unet")
    assert theory_convergence.pair_of(("unet", "unet")) == ()
    study = study_for(load_budget("smoke", ["backbones=cunet"]))
    assert list(theory_convergence.cells(study)) == []


def test_trainings_of_equal_time_have_the_arithmetic_that_was_timed():
    """An update is timed in float32, whatever the budget's own trainings are in."""
    budget = load_budget("small", ["dataset=digits"])
    assert budget.train.precision == "bfloat16"
    theory = theory_convergence.small_study(study_for(budget)).budget
    assert theory.train.precision == "float32"
