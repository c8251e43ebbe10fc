"""The task `estimate`: what a sampler measures beforehand, kept and used."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from tasks_place import SETS, TRAIN, Tiny, content, dirty

from bench.api import BenchError, Cell, Kind
from bench.batches import chosen, to_float
from bench.checkpoint import load_weights
from bench.parts import Pace
from bench.seeds import generator
from bench.tasks.estimate import COUNT, ESTIMATE, averaged
from models.denoise import DiffusionDenoiser
from models.samplers.analytic import analytic, measured_levels

CELL = Cell("estimate", {**SETS, "sampler": {"name": "analytic-ddpm"}}, (TRAIN,))


def changed(**spec):
    return dataclasses.replace(CELL, spec={**CELL.spec, **spec})


def test_the_file_holds_what_the_sampler_measured_on_all_the_images(place):
    outcome = place.run(CELL, "estimate")
    found = load_file(outcome.files[ESTIMATE])
    denoiser = DiffusionDenoiser(Tiny())
    load_weights(place.made[id(TRAIN)] / "weights.safetensors", denoiser)
    levels = measured_levels(denoiser.diffusion.schedule)
    assert outcome.rows == [{"n": 8, "numbers": 2 * len(levels)}]
    assert found["levels"].tolist() == levels
    assert set(found) == {"levels", "energy"}
    context = place.context(CELL, "by-hand")
    clean = to_float(chosen(context.build(Kind.DATASET).images("train"), 8))
    energy = sum(
        len(images)
        * analytic.estimate(denoiser.eval().diffusion, images, generator("estimate", 1, start))[
            "energy"
        ]
        for start, images in ((0, clean[:3]), (3, clean[3:6]), (6, clean[6:]))
    )
    torch.testing.assert_close(found["energy"], energy / 8)


def test_parts_count_by_their_images():
    parts = [
        {COUNT: torch.tensor([3.0]), "a": torch.tensor([1.0, 2.0])},
        {COUNT: torch.tensor([1.0]), "a": torch.tensor([5.0, 2.0])},
    ]
    (name, value), *rest = averaged(parts).items()
    assert (name, value.tolist(), rest) == ("a", [2.0, 2.0], [])


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("how", ["pause_after", "kill_after"])
def test_an_estimate_that_was_cut_is_the_uninterrupted_one(place, monkeypatch, how, after):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    dirty(0)
    whole = content(place.run(CELL, "whole"))
    dirty(after)
    assert place.run(CELL, f"{how}-{after}", **{how: after}) is None
    dirty(7)
    assert content(place.run(CELL, f"{how}-{after}")) == whole


def test_another_seed_and_more_images_are_another_estimate(place):
    one = place.run(CELL, "one")
    assert content(place.run(changed(seed=2), "seed")) != content(one)
    more = place.run(changed(n=1000), "more")
    assert more.rows[0]["n"] == 20, "all there are"


def test_samples_take_their_noise_from_the_estimate(place):
    spec = {**SETS, "sampler": {"name": "analytic-ddpm"}, "spacing": "uniform", "steps": 3}
    sample = Cell("sample", spec, (TRAIN, CELL))
    ours = place.run(sample, "analytic")
    ddpm = dataclasses.replace(sample, spec={**spec, "sampler": {"name": "ddpm"}}, uses=(TRAIN,))
    theirs = place.run(ddpm, "ddpm")
    assert content(ours)[1] != content(theirs)[1]
    with pytest.raises(BenchError, match="no energies of the predicted noise"):
        place.run(dataclasses.replace(sample, uses=(TRAIN,)), "without")


def test_what_cannot_be_estimated_is_one_clear_line(place):
    with pytest.raises(BenchError, match="sampler 'ddpm' has nothing to estimate"):
        place.run(changed(sampler={"name": "ddpm"}), "ddpm-estimate")
    wiener = dataclasses.replace(changed(denoiser={"name": "wiener"}), uses=())
    with pytest.raises(BenchError, match=r"'wiener' is no diffusion model.* diffusion:<backbone>"):
        place.run(wiener, "wiener-estimate")
