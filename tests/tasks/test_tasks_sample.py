"""The task `sample`: what each word of its specification does to the images."""

from collections import deque
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tasks_place import NETWORK, SAMPLE, SETS, TRAIN, TRAINING, Context, Pictures, content

from bench.api import BenchError, Cell, Estimate, Invalid
from bench.batches import to_bytes, to_float
from bench.seeds import ImageNoise
from bench.tasks import estimate, sample
from bench.tasks.denoisers import trained_denoiser
from bench.tasks.made import made

STEPS = 4
BLURRED = {"generator": {"name": "blurred-train", "scale": 1.0}, "start": 300}


def sampled(sampler, *uses, **more):
    spec = {**SETS, "sampler": {"name": sampler}, "steps": STEPS, **more}
    return Cell("sample", spec, (TRAIN, *uses))


def images(outcome):
    return load_file(outcome.files[sample.SAMPLES])["images"]


def by_hand(place, cell, start_from=None, **options):
    """Return the same images, sampled in one batch without the task."""
    context = place.context(cell, "by-hand")
    denoiser = trained_denoiser(cell, context, Pictures())
    noise = ImageNoise("sample", cell.spec["seed"], images=range(cell.spec["n"]))
    x = torch.empty(cell.spec["n"], 1, 16, 16)
    x = noise(x) if start_from is None else denoiser.noised(start_from, cell.spec["start"], noise)
    sampler = context.sampler(cell.spec["sampler"]["name"])
    states = denoiser.generate(
        x, noise, steps=cell.spec["steps"], sampler=lambda *a, **k: sampler(*a, **options, **k),
        spacing=cell.spec.get("spacing", "uniform"), start=cell.spec.get("start"),
    )  # fmt: skip
    return to_bytes(deque(states, maxlen=1).pop().current)


def close(one, two):
    """Return whether images agree but for the rounding of a batch of another size."""
    return (one.int() - two.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("sampler", "calls"), [("ddpm", STEPS), ("ddim", STEPS), ("heun", 2 * STEPS - 1)]
)
def test_a_row_tells_the_network_calls_of_an_image(place, sampler, calls):
    (row,) = place.run(sampled(sampler), f"calls-{sampler}").rows
    assert row == {"n_generated": SETS["n"], "calls": calls, "leaks": False}


@pytest.mark.parametrize("sampler", ["ddpm", "euler", "dpmpp-2m", "reverse-sde"])
def test_every_sampler_starts_from_the_same_noise(place, sampler):
    """One step is the network's guess of the image, whatever the sampler."""
    one, two = (
        images(place.run(sampled(name, steps=1), f"first-{name}")) for name in ("ddim", sampler)
    )
    assert close(one, two)
    assert len(np.unique(one.numpy())) > 2


@pytest.mark.parametrize("spacing", ["uniform", "quadratic", "log-snr"])
def test_the_spacing_is_that_of_the_cell(place, spacing):
    cell = sampled("ddim", spacing=spacing)
    assert close(images(place.run(cell, f"spaced-{spacing}")), by_hand(place, cell))


def test_a_cell_that_says_no_spacing_has_uniform_steps(place):
    said = place.run(replace(SAMPLE, spec={**SAMPLE.spec, "spacing": "uniform"}), "said")
    assert content(said) == content(place.run(SAMPLE, "unsaid"))


def test_an_unknown_spacing_is_refused(place):
    with pytest.raises(BenchError, match="no spacing named 'even'; expected one of uniform"):
        place.run(sampled("ddim", spacing="even"), "uneven")


# ------------------------------------------------------------------ measured beforehand


def measured():
    spec = {**SETS, "sampler": {"name": "analytic-ddpm"}}
    return Cell("estimate", spec, (TRAIN,))


def test_what_was_estimated_reaches_the_sampler(place):
    assert sample.MEASURED == estimate.ESTIMATE
    used = measured()
    cell = sampled("analytic-ddpm", used)
    got = images(place.run(cell, "analytic"))
    estimated = load_file(place.made[id(used)] / estimate.ESTIMATE)
    assert close(got, by_hand(place, cell, estimated=estimated))
    other = {**estimated, "energy": estimated["energy"] / 2}
    assert not close(got, by_hand(place, cell, estimated=other))


