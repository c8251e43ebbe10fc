"""Estimates beside the exact posterior: known denoisers, a wrong posterior, and lost detail."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tasks_place import SETS, TRAIN, Context, content, dirty

from bench import registry
from bench.api import Cell, Estimate, Invalid, Kind, Level, Outcome
from bench.data.gaussian import GaussianMixture
from bench.metrics.spectrum import in_band, power, radius
from bench.seeds import ImageNoise
from bench.tasks.mixture import Posterior

SIGMA = 0.4
LEVELS = {"schedule": {"name": "linear"}, "levels": [150, 400], "sampled": 400, "stride": 100}
SPEC = {**SETS, **LEVELS, "n": 40, "micro_batch": 16, "dataset": {"name": "gaussian"}, "updates": 0}


def pair() -> Posterior:
    """Two components on images of two pixels."""
    means = torch.tensor([[0.2, 0.3], [0.7, 0.4]], dtype=torch.float64).view(2, 1, 1, 2)
    return Posterior(torch.tensor([0.3, 0.7], dtype=torch.float64), means, 0.04)


def test_mean_and_spread_are_those_of_weighted_draws():
    """Oracle: draws of x, weighted by how well each explains y."""
    exact, rng = pair(), np.random.default_rng(0)
    which = rng.choice(2, size=400_000, p=exact.weights.numpy())
    x = exact.means.numpy().reshape(2, 2)[which] + 0.2 * rng.standard_normal((len(which), 2))
    for y in ([0.5, 0.1], [-0.3, 0.9]):
        weights = np.exp(-((x - y) ** 2).sum(1) / (2 * SIGMA**2))
        mean = weights @ x / weights.sum()
        spread = weights @ ((x - mean) ** 2).mean(1) / weights.sum()
        noisy = torch.tensor(y).view(1, 1, 1, 2)
        np.testing.assert_allclose(exact.mean(noisy, SIGMA).flatten(), mean, atol=3e-3)
        assert float(exact.spread(noisy, SIGMA)) == pytest.approx(spread, rel=0.01)


def test_samples_have_that_mean_and_that_spread():
    exact, count = pair(), 40_000
    noisy = torch.tensor([0.5, 0.1]).view(1, 1, 1, 2).expand(count, 1, 1, 2)
    rng = torch.Generator().manual_seed(0)
    drawn = exact.sample(noisy, SIGMA, lambda x: torch.randn(x.shape, generator=rng).to(x))
    mean, spread = exact.mean(noisy[:1], SIGMA), exact.spread(noisy[:1], SIGMA)
    torch.testing.assert_close(drawn.mean(0, keepdim=True), mean, atol=4e-3, rtol=0)
    assert float((drawn - mean).square().mean()) == pytest.approx(float(spread), rel=0.03)
    first = ImageNoise("x", images=range(4)), ImageNoise("x", images=[2, 9, 9, 9])
    one, two = (exact.sample(noisy[:4], SIGMA, noise) for noise in first)
    torch.testing.assert_close(one[2], two[0])


class Known:
    """A denoiser whose worth is known."""

    def __init__(self, kind: str):
        self.kind, self.exact = kind, Posterior.of(GaussianMixture(image_size=16))

    def denoise(self, y, level: Level, noise):
        match self.kind:
            case "mean":
                return self.exact.mean(y, level.sigma).float()
            case "sample":
                return self.exact.sample(y, level.sigma, noise).float()
            case "noisy":
                return y
            case "nan":
                return y / 0
            case _:
                return y[:1]


class Stepwise(Known):
    """Comes back to the noisy images after one call."""

    def restore(self, y, level, noise, stride=1):
        yield Estimate(0, level.t, y, y)
        yield Estimate(1, 0.0, y, y)


class Wrong(GaussianMixture):
    """Says that its components are four times as wide as they are."""

    def images(self, split):
        return GaussianMixture(image_size=16).images(split)

    def mixture(self):
        return super().mixture()._replace(variance=0.01)


@dataclass
class Here(Context):
    """Builds those."""

    def build(self, kind: Kind, spec: Mapping[str, Any] | None = None) -> Any:
        spec = self.cell.spec[kind.value] if spec is None else spec
        match spec["name"]:
            case "gaussian":
                return GaussianMixture(image_size=16)
            case "wrong":
                return Wrong(image_size=16)
            case name if name.startswith("known-"):
                return Known(name.removeprefix("known-"))
            case name if name.startswith("stepwise-"):
                return Stepwise(name.removeprefix("stepwise-"))
        return super().build(kind, spec)


def measured(folder: Path, task: str, denoiser: str, **changes: Any) -> Outcome:
    cell = Cell(task, {**SPEC, "denoiser": {"name": denoiser}, **changes})
    folder.mkdir(exist_ok=True)
    context = Here(cell, folder, folder / "partial" / "key", {})
    return registry.find(Kind.TASK, task).build(cell, context)


def risks(outcome: Outcome) -> dict[int, dict[str, np.ndarray]]:
    return {
        row["t"]: {name: np.array(v) for name, v in row.items() if name.endswith("_per_image")}
        for row in outcome.rows
        if row["part"] == "risk"
    }


def test_the_exact_mean_has_no_excess_risk_and_a_sample_doubles_the_error(tmp_path):
    mean = measured(tmp_path / "mean", "posterior", "known-mean")
    one = risks(mean)[150]  # all but certain which component it is: little scatter
    assert one["mse_to_posterior_mean_per_image"].max() < 1e-10
    least = one["posterior_variance_per_image"].mean()
    for column in ("mse_to_clean", "mse_of_posterior_mean", "mse_to_posterior_sample"):
        assert one[f"{column}_per_image"].mean() == pytest.approx(least, rel=0.1)
    assert one["mse_of_posterior_sample_per_image"].mean() == pytest.approx(2 * least, rel=0.1)
    one = risks(measured(tmp_path / "sample", "posterior", "known-sample"))[150]
    assert one["mse_to_posterior_mean_per_image"].mean() == pytest.approx(least, rel=0.1)
    files = load_file(mean.files["examples.safetensors"])
    assert set(files) == {"clean", "noisy", "one", "mean", "sample"}
    assert torch.equal(files["one"], files["mean"]) and files["one"].shape == (6, 1, 16, 16)


def test_a_wrong_posterior_does_not_add_up(tmp_path):
    """What the sum of errors is for: it holds for the true posterior mean alone."""

    def rest(outcome: Outcome) -> float:
        one = risks(outcome)[150]
        clean, bayes, mean = (
            one[f"{c}_per_image"].mean()
            for c in ("mse_to_clean", "mse_of_posterior_mean", "mse_to_posterior_mean")
        )
        return abs(clean - bayes - mean) / bayes

    right = measured(tmp_path / "right", "posterior", "known-noisy")
    wrong = measured(tmp_path / "wrong", "posterior", "known-noisy", dataset={"name": "wrong"})
    assert rest(right) < 0.1 < 0.5 < rest(wrong)


def octaves(outcome: Outcome, estimate: str, t: int = 400) -> list[dict[str, Any]]:
    found = [row for row in outcome.rows if row["part"] == "octave" and row["t"] == t]
    return [row for row in found if row["estimate"] == estimate]


def test_noise_that_is_left_is_power_that_is_not_in_place(tmp_path):
    """Oracle: white noise adds its variance times the octave's share of the frequencies."""
    outcome = measured(tmp_path, "smoothing", "known-noisy", n=200)
    at = radius(16, 16)
    for row in octaves(outcome, "one call"):
        clean = np.mean(row["clean_power_per_image"])
        low, high = row["low_cycles_per_pixel"], row["high_cycles_per_pixel"]
        share = float(((at > low) & (at <= high)).double().mean())
        left = np.mean(row["power_per_image"]) - clean
        assert left == pytest.approx(row["sigma"] ** 2 * share, rel=0.1)
        assert np.mean(row["common_per_image"]) == pytest.approx(clean, rel=0.25)
    spectrum = [r for r in outcome.rows if r["part"] == "spectrum" and r["t"] == 400]
    assert [r["shown"] for r in spectrum] == [True] and len(spectrum[0]["power_density"]) == 8


