"""The same images by every combination of choices: direct calls, planted effects, bad input."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage.metrics import structural_similarity
from tasks_place import LEVEL, NETWORK, PIXELS, SAMPLE, SETS, TRAIN, Pictures, content

from bench.api import Cell, Invalid
from bench.batches import chosen, to_float
from bench.budget import load_budget
from bench.metrics.distances import frechet_jackknife
from bench.metrics.extrapolation import frechet_at_infinity
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import ssim, ssim_authors
from bench.plan import make_plan, study_for
from bench.tasks import autopsy as task
from bench.tasks.protocols import CHOICES, OURS, metrics, resized
from bench.tasks.restore import KEPT, STATES
from bench.tasks.thinned import Thinned

ABOUT = {**NETWORK, **LEVEL, "micro_batch": 3}
RESTORE = Cell("restore", {**SETS, **LEVEL, "stride": 20}, (TRAIN,))
CELL = Cell("autopsy", {**ABOUT, "otherwise": [[]]}, (RESTORE,))
NOISY = {name: {**SETS, **LEVEL, "denoiser": {"name": name}} for name in ("identity", "wiener")}
CLASSIC = Cell(
    "autopsy",
    {**ABOUT, "otherwise": [[], ["told sigma"]]},
    tuple(Cell("denoise", NOISY[name]) for name in ("wiener", "identity")),
)


@pytest.fixture(scope="module")
def outcome(place):
    return place.run(CELL, "autopsy")


def values(outcome, metric):
    rows = [r for r in outcome.rows if (r["part"], r["metric"]) == ("choice", metric)]
    return {frozenset(row["otherwise"]): row["value"] for row in rows}


def contributions(rows, metric):
    rows = [r for r in rows if r["part"] == "contribution" and r.get("metric", metric) == metric]
    return {row["choice"]: row for row in rows}


def clean():
    return to_float(chosen(Pictures().images("test"), 8))


# ------------------------------------------------------------------ what is kept


def test_both_estimates_of_a_few_states_and_of_the_last_are_kept(place, outcome):
    kept = load_file(place.made[id(RESTORE)] / STATES)
    assert kept["calls"].tolist() == [0, 1, 2, 6, 8, 12, 14, 16]
    assert kept["current"].shape == kept["x0"].shape == (8, 8, 1, 16, 16)
    for same in (0, -1):
        assert torch.equal(kept["current"][same], kept["x0"][same])
    sets = load_file(place.made[id(RESTORE)] / "restored.safetensors")
    assert torch.equal(kept["current"][-1], sets["combination"][0])
    assert torch.equal(kept["x0"][1], sets["combination"][-1])


@pytest.mark.parametrize("count", [1, 2, 6, 7, 13, 100])
def test_first_second_and_last_value_are_never_thinned_away(count):
    thinned = Thinned(KEPT, always=(1,))
    for place in range(count):
        thinned.add(place, torch.tensor(place))
    places, found = thinned.with_ends()
    assert places == [int(value) for value in found] == sorted(set(places))
    assert places[0] == 0 and places[-1] == count - 1 and len(places) <= KEPT + 2
    assert count == 1 or 1 in places


# ------------------------------------------------------------------ scores


def test_all_combinations_are_the_metrics_own_values(place, outcome):
    kept = load_file(place.made[id(RESTORE)] / STATES)
    current, x0 = (kept[name].float().div(255) for name in ("current", "x0"))
    found, truth = values(outcome, "ssim"), clean()
    assert len(found) == 2**6 and len(values(outcome, "lpips")) == 2**5
    curve = torch.stack([ssim(one, truth) for one in current], dim=1)
    assert found[OURS] == pytest.approx(float(curve.mean(0).max()), rel=1e-12)
    assert found[frozenset({"step"})] == pytest.approx(float(curve[:, -1].mean()), rel=1e-12)
    one = float(curve.max(dim=1).values.mean())
    assert found[frozenset({"images"})] == pytest.approx(one, rel=1e-12)
    flat = [ssim_authors(one, truth, data_range=2.0).mean() for one in x0]
    names = frozenset({"window", "data range", "estimate"})
    assert found[names] == pytest.approx(float(max(flat)), rel=1e-12)
    large = ssim(resized(current[-1], "ssim"), resized(truth, "ssim")).mean()
    assert found[frozenset({"size", "step"})] == pytest.approx(float(large), rel=1e-12)
    wrong = LPIPS()((current[-1] + 1) / 2, (truth + 1) / 2).mean()
    lpips = values(outcome, "lpips")[frozenset({"input range", "step"})]
    assert lpips == pytest.approx(float(wrong), rel=1e-5)


def test_twice_the_data_range_is_scikit_images():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 3, 1, 24, 24, generator=rng)
    against = metrics(None)["ssim"][frozenset({"data range"})](y)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    known = [
        structural_similarity(
            a[0].double().numpy(), b[0].double().numpy(), data_range=2, **gaussian
        )
        for a, b in zip(x, y, strict=True)
    ]
    assert against(x).tolist() == pytest.approx(known, rel=1e-6)


def test_sizes():
    small, large = torch.rand(1, 1, 16, 16), torch.rand(1, 3, 64, 80)
    assert resized(small, "ssim").shape == resized(small, "lpips").shape == (1, 1, 64, 64)
    assert torch.equal(resized(small, "lpips")[..., ::4, ::4], small)
    halved = resized(large, "ssim")
    assert halved.shape == (1, 3, 32, 40)
    assert torch.allclose(halved[0, 0, 0, 0], large[0, 0, :2, :2].mean())


def test_contributions_add_up_and_have_intervals(outcome):
    for metric in ("ssim", "lpips"):
        found, here = values(outcome, metric), contributions(outcome.rows, metric)
        whole = found[max(found, key=len)] - found[OURS]
        assert sum(row["contribution"] for row in here.values()) == pytest.approx(whole, abs=1e-12)
        assert list(here) == sorted(max(found, key=len))
        for row in here.values():
            assert row["low"] <= row["contribution"] <= row["high"]
        assert len(here["images"]["contribution_of_each"]) == 8
        assert {row["ours"] for row in here.values()} <= {ours for ours, _ in CHOICES.values()}
    row = contributions(outcome.rows, "lpips")["size"]
    assert row["alternative"] == "enlarged to 64, nearest"
    assert {row["n"] for row in outcome.rows} == {8}


def test_planted_effects_are_found_exactly():
    rng = np.random.default_rng(1)
    base = rng.normal(size=(12, 1))
    planted = {"window": 0.1, "size": -0.03}
    tables = {
        frozenset(names): base + sum(planted[name] for name in names)
        for names in ((), ("window",), ("size",), ("window", "size"))
    }
    rows = task._rows(tables, "ssim", CHOICES, seed=0)
    here = contributions(rows, "ssim")
    for name, effect in planted.items():
        ends = [here[name][end] for end in ("contribution", "low", "high")]
        assert ends == pytest.approx([effect] * 3), "the same for every image: no spread"
    assert here["images"]["contribution"] == pytest.approx(0, abs=1e-12)
    lucky = (base[:, 0] - base.mean()).tolist()
    assert here["images"]["contribution_of_each"] == pytest.approx(lucky[: task.EACH])


@pytest.mark.parametrize("metric, sign", [("ssim", 1), ("lpips", -1)])
def test_hindsight_on_one_image_flatters(metric, sign):
    """Each image has a best step of its own, so choosing it on that image alone gains."""
    table = np.zeros((6, 3))
    table[np.arange(6), np.arange(6) % 3] = sign
    rows = task._rows({OURS: table}, metric, CHOICES, seed=0)
    here = contributions(rows, metric)
    assert sign * here["images"]["contribution"] == pytest.approx(1 / 3)
    assert sign * here["step"]["contribution"] == pytest.approx(-1 / 3)


def test_sets_of_denoisers_are_choices(place):
    outcome = place.run(CLASSIC, "classic")
    noisy = load_file(place.made[id(CLASSIC.uses[1])] / "restored.safetensors")["restored"]
    found = values(outcome, "ssim")
    assert len(found) == 2**5, "one state only: no choice of step"
    known = ssim(noisy.float().div(255), clean()).mean()
    assert found[frozenset({"told sigma"})] == pytest.approx(float(known), rel=1e-12)
    assert contributions(outcome.rows, "ssim")["told sigma"]["high"] < 0


# ------------------------------------------------------------------ repeatability, bad input


@pytest.mark.slow
def test_again_and_after_a_pause_it_is_the_same(place, outcome):
    assert place.run(CELL, "paused", pause_after=1) is None
    assert content(place.run(CELL, "paused")) == content(outcome)


def test_one_image_has_no_interval(place):
    one = tuple(Cell("denoise", {**used.spec, "n": 1}) for used in CLASSIC.uses)
    with pytest.raises(Invalid, match="1 restored image, expected 2 or more"):
        place.run(Cell("autopsy", CLASSIC.spec, one), "single")


def test_sets_of_different_images_are_refused(place):
    few = Cell("denoise", {**NOISY["identity"], "n": 4})
    with pytest.raises(Invalid, match="expected the same images in all"):
        place.run(Cell("autopsy", CLASSIC.spec, (CLASSIC.uses[0], few)), "unequal")


# ------------------------------------------------------------------ generated images

GENERATED = Cell("features", PIXELS, (SAMPLE,))
REAL = [
    Cell("features", {**PIXELS, "dataset": {"name": "pictures"}, "split": split, "n": n})
    for split, n in (("train", 20), ("test", 12))
]
DISTANCE = Cell("autopsy_distance", {**PIXELS, "blocks": 2}, (GENERATED, *REAL))


def test_distances_are_those_of_equal_numbers_of_real_images(place):
    rows = place.run(DISTANCE, "distance").rows
    assert [row["otherwise"] for row in rows] == [
        [], ["N"], ["real images"], ["N", "real images"],
    ]  # fmt: skip
    made, train, test = (
        load_file(place.made[id(cell)] / "features.safetensors")["features"]
        for cell in (GENERATED, *REAL)
    )
    assert rows[0]["value"] == pytest.approx(frechet_jackknife(made, train[:12], 2).value)
    assert rows[0]["leave_one_out"] == pytest.approx(
        list(frechet_jackknife(made, train[:12], 2).deleted)
    )
    limit = frechet_at_infinity(made, test, 2).jackknife
    assert rows[3]["value"] == pytest.approx(limit.value)
    assert {(row["n"], row["n_real"], row["metric"]) for row in rows} == {(8, 12, "frechet")}


def test_too_few_images_and_two_extractors_are_told(place):
    with pytest.raises(Invalid, match="8 generated and 12 real images in 3 blocks"):
        place.run(Cell("autopsy_distance", {**PIXELS, "blocks": 3}, DISTANCE.uses), "few")
    other = {**DISTANCE.spec, "features": {"name": "alexnet"}}
    with pytest.raises(Invalid, match="features by alexnet, pixels, expected one extractor"):
        place.run(Cell("autopsy_distance", other, DISTANCE.uses), "two")


# ------------------------------------------------------------------ the experiment


def labels(*settings):
    cells = make_plan(study_for(load_budget("smoke", settings)), ["autopsy"])
    return {planned.key: planned.cell for planned in cells}


def test_the_images_are_those_of_the_tables():
    cells = labels()
    study = study_for(load_budget("smoke"))
    known = {planned.key for planned in make_plan(study, ["denoising", "table1"])}
    new = [cell for key, cell in cells.items() if key not in known]
    assert {cell.task for cell in new} == {"autopsy", "autopsy_distance", "features", "denoise"}
    # Only BM3D on the linear schedule that is told the truth is restored for this alone.
    assert all(cell.spec["schedule"]["name"] == "linear" for cell in new if cell.task == "denoise")
    assert sum(cell.task == "autopsy" for cell in new) == 3 * (2 + 1)


def test_the_studys_schedule_is_no_alternative_to_itself():
    cells = labels("schedule=linear").values()
    classic = [
        one.spec["otherwise"] for one in cells if one.task == "autopsy" and len(one.uses) > 1
    ]
    assert classic == [[[], ["told sigma"]]] * 3
