"""Schedules against the published curves, and their inverse."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import BenchError, Kind
from bench.registry import names
from models.schedule import T, network_step, schedule

SCHEDULES = names(Kind.SCHEDULE)
LEVELS = [50, 100, 150, 200, 250, 400, 600, 800]
SIGMAS = {
    "sigmoid": [0.066, 0.101, 0.135, 0.171, 0.209, 0.358, 0.698, 1.465],
    "linear": [0.086, 0.169, 0.259, 0.360, 0.476, 1.015, 3.068, 12.764],
}


@pytest.mark.parametrize("name", SIGMAS)
def test_sigma_at_the_levels_of_the_paper(name: str) -> None:
    assert schedule(name).sigma(LEVELS) == pytest.approx(SIGMAS[name], abs=5e-4)


def test_linear_is_the_product_of_its_factors() -> None:
    left = 1.0
    for n in range(300):
        left *= 1 - (1e-4 + n * (2e-2 - 1e-4) / 999)
    assert float(schedule("linear").alpha_bar(300)) == pytest.approx(left, rel=1e-12)


def test_cosine_is_its_formula_away_from_the_clamp() -> None:
    def curve(t: int) -> float:
        return math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2

    found = schedule("cosine").alpha_bar([1, 500, 990])
    assert found == pytest.approx([curve(t) / curve(0) for t in (1, 500, 990)], rel=1e-9)


def test_sigmoid_is_half_gone_in_the_middle() -> None:
    # The curve is symmetric about its middle, whatever its ends.
    assert float(schedule("sigmoid").alpha_bar(500)) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ends_and_monotony(name: str) -> None:
    s = schedule(name)
    assert s.steps == T
    assert float(s.alpha_bar(0)) == 1
    assert float(s.sigma(0)) == 0
    assert np.isinf(s.snr(0))
    assert (np.diff(s.alpha_bars) < 0).all()
    assert (1 - s.alpha_bars[1:] / s.alpha_bars[:-1] <= 0.999 + 1e-12).all()
    assert s.alpha_bars[-1] < 1e-4


@pytest.mark.parametrize("name", SCHEDULES)
def test_whole_levels_are_the_table(name: str) -> None:
    s = schedule(name)
    np.testing.assert_allclose(s.alpha_bar(np.arange(T + 1)), s.alpha_bars, rtol=1e-13)


@pytest.mark.parametrize("name", SCHEDULES)
def test_inverse_is_exact_at_whole_levels(name: str) -> None:
    s = schedule(name)
    assert [s.step_of_sigma(float(s.sigma(t))) for t in range(T + 1)] == list(range(T + 1))


@given(name=st.sampled_from(SCHEDULES), t=st.floats(1e-3, T))
def test_inverse_between_whole_levels(name: str, t: float) -> None:
    s = schedule(name)
    assert s.step_of_sigma(float(s.sigma(t))) == pytest.approx(t, abs=2e-6)


@given(name=st.sampled_from(SCHEDULES), t=st.floats(0.1, T))
def test_the_quantities_agree(name: str, t: float) -> None:
    s = schedule(name)
    left = float(s.alpha_bar(t))
    assert float(s.snr(t)) == pytest.approx(left / (1 - left), rel=1e-6)
    assert float(s.sigma(t)) == pytest.approx(0.5 * math.sqrt(1 / left - 1), rel=1e-6)


def test_level_carries_its_origin() -> None:
    level = schedule("sigmoid").level(150)
    assert (level.t, level.schedule) == (150, "sigmoid")
    assert level.sigma == pytest.approx(0.135, abs=5e-4)


def test_network_is_told_the_index_of_the_last_step() -> None:
    assert [network_step(t) for t in (1000.0, 1.0, 0.5)] == [999.0, 0.0, 0.0]


def test_wrong_values_are_one_clear_line() -> None:
    with pytest.raises(BenchError, match="no schedule named 'sigmiod'; known: cosine, linear"):
        schedule("sigmiod")
    with pytest.raises(BenchError, match="expected 0 to 1000"):
        schedule("linear").sigma(1001)
    with pytest.raises(BenchError, match="sigma 1e\\+06 is out of the range"):
        schedule("linear").step_of_sigma(1e6)
    with pytest.raises(BenchError, match="out of the range"):
        schedule("linear").step_of_sigma(-0.1)


# ------------------------------------------------------------------ exactness


def products(name: str) -> list[mpmath.mpf]:
    """Return alpha_bar of the levels 1..T from the published formulas, in forty digits."""
    with mpmath.workdps(40):
        if name == "linear":
            low, high = mpmath.mpf("1e-4"), mpmath.mpf("2e-2")
            betas = [low + n * (high - low) / (T - 1) for n in range(T)]
        else:
            curve = {"cosine": _cosine, "sigmoid": _sigmoid}[name]
            left = [curve(mpmath.mpf(t) / T) for t in range(T + 1)]
            betas = [min(1 - b / a, mpmath.mpf("0.999")) for a, b in itertools.pairwise(left)]
        found, product = [], mpmath.mpf(1)
        for beta in betas:
            product *= 1 - beta
            found.append(product)
        return found


def _cosine(u: mpmath.mpf) -> mpmath.mpf:
    offset = mpmath.mpf("0.008")
    return mpmath.cos((u + offset) / (1 + offset) * mpmath.pi / 2) ** 2


def _sigmoid(u: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-3)) - 1 / (1 + mpmath.exp(3 - 6 * u))


@pytest.mark.parametrize("name", SCHEDULES)
def test_alpha_bar_is_the_product_of_its_factors_in_higher_precision(name: str) -> None:
    s, exact = schedule(name), products(name)
    found = s.alpha_bar(np.arange(1, T + 1))
    worst = max(abs(mpmath.mpf(float(a)) / b - 1) for a, b in zip(found, exact, strict=True))
    assert worst < 1e-10
    ratios = [float(left / (1 - left)) for left in exact]
    np.testing.assert_allclose(s.snr(np.arange(1, T + 1)), ratios, rtol=1e-10)


@given(name=st.sampled_from(SCHEDULES), t=st.floats(1e-3, T))
def test_snr_inverse_is_the_inverse(name: str, t: float) -> None:
    s = schedule(name)
    snr = float(s.snr(t))
    assert s.snr_inverse(snr) == pytest.approx(t, rel=1e-9)
    assert float(s.snr(s.snr_inverse(snr))) == pytest.approx(snr, rel=1e-9)


@given(
    name=st.sampled_from(SCHEDULES),
    ratios=st.lists(st.floats(-9, 12), min_size=2, max_size=2, unique=True),
)
def test_snr_inverse_falls(name: str, ratios: list[float]) -> None:
    s = schedule(name)
    end = float(s.log_snr(T))
    few, many = sorted(max(ratio, end) for ratio in ratios)
    levels = s.snr_inverse(math.exp(few)), s.snr_inverse(math.exp(many))
    assert levels[0] >= levels[1]
    assert levels[0] > levels[1] or many - few < 1e-9


@pytest.mark.parametrize("snr", [0.0, -1.0, 1e-12, math.nan])
def test_a_ratio_that_is_never_reached_is_one_clear_line(snr: float) -> None:
    with pytest.raises(BenchError, match=r"a signal-to-noise ratio of .* or more"):
        schedule("linear").snr_inverse(snr)