def test_the_detail_of_the_exact_mean_is_all_in_place_and_that_of_a_sample_is_complete(tmp_path):
    outcome = measured(tmp_path, "posterior", "known-mean", n=200)
    mean, sample = (octaves(outcome, f"posterior {one}", 150)[2] for one in ("mean", "sample"))
    clean, kept = (np.mean(mean[f"{one}_per_image"]) for one in ("clean_power", "power"))
    assert np.mean(mean["common_per_image"]) == pytest.approx(kept, rel=0.1)
    assert kept < 0.5 * clean
    assert np.mean(sample["power_per_image"]) == pytest.approx(clean, rel=0.1)
    images = torch.from_numpy(GaussianMixture(image_size=16).images("test")[:64]).double() / 255
    whole = power(images)
    share = float(in_band(whole, 0.25).mean() / whole.sum((1, 2)).mean())
    assert mean["clean_share"] == pytest.approx(share, rel=0.3)


def test_what_works_step_by_step_is_measured_at_its_end_too_at_one_level(tmp_path):
    outcome = measured(tmp_path, "smoothing", "stepwise-noisy")
    one, end = (octaves(outcome, name) for name in ("one call", "restored"))
    assert [a["power_per_image"] for a in one] == [b["power_per_image"] for b in end]
    assert not octaves(outcome, "restored", 150)
    assert "end" in load_file(outcome.files["examples.safetensors"])


@pytest.mark.parametrize(
    ("task", "denoiser", "changes", "message"),
    [
        ("posterior", "known-nan", {}, "the denoised images holds NaN"),
        ("smoothing", "known-one", {}, r"found \[1, 1, 16, 16\], expected \[16, 1, 16, 16\]"),
        ("posterior", "known-mean", {"dataset": {"name": "pictures"}}, "expected a data set with"),
        ("smoothing", "known-mean", {"levels": [0]}, "noising step 0"),
    ],
)
def test_what_cannot_be_measured_is_named(task, denoiser, changes, message, tmp_path):
    with pytest.raises(Invalid, match=message):
        measured(tmp_path, task, denoiser, **changes)


def test_an_interrupted_cell_goes_on_to_the_same_rows_and_files(place):
    """With a trained network; the parts of both levels are kept apart."""
    spec = {**SETS, **LEVELS, "levels": [50, 150], "sampled": 50, "stride": 25}
    cell = Cell("smoothing", spec, (TRAIN,))
    whole = content(place.run(cell, "whole"))
    assert place.run(cell, "again", kill_after=4) is None
    dirty(5)
    assert content(place.run(cell, "again")) == whole
    more = place.run(replace(cell, spec={**spec, "n": 5}), "fewer")
    first, other = (outcome.rows[0]["power_per_image"] for outcome in (place.run(cell, "w"), more))
    assert other == pytest.approx(first[:5], rel=1e-6)
