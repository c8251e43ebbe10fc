"""Distances of restored sets, and the authors' own protocol on one image."""

import pytest
import torch
from safetensors.torch import load_file
from tasks_place import LEVEL, NETWORK, PIXELS, SETS, TRAIN, Pictures, Tiny
from torch import nn

from bench import registry
from bench.api import Cell, Invalid, Kind
from bench.batches import chosen, to_float
from bench.budget import load_budget
from bench.metrics.distances import frechet_jackknife
from bench.metrics.kernel import kid_jackknife
from bench.metrics.ssim import ssim_authors
from bench.plan import make_plan, study_for
from bench.seeds import ImageNoise
from bench.tasks import notebook as task
from bench.tasks.denoise import RESTORED
from models.denoise import DiffusionDenoiser
from models.process import posterior

RESTORE = Cell("restore", {**SETS, **LEVEL, "stride": 50}, (TRAIN,))
HELD_OUT = Cell("features", {**PIXELS, "dataset": {"name": "pictures"}, "split": "test", "n": 20})
SPEC = {**PIXELS, "n_real": 100, "blocks": 4}
NOTEBOOK = Cell("notebook", {**NETWORK, "sigmas": [0.1, 0.3], "stride": 25}, (TRAIN,))


# ------------------------------------------------------------------ sets


def test_distances_are_those_of_the_restored_bytes_to_images_that_nobody_restored(place):
    rows = place.run(Cell("perception", SPEC, (RESTORE, HELD_OUT)), "perceived").rows
    assert [row["part"] for row in rows] == ["path"] * 4 + ["combination"] * 5 + ["clean"]
    held_out = load_file(place.made[id(HELD_OUT)] / "features.safetensors")["features"]
    sets = load_file(place.made[id(RESTORE)] / RESTORED)
    extract = registry.build(Kind.FEATURES, "pixels").eval()
    for row, images in ((rows[2], sets["path"][2]), (rows[5], sets["combination"][1])):
        restored = extract(images.float().div(255))
        assert row["kid"] == pytest.approx(kid_jackknife(restored, held_out[8:], 4).value)
        frechet = frechet_jackknife(restored, held_out[8:], 4).value
        assert row["frechet"] == pytest.approx(frechet, rel=1e-5)
        assert row["kid_low"] < row["kid"] < row["kid_high"]
        assert (row["n"], row["n_real"], row["leads"]) == (8, 12, "kid")
    assert rows[2]["calls"] == sets["path_calls"][2] and rows[5]["share_of_mean"] == 0.25
    assert rows[-1]["kid"] == kid_jackknife(held_out[:8], held_out[8:], 4).value


def test_a_classic_denoisers_set_is_measured_whole(place):
    denoise = Cell("denoise", {**SETS, **LEVEL, "denoiser": {"name": "identity"}})
    rows = place.run(Cell("perception", SPEC, (denoise, HELD_OUT)), "classic").rows
    assert [row["part"] for row in rows] == ["restored", "clean"]
    noisy = load_file(place.made[id(RESTORE)] / RESTORED)["path"][0]
    assert torch.equal(load_file(place.made[id(denoise)] / RESTORED)["restored"], noisy)


def test_too_few_other_images_are_told(place):
    few = Cell("features", {**HELD_OUT.spec, "n": 10})
    with pytest.raises(Invalid, match="8 restored images and 2 other held-out ones"):
        place.run(Cell("perception", SPEC, (RESTORE, few)), "few")


def test_every_restoration_is_compared_once_and_no_variant_is():
    budget = load_budget("smoke", ["denoising.clipped=true", "denoising.trainings=blind,level"])
    cells = [planned.cell for planned in make_plan(study_for(budget), ["figures"])]
    compared = [cell.uses[0] for cell in cells if cell.task == "perception"]
    names = [(one.task, one.spec["denoiser"]["name"], one.spec["t"]) for one in compared]
    assert len(names) == len(set(names))
    levels = len(budget.denoising.levels)
    classics = sum("assumed_sigma" not in name for name in budget.denoising.classics)
    assert sum(task == "restore" for task, _, _ in names) == 2 * levels
    assert len(names) == 2 * levels + classics * len(budget.denoising.classic_levels)
    assert not any("clipped" in one.spec for one in compared)


