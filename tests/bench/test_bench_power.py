import json
import math

import numpy as np
import pytest
from scipy import stats

from bench.api import BenchError
from bench.cli import run_command_line
from bench.power import blocks_needed, images_needed, needs, power_of_t, shift_needed, words
from bench.runs import Run, write_manifest
from bench.store import Store


@pytest.mark.parametrize(("freedom", "shift"), [(2, 3.0), (3, 2.0), (9, 3.1), (50, 2.8), (9, 0.0)])
def test_the_power_is_that_of_the_noncentral_distribution(freedom, shift):
    reach = stats.t.ppf(0.975, freedom)
    known = stats.nct.sf(reach, freedom, shift) + stats.nct.cdf(-reach, freedom, shift)
    if shift == 0:
        known = 0.05
    assert power_of_t(shift, freedom) == pytest.approx(known, abs=1e-4)


def test_the_shift_needed_has_the_power():
    assert power_of_t(shift_needed(9), 9) == pytest.approx(0.8, abs=1e-6)
    normal = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert shift_needed(500) == pytest.approx(normal, rel=3e-3)


@pytest.mark.parametrize(("deviation", "difference"), [(1.0, 0.5), (3.0, 1.0), (1.0, 1.0)])
def test_so_many_images_have_the_power_in_a_simulation(deviation, difference):
    n = images_needed(deviation, difference)
    draws = np.random.default_rng(0).normal(difference, deviation, (4000, n))
    share = float((stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean())
    assert 0.77 <= share <= 0.86  # 80 %, and a little more where n is a small whole number
    fewer = np.random.default_rng(1).normal(difference, deviation, (4000, n // 2))
    assert float((stats.ttest_1samp(fewer, 0, axis=1).pvalue < 0.05).mean()) < 0.7


def test_so_many_images_have_the_power_where_the_error_comes_from_blocks():
    """A mean over blocks: its jackknife's t has one degree of freedom less than blocks."""
    rng, blocks, deviation, difference = np.random.default_rng(2), 8, 5.0, 0.7
    n = blocks_needed(deviation / math.sqrt(100), 100, blocks, difference)
    size = n // blocks
    means = rng.normal(difference, deviation / math.sqrt(size), (6000, blocks))
    share = float((stats.ttest_1samp(means, 0, axis=1).pvalue < 0.05).mean())
    assert 0.75 <= share <= 0.85


def test_a_difference_twice_as_small_needs_four_times_as_many():
    assert images_needed(10.0, 0.1) / images_needed(10.0, 0.2) == pytest.approx(4, rel=0.01)
    assert blocks_needed(1.0, 1000, 10, 0.1) == pytest.approx(
        4 * blocks_needed(1.0, 1000, 10, 0.2), rel=1e-4
    )
    assert images_needed(0.0, 1.0) == 2
    assert images_needed(1.0, 1e-9) == 10**12


PAIR = ("unet", "cunet")


def record(task, name, rows, **spec):
    spec = {"denoiser": {"name": f"diffusion:{name}"}, **spec}
    return {"task": task, "status": "ok", "spec": spec, "rows": rows}


def distance(name, value, left_out, n=100):
    row = {"frechet": value, "leave_one_out": left_out, "n_generated": n, "n_real": n,
           "floor": 4.0, "floor_n": 100}  # fmt: skip
    return record("frechet", name, [row], steps=10)


def restored(name, scores, metric="psnr"):
    row = {"part": "best", "metric": metric, "estimate": "current", "per_image": list(scores)}
    return record("restore", name, [row], t=50)


def run(*records, folder="measured"):
    return Run(folder, {}, tuple(records), None)


def test_two_networks_are_compared_by_their_paired_difference():
    """What both share - the same real images - is not spread of the difference."""
    common = np.linspace(-5, 5, 10)
    own = np.array([0.1, -0.1] * 5)
    measured = run(
        distance("unet", 20.0, list(20 + common)), distance("cunet", 22.0, list(22 + common + own))
    )
    (one,) = needs([measured], ["table1"], 0.5, metric=None)
    assert one.paired and one.difference == pytest.approx(-2) and one.n_measured == 100
    assert one.standard_error == pytest.approx(0.1 * math.sqrt(9))
    assert one.n_needed == blocks_needed(one.standard_error, 100, 10, 0.5)
    assert one.floor == pytest.approx(4.0 * 100 / one.n_needed)
    assert one.seeds_needed is None
    text = "\n".join(words([one], 0.5))
    assert "unet against cunet, steps=10" in text and "nothing of their spread" in text
    assert "averaging leaves it" in text
    (alone,) = needs([run(measured.records[0])], ["table1"], 0.5, metric=None)
    assert not alone.paired and alone.n_needed > one.n_needed


def test_restorations_use_the_scores_of_each_image():
    rng = np.random.default_rng(0)
    hard = rng.normal(20, 5, 40)
    measured = run(restored("unet", hard), restored("cunet", hard + rng.normal(0, 0.5, 40)))
    (one,) = needs([measured], ["table2"], 0.2, metric=None)
    assert one.paired and one.n_measured == 40 and one.floor is None
    assert 30 < one.n_needed < 90  # (2.8 * 0.5 / 0.2)^2 is 49; unpaired would be 10,000
    with pytest.raises(BenchError, match="has not measured ssim"):
        needs([measured], ["table2"], 0.2, metric="ssim")


def test_each_extractor_and_each_kind_of_noise_is_asked_of_its_own():
    def by(features, *values):
        found = [distance(n, v, [v - 1, v + 1]) for n, v in zip(PAIR, values, strict=True)]
        return [{**one, "spec": {**one["spec"], "features": {"name": features}}} for one in found]

    measured = run(*by("alexnet", 20.0, 22.0), *by("efficientnet-lite0", 30.0, 37.0))
    found = needs([measured], ["table1"], 1.0, metric=None)
    assert {one.about.split(", ")[-1]: one.difference for one in found} == {
        "alexnet": pytest.approx(-2), "efficientnet-lite0": pytest.approx(-7),
    }  # fmt: skip
    clipped = restored("unet", [1.0, 2.0])
    clipped["spec"]["clipped"] = True
    both = run(restored("unet", [3.0, 5.0]), clipped)
    assert len(needs([both], ["table2"], 1, metric=None)) == 2


def test_seeds_come_from_several_runs():
    runs = [run(restored("unet", [20.0 + s, 20.1 + s])) for s in (0.0, 0.5, -0.5, 0.2)]
    (one,) = needs(runs, ["table4"], 0.3, metric="psnr")
    assert one.seeds_measured == 4
    assert one.seeds_needed == max(
        6, images_needed(float(np.std([0, 0.5, -0.5, 0.2], ddof=1)), 0.3)
    )
    (wide,) = needs(runs, ["table4"], 30.0, metric="psnr")
    assert wide.seeds_needed == 6


@pytest.mark.parametrize(
    ("experiments", "size", "metric", "message"),
    [
        (["table1"], 0.0, None, "expected a difference above 0"),
        (["table5"], 1.0, None, "no experiment with a difference to resolve named 'table5'"),
        (["table1"], 1.0, "psnr", "no metric of table1 named 'psnr'"),
        (["table2"], 1.0, None, "has not measured psnr of table2; run table2 first"),
    ],
)
def test_what_cannot_be_answered_is_one_line(experiments, size, metric, message):
    with pytest.raises(BenchError, match=message):
        needs([run(distance("unet", 1.0, [1.0, 2.0]))], experiments, size, metric=metric)


def test_the_command_names_the_run_that_it_would_look_at(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["plan", "table1", "--resolve", "0.5"]) == 2
    assert "no run in results/table1-digits-smoke" in capsys.readouterr().err


def test_the_command_reads_a_run(tmp_path, capsys):
    folder = tmp_path / "out"
    store = Store(folder)
    store.prepare()
    keys = []
    for i, name in enumerate(("unet", "cunet")):
        row = distance(name, 20.0 + i, [20.0 + i, 21.0 + i * 0.9, 19.5, 20.5])["rows"][0]
        body = {"task": "frechet", "label": name, "status": "ok", "reason": "", "rows": [row],
                "files": {}, "uses": [], "timing": False, "made": {}, "key": f"{i}" * 64,
                "spec": {"denoiser": {"name": f"diffusion:{name}"}, "steps": 5}}  # fmt: skip
        keys.append(store.put(body)["key"])
    write_manifest(folder, {"cells": keys, "store": "."})
    words = ["plan", "table1", "--resolve", "2", "--run", str(folder)]
    assert run_command_line(words) == 0
    assert "unet against cunet, steps=5" in capsys.readouterr().out
    assert run_command_line([*words, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["n_needed"] >= 8 and one["seeds_needed"] is None
