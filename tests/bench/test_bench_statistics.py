"""Intervals and the best point of a curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.api import Invalid
from bench.statistics import (
    FEW,
    Jackknife,
    best_of_curve,
    best_of_jackknife,
    bootstrap_mean,
    gap_of_best,
    t_quantile,
)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 8, 31, 100])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_t_quantile(freedom, confidence):
    expected = pytest.importorskip("scipy.stats").t.ppf((1 + confidence) / 2, freedom)
    assert t_quantile(freedom, confidence) == pytest.approx(expected, rel=1e-9)


def test_the_jackknife_of_a_mean_is_the_textbook_error():
    values = np.random.default_rng(0).normal(size=24)
    deleted = tuple(float(np.delete(values, i).mean()) for i in range(24))
    result = Jackknife(float(values.mean()), deleted)
    assert result.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(24), rel=1e-9)
    interval = result.interval()
    assert interval.high - interval.value == pytest.approx(2.0687 * result.standard_error, rel=1e-4)


def test_a_jackknife_minus_itself_is_nothing():
    result = Jackknife(3.0, (1.0, 2.0, 4.0))
    assert (result - result).interval().high == 0
    with pytest.raises(ValueError, match="shorter"):
        result - Jackknife(3.0, (1.0, 2.0))


def test_bootstrap_of_a_mean():
    values = np.random.default_rng(1).normal(5, 2, size=400)
    interval = bootstrap_mean(values, seed=3)
    error = values.std() / 20
    assert interval.value == pytest.approx(values.mean())
    assert interval.standard_error == pytest.approx(error, rel=0.1)
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)
    assert interval == bootstrap_mean(values, seed=3)
    assert interval != bootstrap_mean(values, seed=4)


def test_bootstrap_intervals_cover():
    rng = np.random.default_rng(0)
    draws = [bootstrap_mean(rng.normal(size=50), seed=i, resamples=300) for i in range(120)]
    assert 0.86 <= np.mean([d.low <= 0 <= d.high for d in draws]) <= 0.99


@pytest.mark.parametrize("count", [2, 5, FEW - 1])
def test_few_images_have_students_interval(count):
    values = np.random.default_rng(count).normal(5, 2, size=count)
    found = bootstrap_mean(values)
    low, high = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    assert (found.low, found.value, found.high) == pytest.approx((low, values.mean(), high))
    assert found.standard_error == pytest.approx(stats.sem(values))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30), st.floats(-3, 3))
def test_bootstrap_moves_with_the_data(values, shift):
    plain = bootstrap_mean(values, resamples=50)
    moved = bootstrap_mean(np.add(values, shift), resamples=50)
    assert plain.low <= plain.high
    if len(values) >= FEW:
        assert min(values) - 1e-9 <= plain.low and plain.high <= max(values) + 1e-9
    assert moved.low == pytest.approx(plain.low + shift, abs=1e-9)
    assert moved.high == pytest.approx(plain.high + shift, abs=1e-9)


def peaked(count=200, steps=20, best=7, noise=0.3, seed=0):
    """Return curves with a common peak and independent noise."""
    rng = np.random.default_rng(seed)
    truth = 1 - 0.02 * (np.arange(steps) - best) ** 2
    return truth + noise * rng.normal(size=(count, steps))


@pytest.mark.parametrize("higher", [True, False])
def test_the_best_point_of_a_clear_curve(higher):
    curves = peaked() if higher else -peaked()
    best = best_of_curve(curves, higher_is_better=higher)
    assert best.index in (6, 7, 8)
    assert best.index_low <= 7 <= best.index_high
    assert best.index_high - best.index_low <= 3
    assert best.low <= best.value <= best.high
    assert abs(best.value) == pytest.approx(1, abs=0.08)
    assert all(index in (6, 7, 8) for index in best.index_disjoint)


def test_choosing_on_the_scored_images_is_optimistic_and_on_others_is_not():
    """Pure noise: the best of 50 steps looks good, what other images choose is worth nothing."""
    results = [
        best_of_curve(np.random.default_rng(i).normal(size=(40, 50)), seed=i, resamples=50)
        for i in range(40)
    ]
    assert np.mean([r.value for r in results]) > 0.25
    assert abs(np.mean([r.value_disjoint for r in results])) < 0.08


def test_both_directions_agree():
    curves = peaked(count=31)
    up, down = best_of_curve(curves), best_of_curve(-curves, higher_is_better=False)
    assert (up.index, up.index_low, up.index_high) == (down.index, down.index_low, down.index_high)
    assert (up.value, up.low, up.high) == (-down.value, -down.high, -down.low)
    assert up.index_disjoint == down.index_disjoint
    assert up.value_disjoint == -down.value_disjoint


def test_the_same_seed_gives_the_same_best():
    curves = peaked(count=50)
    assert best_of_curve(curves, seed=5) == best_of_curve(curves, seed=5)


def test_the_best_point_of_a_curve_of_distances():
    curve = [
        Jackknife((s - 4) ** 2 * 0.5 + 1, tuple((s - 4) ** 2 * 0.5 + 1 + e for e in shake))
        for s, shake in enumerate(np.random.default_rng(0).normal(0, 0.02, size=(9, 8)).tolist())
    ]
    assert best_of_jackknife(curve) == (4, 4, 4)
    flat = [Jackknife(1 + 0.01 * abs(s - 4), point.deleted) for s, point in enumerate(curve)]
    wide = best_of_jackknife([Jackknife(f.value, tuple(np.multiply(3, f.deleted))) for f in flat])
    assert wide[0] == 4 and wide[1] < 4 < wide[2]
    with pytest.raises(Invalid, match="same number"):
        best_of_jackknife([Jackknife(1, (1, 2)), Jackknife(1, (1, 2, 3))])


def test_the_gap_between_two_best_points_is_paired():
    """The same curve moved by three places: whatever its errors, the gap is three places."""
    shakes = np.random.default_rng(0).normal(0, 0.4, size=(9, 8)).tolist()
    values = [0.05 * (s - 4) ** 2 for s in range(9)]
    curve = [
        Jackknife(v, tuple(v + e for e in shake)) for v, shake in zip(values, shakes, strict=True)
    ]
    assert best_of_jackknife(curve)[1] < best_of_jackknife(curve)[2]
    places = list(range(9))
    assert gap_of_best((curve, curve), (places, [p - 3 for p in places])) == (3, 3)
    other = [Jackknife(p.value, p.deleted[::-1]) for p in curve]
    low, high = gap_of_best((curve, other), (places, places))
    assert low < 0 < high


@pytest.mark.parametrize("values", [[1.0], [1.0, np.inf], [1.0, np.nan], [[1.0], [2.0]]])
def test_values_without_a_mean_are_invalid(values):
    with pytest.raises(Invalid, match="values"):
        bootstrap_mean(values)


@pytest.mark.parametrize("curves", [[1.0, 2.0], [[1.0, 2.0]], [[1.0], [np.nan]], [[], []]])
def test_bad_curves_are_invalid(curves):
    with pytest.raises(Invalid, match="curves"):
        best_of_curve(curves)


def test_each_image_is_scored_at_the_step_that_the_other_half_chose():
    """Equal networks: hindsight lets the longer curve win, other images' choice does not."""
    wins, fair = 0, 0
    for i in range(60):
        rng = np.random.default_rng(i)
        level = rng.normal(size=(24, 1))
        long, short = (level + 0.3 * rng.normal(size=(24, steps)) for steps in (40, 1))
        best = best_of_curve(long, seed=i, resamples=20)
        gaps = long[:, best.index] - short[:, 0], np.subtract(best.disjoint, short[:, 0])
        a, b = (gap.mean() > 2.07 * gap.std(ddof=1) / np.sqrt(24) for gap in gaps)
        wins, fair = wins + a, fair + b
        assert np.mean(best.disjoint) == pytest.approx(best.value_disjoint)
    assert wins > 9
    assert fair < 6
