"""Restoration step by step: scores, what lies between mean and sample, and what goes wrong."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tasks_place import LEVEL, NETWORK, SETS, TRAIN

from bench.api import BenchError, Cell, Estimate, Invalid
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import Truth, ssim
from bench.tasks import restore as task
from bench.tasks.against import Against
from bench.tasks.denoise import RESTORED
from bench.tasks.scoring import Scorer
from bench.tasks.thinned import Thinned

CELL = Cell("restore", {**SETS, **LEVEL, "stride": 50}, (TRAIN,))


@pytest.fixture(scope="module")
def outcome(place):
    return place.run(CELL, "restored")


def rows_of(outcome, part, **wanted):
    rows = [row for row in outcome.rows if row["part"] == part]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


# ------------------------------------------------------------------ scores


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 64)])
def test_scores_against_kept_halves_are_the_plain_metrics_to_the_last_bit(channels, size):
    rng = torch.Generator().manual_seed(size)
    clean = torch.rand(3, channels, size, size, generator=rng)
    scorer = Scorer.on("cpu")
    against = Against.of(scorer, clean)
    for spread in (0.0, 0.05, 1.5):
        estimate = clean + spread * torch.randn(clean.shape, generator=rng)
        plain, kept = scorer(estimate, clean), against(estimate)
        assert list(plain) == list(kept)
        assert all(torch.equal(plain[name], kept[name]) for name in plain)


def test_halves_refuse_what_the_metrics_refuse():
    images = torch.rand(2, 1, 16, 16)
    with pytest.raises(Invalid, match="shape"):
        Truth.of(images).ssim(images[:1])
    with pytest.raises(Invalid, match="expected at least"):
        Truth.of(images[..., :8])
    with pytest.raises(Invalid, match="clamp"):
        LPIPS().features(images + 1)
    assert torch.equal(Truth.of(images).ssim(images), ssim(images, images))


# ------------------------------------------------------------------ rows and files


def test_ends_of_the_combination_are_the_first_prediction_and_the_last_state(outcome):
    ends = {row["share_of_mean"]: row for row in rows_of(outcome, "combination")}
    assert sorted(ends) == [0, 0.25, 0.5, 0.75, 1]
    first = rows_of(outcome, "curve", estimate="x0", calls=1)[0]
    last = rows_of(outcome, "curve", estimate="current")[-1]
    for metric in ("psnr", "ssim", "lpips", "mse"):
        assert ends[1][metric] == pytest.approx(first[metric], rel=1e-12)
        assert ends[0][metric] == pytest.approx(last[metric], rel=1e-12)
    assert not any(name.endswith("_per_image") for row in ends.values() for name in row)
    assert {row["protocol"] for row in outcome.rows} == {"paper"}


def test_both_readings_are_one_before_the_first_and_after_the_last_call(outcome):
    for place in (0, -1):
        a, b = (rows_of(outcome, "curve", estimate=name)[place] for name in task.ESTIMATES)
        assert {**a, "estimate": ""} == {**b, "estimate": ""}


def test_all_restored_images_are_kept_by_set(outcome):
    sets = load_file(outcome.files[RESTORED])
    assert sets["shares_of_mean"].tolist() == list(task.SHARES)
    assert sets["combination"].shape == (5, 8, 1, 16, 16)
    assert sets["path"].shape == (len(sets["path_calls"]), 8, 1, 16, 16)
    total = rows_of(outcome, "best")[0]["total_calls"]
    assert total == 7 and sets["path_calls"].tolist() == [0, 2, 4, 6]
    shown = load_file(outcome.files["examples.safetensors"])
    assert torch.equal(sets["path"][0][: len(shown["noisy"])], shown["noisy"])
    assert torch.equal(sets["combination"][0][: len(shown["final"])], shown["final"])


def test_each_shown_image_has_the_score_of_its_own_step(outcome):
    shown = load_file(outcome.files["examples.safetensors"])
    best = rows_of(outcome, "best", estimate="current", metric="lpips")[0]
    count = len(shown["best_lpips"])
    assert shown["best_lpips/lpips"].tolist() == best["per_image"][:count]
    assert shown["noisy/ssim"].shape == shown["best_ssim/psnr"].shape == (count,)
    images = {name: shown[name].float().div(255) for name in ("best_lpips", "clean")}
    again = ssim(images["best_lpips"], images["clean"])
    assert torch.allclose(again, shown["best_lpips/ssim"], atol=5e-3), "but for rounding to bytes"


# ------------------------------------------------------------------ combinations, against a law


def test_error_of_a_combination_is_that_of_a_known_posterior():
    """With half the variance left, MSE(a) = MMSE * (1 + (1 - a)^2): Blau and Michaeli, eq. 9."""
    rng = torch.Generator().manual_seed(0)
    noise = [0.1 * torch.randn(8, 1, 64, 64, generator=rng) for _ in range(3)]
    clean = 0.5 + noise[0]
    mean = 0.5 + (clean + noise[1] - 0.5) / 2
    sample = mean + noise[2] / 2**0.5
    clean = clean.clamp(0, 1)
    against = Against.of(Scorer.on("cpu"), clean)
    psnr = task._combined(mean, sample, against, real=8)["combination/psnr"]
    found = (10 ** (-psnr / 10)).mean(dim=0)
    law = [0.005 * (1 + (1 - share) ** 2) for share in task.SHARES]
    assert found.tolist() == pytest.approx(law, rel=0.02)


# ------------------------------------------------------------------ a few of many


@given(count=st.integers(1, 300), most=st.integers(1, 6))
def test_thinned_values_are_spread_evenly_and_begin_with_the_first(count, most):
    kept = Thinned(most)
    for place in range(count):
        kept.add(place, torch.tensor(place))
    places, values = kept.chosen()
    assert [int(value) for value in values] == places
    assert len(places) == min(most, count) and places[0] == 0
    gaps = np.diff([*places, count])
    assert (gaps > 0).all()
    assert gaps.max() <= 3 * max(count / most, 1), "no stretch of the way is left out"


# ------------------------------------------------------------------ bad input


@dataclass
class Broken:
    """Restores well, but for one call."""

    at: int
    spoil: object

    def restore(self, y, level, noise, stride=1):
        for calls in range(4):
            image = self.spoil(y.clone()) if calls == self.at else y
            yield Estimate(calls, 4.0 - calls, y, image)


def not_a_number(images):
    images[1, 0, 3, 3] = float("nan")
    return images


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (not_a_number, "after 2 calls holds NaN or infinity in 1 image.s., first image 4"),
        (lambda images: images[..., :8], "after 2 calls has shape .3, 1, 16, 8., expected"),
        (lambda images: images[:1], "after 2 calls has shape .1, 1, 16, 16."),
    ],
)
def test_what_is_wrong_is_named_by_step_and_image(place, monkeypatch, spoil, words):
    """In the second batch of three images, which begins with image 3."""
    first = iter([lambda images: images, spoil])
    broken = Broken(2, None)

    def restore(*args, **kwargs):
        broken.spoil = next(first)
        return Broken.restore(broken, *args, **kwargs)

    monkeypatch.setattr(broken, "restore", restore, raising=False)
    monkeypatch.setattr(task, "trained_denoiser", lambda *_: broken)
    with pytest.raises(Invalid, match=words):
        place.run(CELL, f"broken-{words[12:22]}")


@pytest.mark.parametrize("t", [1001, -1])
def test_a_level_beyond_the_schedule_is_refused_by_name(place, t):
    with pytest.raises(Invalid, match=f"noising step {t} of schedule 'linear'"):
        place.run(Cell("restore", {**CELL.spec, "t": t}, (TRAIN,)), f"beyond{t}")


def test_noise_beyond_the_networks_own_schedule_is_refused_by_name(place):
    """Level 1000 of the cosine schedule is noisier than any of the sigmoid's, the network's."""
    spec = {**NETWORK, **SETS, "schedule": {"name": "cosine"}, "t": 1000, "stride": 500}
    with pytest.raises(BenchError, match=r"sigma 10145.6 is out of the range of .* 'sigmoid'"):
        place.run(Cell("restore", spec, (TRAIN,)), "louder")


def test_an_image_that_is_restored_exactly_is_counted_and_spoils_no_row():
    rng = np.random.default_rng(0)
    curves = {
        (estimate, metric): rng.uniform(0.2, 0.8, size=(6, 4))
        for estimate in task.ESTIMATES
        for metric in task.HIGHER_IS_BETTER
    }
    curves["x0", "psnr"][2, 3] = np.inf
    rows = task._rows(curves, seed=0)
    best = {(row["estimate"], row["metric"]): row for row in rows if row["part"] == "best"}
    assert len(best) == 6
    assert (best["x0", "psnr"]["exact"], best["x0", "ssim"]["exact"]) == (1, 0)
    assert len(best["x0", "psnr"]["per_image"]) == 5
    assert len(best["x0", "ssim"]["per_image_disjoint"]) == 6
    curve = [row for row in rows if row["part"] == "curve" and row["estimate"] == "x0"]
    assert np.isfinite([row["psnr"] for row in curve]).all()
    curves["x0", "psnr"][:5] = np.inf
    rows = [row for row in task._rows(curves, seed=0) if row["estimate"] == "x0"]
    assert {row["metric"] for row in rows if row["part"] == "best"} == {"ssim", "lpips"}
