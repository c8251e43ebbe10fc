"""Trainings at equal effort: planted answers are found, ties are ties, gaps are no crash."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_builder import FakeRun

from bench.checked import Holds
from bench.report.convergence import compared, converges, steps_needed, verdict
from bench.report.fig_convergence import draw_convergence
from bench.report.sign_flips import holm, least_p, sign_flips
from bench.report.theory import theory
from bench.report.trainings import Effort, efforts, trainings

STEPS, LOOKS, SNAPSHOTS = (5, 10, 20), (20, 60, 100, 140, 200), (60, 100, 140, 200)
ABOUT = {"key": "k", "status": "ok", "reason": "", "label": "convergence", "task": "convergence"}
TOLD = {"dataset": "digits", "features": "alexnet", "updates_most": 200, "n": 64}


def curve(updates, steps, *, speed, best=5):
    """Return a distance that falls with the training, and with steps down to the `best`."""
    return 4 / (speed * updates / 100) ** 0.5 * (1 + max(0, best - steps) / 20)


def rows(*, speed=1.0, best=5, seeds=6, noise=0.02, other="cunet", paces=True):
    """Return a U-Net, and another network that learns `speed` times as much in an update."""
    rng, found = np.random.default_rng(3), []
    for seed, (name, fast, good) in itertools.product(
        range(seeds), (("unet", 1.0, 20), (other, speed, best))
    ):
        head = {**ABOUT, **TOLD, "denoiser": f"diffusion:{name}", "seed": seed}
        for u in LOOKS:
            error = (fast * u) ** -0.5 * np.exp(noise * rng.standard_normal())
            thirds = {f"mse_{third}": error for third in ("low", "middle", "high")}
            found.append({**head, "part": "course", "updates": u, **thirds})
        for u, s in itertools.product(SNAPSHOTS, STEPS):
            kid = curve(u, s, speed=fast, best=good) * (1 + noise * rng.standard_normal())
            far = {"kid": kid, "kid_se": 0.01, "frechet": 10 * kid, "leads": "kid"}
            many = {"n_generated": 48, "n_real": 192}
            found.append({**head, "part": "distance", "updates": u, "steps": s, **far, **many})
    if paces:
        found += [pace("unet", 1.0, 100), pace(other, 1.6, 40)]
    return found


def pace(name, ratio, macs):
    head = {**ABOUT, "task": "training_pace", "label": "training_pace", "backbone": name}
    around = {"time_ratio_low": ratio * 0.99, "time_ratio_high": ratio * 1.01, "rounds": 15}
    return {**head, "macs_update": macs, "update_s": 0.1 * ratio, "time_ratio": ratio, **around}


def run_of(found):
    return FakeRun({}, pd.DataFrame(found), folder=None)


# ------------------------------------------------------------------ tests


def test_sign_flips_are_exact():
    """All of one sign: only the two flips that keep it so are as large, 2 of 64."""
    alone, family = sign_flips([[1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7], [0] * 6])
    assert alone[:2] == [1 / 32] * 2 and alone[2] == family[2] == 1
    assert family[:2] == [least_p(6)] * 2, "their largest values come with the same flips"
    assert sign_flips([[1, 2, 3, 4, 5, 6], [1, -1, 1, -1, 1, -1]]) == ([1 / 32, 1], [1 / 16, 1])
    by_hand = [abs(sum(s * g for s, g in zip(signs, (3, 1, -1), strict=True)))
               for signs in itertools.product((1, -1), repeat=3)]  # fmt: skip
    assert sign_flips([[3, 1, -1]])[0] == [sum(v >= 3 for v in by_hand) / 8]


def test_a_family_is_stricter_than_its_members_and_kinder_than_holm():
    gaps = np.random.default_rng(0).standard_normal((5, 6)) + 0.8
    alone, family = sign_flips(gaps)
    assert all(a <= f for a, f in zip(alone, family, strict=True))
    assert min(family) < min(holm(alone))


def test_under_the_null_a_family_errs_as_seldom_as_it_says():
    rng = np.random.default_rng(1)
    wrong = [min(sign_flips(rng.standard_normal((4, 6)))[1]) <= 0.05 for _ in range(600)]
    assert np.mean(wrong) == pytest.approx(1 / 32, abs=0.02)


def test_holm_is_what_its_paper_does():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


@pytest.mark.parametrize("gaps", [[[]], [[0.0] * 15], [1.0, 2.0]])
def test_too_few_or_too_many_pairs_are_refused(gaps):
    with pytest.raises(ValueError, match="expected"):
        sign_flips(gaps)


# ------------------------------------------------------------------ effort


def test_the_dearer_network_makes_fewer_updates():
    effort = Effort("seconds", "s", {"unet": 0.1, "cunet": 0.16})
    assert effort.equal(("unet", "cunet"), 200) == pytest.approx({"unet": 200, "cunet": 125})


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.integers(1, 10**6))
def test_nobody_trains_longer_than_was_trained(one, two, most):
    effort = Effort("seconds", "s", {"a": one, "b": two})
    equal = effort.equal(("a", "b"), most)
    assert max(equal.values()) <= most and max(equal.values()) == pytest.approx(most)
    assert equal["a"] * one == pytest.approx(equal["b"] * two)


def test_between_two_looks_is_the_logarithm_of_the_updates():
    one = trainings(run_of(rows(noise=0))).networks["unet"][0]
    distance, spread, error = one.at(200)
    assert distance == pytest.approx([curve(200, s, speed=1, best=20) for s in STEPS])
    assert spread.tolist() == pytest.approx([0.01] * 3) and error == pytest.approx(
        math.log(200**-0.5)
    )
    middle = one.at(math.sqrt(100 * 140))
    assert middle[0] == pytest.approx((one.at(100)[0] + one.at(140)[0]) / 2)
    assert middle[2] == pytest.approx((one.at(100)[2] + one.at(140)[2]) / 2)
    assert one.at(59) is None and one.at(201) is None


def test_without_the_pace_only_updates_are_compared():
    assert [e.name for e in efforts(run_of(rows(paces=False)), ("unet", "cunet"))] == ["updates"]
    slow = [*rows(paces=False), pace("unet", 1.0, 100), pace("cunet", 1.6, 20)]
    names = [one.effort.name for one in compared(run_of(slow))]
    assert names == ["updates", "wall-clock time"], "a fifth of 200 updates was not looked at"


# ------------------------------------------------------------------ findings


def holds(found):
    return [finding.claim.holds for finding in found]


def test_a_network_that_learns_twice_as_fast_is_found_out():
    """At 1.6 times the time it makes 125 updates: still 1.25 times as far."""
    found = converges(run_of(rows(speed=2.0, best=5)))
    assert holds(found) == [Holds.YES] * 6
    told = found[0].claim.found
    assert "After 200 updates of either, 6 trainings each, KID (alexnet)" in told
    assert "cannot give less than 0.031" in told and "N = 48 images, 192 real" in told
    assert "U-Net 20, 20, 20, 20, 20, 20, cU-Net 5, 5, 5, 5, 5, 5" in found[3].claim.found
    assert found[0].claim.numbers["5 steps, p"] == 1 / 32
    assert found[0].claim.numbers["5 steps, p by Holm"] == pytest.approx(12 / 32)
    both = found[2].claim.found
    assert (
        "After 200 updates of U-Net and 125 of cU-Net (an update of cU-Net takes x1.6 the" in both
    )


def test_what_is_gained_in_updates_can_be_lost_in_time():
    found = converges(run_of(rows(speed=1.25, best=20)))
    assert holds(found)[:3] == [Holds.YES, Holds.YES, Holds.NO]
    assert holds(found)[3:] == [Holds.OPEN] * 3, "the same steps in every training: a tie"


def test_equal_networks_are_not_told_apart():
    found = converges(run_of(rows(speed=1.0, best=20, noise=0.1, paces=False)))
    assert holds(found) == [Holds.OPEN, Holds.OPEN]


def test_five_seeds_cannot_decide_anything():
    found = converges(run_of(rows(speed=3.0, seeds=5)))
    assert set(holds(found)) == {Holds.OPEN}
    assert "5 pairs cannot give less than 0.062" in found[0].claim.found


def test_a_part_of_the_comparisons_is_a_part():
    made = compared(run_of(rows(speed=2.0)))[0].gaps
    one_tie = [*made[:-1], compared(run_of(rows(speed=1.0)))[0].gaps[-1]]
    assert verdict(made) is Holds.YES and verdict(one_tie) is Holds.PARTLY


def test_enough_steps_are_as_good_as_the_best_or_nearly():
    assert steps_needed((5, 10, 20), (1.0, 0.52, 0.5), (0, 0, 0)) == 10
    assert steps_needed((5, 10, 20), (1.0, 0.53, 0.5), (0, 0, 0)) == 20
    assert steps_needed((5, 10, 20), (1.0, 0.53, 0.5), (0, 0, 0.04)) == 10
    assert steps_needed((5, 10, 20), (-0.01, -0.02, 0.5), (0, 0.02, 0)) == 5


# ------------------------------------------------------------------ gaps


def test_no_trainings_no_findings(empty, tmp_path):
    assert converges(empty) == [] and theory(empty) is None
    assert "python -m bench run theory" in draw_convergence(empty, tmp_path)


def test_other_networks_are_drawn_and_not_judged(tmp_path):
    run = run_of(rows(other="unet-ho2020", paces=False))
    assert converges(run) == []
    assert len(draw_convergence(run, tmp_path)) == 2


def test_a_failed_training_takes_its_pair_out():
    found = [row for row in rows(speed=2.0) if (row.get("seed"), row.get("denoiser")) !=
             (2, "diffusion:cunet")]  # fmt: skip
    assert "5 trainings each" in converges(run_of(found))[0].claim.found
    half = [row for row in rows() if row.get("seed") != 1 or row.get("steps") != 20]
    assert "5 trainings each" in converges(run_of(half))[0].claim.found
    lonely = [row for row in rows() if row.get("denoiser") != "diffusion:cunet"]
    assert converges(run_of(lonely)) == []


def test_the_figure_has_a_panel_for_each_effort_twice(tmp_path):
    files = draw_convergence(run_of(rows(speed=2.0)), tmp_path)
    assert [path.name for path in files] == ["convergence.png", "convergence.svg"]
    lines = files[1].read_text()
    assert lines.count("<clipPath") == 6