def test_a_sampler_without_its_estimate_says_so(place):
    with pytest.raises(BenchError, match="cell 'estimate'"):
        place.run(sampled("analytic-ddpm"), "unestimated")


# ------------------------------------------------------------------ from a generator's images


def test_sampling_goes_on_from_a_generators_images(place):
    cell = sampled("ddpm", **BLURRED)
    outcome = place.run(cell, "blurred")
    (row,) = outcome.rows
    assert row["leaks"] is True and row["calls"] == STEPS
    generator = Context.build(place.context(cell, "generator"), "generator", {
        **BLURRED["generator"], "channels": 1, "image_size": 16,
    })  # fmt: skip
    generator.fit(to_float(Pictures().images("train")), [], None, 1)
    rough = generator.draw(ImageNoise("generator", 1, images=range(SETS["n"])), SETS["n"])
    assert close(images(outcome), by_hand(place, cell, rough))


def test_from_near_level_0_the_generators_images_remain(place):
    near, far = (
        images(place.run(sampled("ddpm", **{**BLURRED, "start": t}, steps=1), f"from-{t}")).int()
        for t in (1, 1000)
    )
    whole = images(place.run(sampled("ddpm", steps=1), "from-noise")).int()
    assert (far - whole).abs().float().mean() < 1 < (near - whole).abs().float().mean()


def test_a_learnt_generator_is_that_of_its_training(place):
    network = {"generator": {"name": "vae", "scale": 0.1}}
    spec = {**NETWORK, **network, "training": TRAINING, "levels": []}
    del spec["denoiser"]
    short, long = (
        Cell("train", {**spec, "training": {**TRAINING, "updates": updates}}) for updates in (1, 6)
    )
    one, two = (
        place.run(sampled("ddim", used, **network, start=50, steps=2), tag)
        for used, tag in ((short, "vae-1"), (long, "vae-6"))
    )
    assert one.rows[0]["leaks"] is False
    assert not torch.equal(images(one), images(two))


# ------------------------------------------------------------------ distilled


def test_a_students_weights_are_used(place):
    kind = {"distillation": {"name": "progressive"}}
    student = Cell("distil", {**NETWORK, **kind, "training": TRAINING, "steps": 2}, (TRAIN,))
    cell = replace(sampled("ddim", steps=2), uses=(student,))
    got = images(place.run(cell, "student"))
    assert close(got, by_hand(place, cell))
    assert not torch.equal(got, images(place.run(sampled("ddim", steps=2), "teacher")))


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([], "yielded nothing at last"),
        ([(1, 2)], "yielded tuple at last"),
        (
            [Estimate(5, 0.0, torch.zeros(3, 1, 8, 8), None)],
            "made [3, 1, 8, 8], expected [4, 1, 8, 8]",
        ),
        ([Estimate(5, 0.0, [0.0], None)], "made list, expected [4, 1, 8, 8]"),
        ([Estimate(5, 17.5, torch.zeros(4, 1, 8, 8), None)], "stopped at level 17.5, expected 0"),
    ],
)
def test_a_sampler_that_loses_images_or_leaves_noise_is_refused(states, reason):
    with pytest.raises(Invalid) as told:
        made(states, torch.zeros(4, 1, 8, 8), range(4), "theirs", None)
    assert f"sampler 'theirs' {reason}" in str(told.value)


def test_a_samplers_last_state_is_what_it_made():
    last = Estimate(5, 0.0, torch.zeros(4, 1, 8, 8), None)
    found, state = made([last], torch.ones(4, 1, 8, 8), range(8, 11), "theirs", None)
    assert state is last and torch.equal(found, last.current[:3])


@pytest.mark.parametrize(("said", "parts"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_calls_that_a_sampler_makes_are_the_ones_that_it_says(said, parts):
    network = torch.nn.Identity()
    denoiser = SimpleNamespace(diffusion=SimpleNamespace(backbone=network))
    x = torch.zeros(4, 1, 8, 8)

    def states():
        for _ in range(2):
            for part in x.chunk(parts):
                network(part)
        yield Estimate(said, 0.0, x, None)

    if said == 2:
        assert made(states(), x, range(4), "theirs", denoiser)[1].calls == 2
    else:
        with pytest.raises(
            Invalid, match=f"'theirs' says {said} network calls and made 2; expected"
        ):
            made(states(), x, range(4), "theirs", denoiser)
    assert not network._forward_pre_hooks, "the network is as it was"