# ------------------------------------------------------------------ the authors' notebook


def by_hand(network: DiffusionDenoiser, x: torch.Tensor) -> torch.Tensor:
    """Return the posterior means of 4 steps from level 100, as the notebook takes them."""
    shares = [network.diffusion.schedule.share(float(t)) for t in (100, 75, 50, 25, 0)]
    for t, left_t, left_s in zip((100, 75, 50, 25), shares[:-1], shares[1:], strict=True):
        x0 = network.diffusion.predict(x, float(t), clip=True).x0
        x = posterior(x0, x, left_t, left_s).mean
    return x


@torch.no_grad()
def test_the_notebooks_comparison_is_the_chain_of_posterior_means(place):
    rows = place.run(NOTEBOOK, "notebook").rows
    assert {row["protocol"] for row in rows} == {"authors-notebook"}
    network = DiffusionDenoiser(Tiny())
    weights = load_file(place.made[id(TRAIN)] / "weights.safetensors")
    network.load_state_dict(weights)
    network.eval()
    clean = to_float(chosen(Pictures().images("test"), 1))
    noise = ImageNoise("notebook", "pictures", 1, images=[0])(clean)
    for sigma in (0.1, 0.3):
        curve = [
            row
            for row in rows
            if (row["variant"], row["sigma"], row["part"]) == ("compare", sigma, "curve")
        ]
        noisy = clean + sigma * noise
        for row, state in ((curve[0], noisy), (curve[4], by_hand(network, noisy))):
            shown = state.clamp(0, 1)
            value = ssim_authors(shown, clean, data_range=1.0)
            assert row["ssim_authors"] == pytest.approx(float(value), abs=1e-5)
            assert row["mse"] == pytest.approx(float((shown - clean).square().mean()), rel=1e-4)


def test_the_followed_variant_clips_and_adds_noise_in_every_step(place):
    ways = [(0.3, task.VARIANTS[0]), (0.3, task.VARIANTS[1])]
    clean = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    noisy = task._noisy(clean[:1].expand(2, -1, -1, -1), ways, NOTEBOOK, "x")
    assert torch.equal(noisy[0], noisy[1].clamp(0, 1))
    assert not torch.equal(noisy[0], noisy[1])
    network = DiffusionDenoiser(nn.Identity())
    network.diffusion.predict = lambda x, t, clip: type("P", (), {"x0": torch.zeros_like(x)})
    *_, last = task._states(network, noisy, ways, NOTEBOOK)
    assert float(last[1].abs().max()) < 1e-6, "the mean of the last step is the prediction"
    assert float(last[0].std()) == pytest.approx(0.005, rel=0.1)


def test_best_points_of_one_image_have_no_interval_and_name_their_calls(place):
    rows = place.run(NOTEBOOK, "notebook-best").rows
    best = [row for row in rows if row["part"] == "best"]
    assert len(best) == 2 * 2 * 4
    for row in best:
        curve = [
            one
            for one in rows
            if one["part"] == "curve"
            and (one["variant"], one["sigma"]) == (row["variant"], row["sigma"])
        ]
        values = [one[row["metric"]] for one in curve]
        pick = min if row["metric"] == "lpips" else max
        assert values[row["best_calls"]] == row["best_value"] == pick(values)
        assert "best_low" not in row and row["total_calls"] == 4 == len(curve) - 1


def test_a_network_that_fails_is_named_with_its_call(place, monkeypatch):
    class Failing(DiffusionDenoiser):
        def generate(self, *args, **kwargs):
            for state in super().generate(*args, **kwargs):
                if state.calls == 3:
                    state.current[2, 0, 0, 0] = float("nan")
                yield state

    monkeypatch.setattr(task, "trained_denoiser", lambda *_: Failing(Tiny()))
    with pytest.raises(Invalid, match="after 3 calls holds NaN or infinity in 1 image"):
        place.run(NOTEBOOK, "failing")
