"""Planning the experiments `samplers` and `training`: shared cells, one form of names, refusals."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.api import BenchError
from bench.budget import load_budget
from bench.experiments.ways import Way, way_of
from bench.plan import ALL, chosen_experiments, make_plan, study_for

FEW = ["samplers.steps=5,10", "samplers.distil=", "samplers.generators="]


def plan(experiments, *settings):
    return make_plan(study_for(load_budget("smoke", settings)), experiments)


def of_task(plan, task):
    return [p for p in plan if p.cell.task == task]


def ways(plan):
    """Return what tells each generated set apart."""
    words = ("spacing", "steps", "start", "student")
    return [
        tuple(p.cell.spec[w] for w in words if w in p.cell.spec) for p in of_task(plan, "sample")
    ]


def test_they_are_no_part_of_all():
    words = ["samplers", "training"]
    assert not set(words) & set(ALL)
    assert chosen_experiments(words) == tuple(words)


def test_every_sampler_on_every_backbone_at_every_number_of_steps():
    names = ("ddim", "heun", "analytic-ddpm")
    found = plan(["samplers"], *FEW, f"samplers.names={','.join(names)}")
    sets = Counter(
        (p.cell.spec["denoiser"]["name"], p.cell.spec["sampler"]["name"], p.cell.spec["steps"])
        for p in of_task(found, "sample")
    )
    assert set(sets.values()) == {1} and len(sets) == 2 * 3 * 2
    counts = Counter(p.cell.task for p in found)
    assert counts["train"] == counts["estimate"] == counts["cost"] == 2
    assert counts["frechet"] == 12 and counts["latency"] == 1
    for p in of_task(found, "sample"):
        asked = p.cell.spec["sampler"]["name"] == "analytic-ddpm"
        assert [u.task for u in p.cell.uses] == ["train", "estimate"][: 1 + asked]


def test_the_same_images_are_one_cell_in_table1_and_here():
    both = plan(["table1", "samplers"], *FEW, "samplers.names=ddim", "samplers.n_generated=192")
    shared = {p.cell.spec["steps"] for p in of_task(both, "sample") if len(p.experiments) == 2}
    assert shared == {5, 10}
    assert len(of_task(both, "sample")) == 2 * 4, "20 and 50 steps are Table 1's alone"
    assert len([p for p in of_task(both, "train") if len(p.experiments) == 2]) == 2
    # Each table's distances are its own, so that rows can be told apart.
    assert {p.cell.spec.get("table") for p in of_task(both, "frechet")} == {None, "samplers"}


def test_names_that_mean_the_same_are_the_same_cell():
    one, two = (
        plan(["samplers"], *FEW, f"samplers.names={name}")
        for name in ("ddim+eta=0.5+clip=true", "ddim+clip=true+spacing=uniform+eta=0.50")
    )
    assert list(one.cells) == list(two.cells)
    assert way_of("dpmpp-2m+spacing=log-snr", 5, 9) == Way("dpmpp-2m", 5, 9, "log-snr")


def test_options_and_spacings_are_cells_of_their_own():
    names = "ddim,ddim+eta=1,ddim+spacing=log-snr"
    found = plan(["samplers"], *FEW, f"samplers.names={names}", "samplers.steps=5")
    assert len(of_task(found, "sample")) == 6
    assert Counter(ways(found)) == {("uniform", 5): 4, ("log-snr", 5): 2}


def test_an_estimate_serves_every_option_and_every_grid():
    names = "analytic-ddpm,analytic-ddpm+eta=0,analytic-ddpm+spacing=quadratic"
    found = plan(["samplers"], *FEW, f"samplers.names={names}")
    assert len(of_task(found, "estimate")) == 2


def test_early_stopped_sampling_starts_from_trained_and_from_untrained_generators():
    found = plan(["samplers"], *FEW, "samplers.names=", "samplers.generators=vae,blurred-train",
                 "samplers.steps=5", "samplers.early_stop=300")  # fmt: skip
    sets = of_task(found, "sample")
    assert set(ways(found)) == {("uniform", 5, 300)} and len(sets) == 4
    used = {
        p.cell.spec["generator"]["name"]: [sorted(set(u.spec) & {"denoiser", "generator"})[0]
                                           for u in p.cell.uses]
        for p in sets
    }  # fmt: skip
    assert used == {"vae": ["denoiser", "generator"], "blurred-train": ["denoiser"]}
    assert len([p for p in of_task(found, "train") if "generator" in p.cell.spec]) == 1


def test_each_student_is_the_next_ones_teacher():
    found = plan(["samplers"], "samplers.names=", "samplers.generators=", "samplers.distil=8,4,2",
                 "backbones=cunet")  # fmt: skip
    chain = of_task(found, "distil")
    assert [p.cell.spec["steps"] for p in chain] == [8, 4, 2]
    assert [p.cell.uses[0].task for p in chain] == ["train", "distil", "distil"]
    updates = load_budget("smoke").samplers.distil_updates
    assert {p.cell.spec["training"]["updates"] for p in chain} == {updates}
    for p in of_task(found, "sample"):
        (weights,) = p.cell.uses
        assert weights.spec["steps"] == p.cell.spec["steps"] == p.cell.spec["student"]


def test_a_network_that_predicts_noise_has_no_students():
    assert not of_task(plan(["samplers"], *FEW[:1], "recipe=ho2020"), "distil")


def test_training_measures_both_in_every_third():
    found = of_task(plan(["training"]), "denoise")
    levels = sorted({p.cell.spec["t"] for p in found})
    assert [sum(1000 * k / 3 < t <= 1000 * (k + 1) / 3 for t in levels) for k in range(3)] == [
        2
    ] * 3
    by_name = Counter(p.cell.spec["denoiser"]["name"] for p in found)
    assert by_name == {"wiener": 6, "diffusion:unet": 6, "diffusion:cunet": 6}
    assert {p.cell.spec["table"] for p in found} == {"training"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("samplers.names=dddim", "no sampler named 'dddim'; did you mean 'ddim'"),
        (
            "samplers.names=ddim+eat=1",
            "no option of sampler 'ddim' named 'eat'; did you mean 'eta'",
        ),
        ("samplers.names=ddim+estimated=1", "no option of sampler 'ddim' named 'estimated'"),
        ("samplers.names=ddim+eta", "expected name\\+option=value"),
        ("samplers.names=ddim+eta=2", "eta is 2, expected 0"),
        ("samplers.names=ddim+spacing=even", "no spacing named 'even'; expected one of uniform"),
        ("samplers.generators=vea", "no generator named 'vea'; did you mean 'vae'"),
        ("samplers.early_sampler=dppm", "no sampler named 'dppm'; did you mean 'ddpm'"),
        ("samplers.early_stop=15", "20 sampling steps from level 15 asked for, expected 1 to 15"),
        ("samplers.distil=8,3", "students of 8, then 3 steps, expected halves"),
        ("samplers.n_generated=10", "10 images in 8 blocks"),
        ("samplers.steps=1001", "less than or equal to 1000"),
        ("generation.sampler=ddim+spacing=log", "no spacing named 'log'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_measured(setting, message):
    with pytest.raises(BenchError, match=message) as caught:
        study_for(load_budget("smoke", [setting]))
    assert "\n" not in str(caught.value)


def test_a_size_that_a_generator_cannot_make_is_named_at_once():
    study = study_for(load_budget("smoke"))
    odd = replace(study, budget=study.budget.model_copy(update={"image_size": 20}))
    with pytest.raises(BenchError, match=r"vae .* expected a multiple of 8"):
        make_plan(odd, ["samplers"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("samplers.names=analytic-ddpm+eta=2", "eta is 2, expected 0"),
        ("samplers.names=analytic-ddpm+eta=abc", "eta=abc is none of its values"),
        ("samplers.names=ddpm+std=-1", "std is -1"),
        ("samplers.distil=501", "less than or equal to 500"),
    ],
)
def test_what_would_fail_after_the_training_is_refused_before(setting, words):
    with pytest.raises(BenchError, match=words):
        plan(["samplers"], *FEW, setting)
