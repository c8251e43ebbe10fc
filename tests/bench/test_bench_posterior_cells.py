"""Which cells ask about the posterior mean and over-smoothing, and what they share."""

import pytest

from bench.api import Kind
from bench.budget import load_budget
from bench.experiments.theory_posterior import cells, on_mixture, posterior, smoothing
from bench.experiments.trained import train_backbone, train_classic
from bench.plan import study_for
from bench.registry import find

SMOKE = study_for(load_budget("smoke"))


def test_over_smoothing_is_measured_on_the_studys_own_networks():
    table = find(Kind.EXPERIMENT, "table4").build(SMOKE)
    trainings = [used for cell in table for used in cell.uses]
    for name in ("unet", "cunet", "dncnn"):
        assert smoothing(SMOKE, name).uses[0] in trainings


@pytest.mark.parametrize("budget", ["smoke", "small"])
def test_networks_that_learn_the_mixture_are_small_and_trained_in_two_lengths(budget):
    study = study_for(load_budget(budget, ["dataset=digits"]))
    theory = study.budget.theory
    made = [cell for cell in cells(study) if cell.task == "posterior"]
    lengths = [0, theory.updates // 4, theory.updates]
    assert [cell.spec["updates"] for cell in made] == lengths * 3
    assert len({cell.label for cell in made}) == len(made)
    for cell in made:
        assert len(cell.uses) == (cell.spec["updates"] > 0)
        for training in cell.uses:
            told = training.spec["training"]
            assert (told["updates"], told["batch"]) == (cell.spec["updates"], theory.batch)
            assert (told["passes"], told["validations"]) == (0, 0)
            assert training.spec["denoiser"]["scale"] == theory.scale
            assert training.spec["dataset"] == {"name": "gaussian", "image_size": theory.image_size}


def test_a_network_that_learnt_some_levels_is_asked_about_no_others():
    asked = {name: smoothing(SMOKE, name).spec["levels"] for name in ("unet", "dncnn")}
    assert asked == {"unet": [50, 150, 400, 800], "dncnn": [50, 150, 400]}
    assert smoothing(SMOKE, "unet").uses == (train_backbone(SMOKE, "unet"),)
    assert smoothing(SMOKE, "dncnn").uses == (train_classic(SMOKE, "dncnn", [50, 150, 400]),)


def test_the_study_of_the_mixture_leaves_the_other_alone():
    before = SMOKE.budget
    small = on_mixture(SMOKE)
    assert small.budget.theory == before.theory and small.channels == 1
    assert before == load_budget("smoke").model_copy(
        update={"schedule": before.schedule, "generation": before.generation}
    )


@pytest.mark.parametrize(
    ("changed", "levels", "sampled"),
    [
        ("theory.sampled_level=600", [50, 150, 400], None),
        ("denoising.classic_levels=50,150", [50, 150], None),
        ("theory.sampled_level=100", [50, 150, 400], 100),
    ],
)
def test_nor_about_a_sampled_level_that_it_did_not_learn(changed, levels, sampled):
    study = study_for(load_budget("smoke", [changed]))
    spec = smoothing(study, "dncnn").spec
    assert (spec["levels"], spec["sampled"]) == (levels, sampled)
    assert smoothing(study, "unet").spec["sampled"] == study.budget.theory.sampled_level


def test_on_the_mixture_it_learns_the_sampled_level_too():
    study = on_mixture(study_for(load_budget("smoke", ["theory.sampled_level=900"])))
    (training,) = posterior(study, "dncnn", 100).uses
    assert max(training.spec["levels"]) == 900


def test_one_that_learnt_no_level_asked_about_has_no_cell():
    changed = ["theory.levels=800", "theory.sampled_level=900"]
    study = study_for(load_budget("smoke", changed))
    assert smoothing(study, "dncnn") is None
    asked = [cell.spec["denoiser"]["name"] for cell in cells(study) if cell.task == "smoothing"]
    assert asked == ["diffusion:unet", "diffusion:cunet"]
