"""Verdicts, as the protocol defines them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.claims_costs import ratio_of_times
from bench.report.latency import Latency
from bench.report.paired import paired_jackknife, paired_mean, paired_median
from bench.report.paper import Printed
from bench.report.verdicts import (
    Label,
    Verdict,
    count,
    difference,
    differences,
    direction,
    magnitude,
    missing,
    not_comparable,
    overall,
    under,
)

numbers = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(1e-3, 1e3)


@given(numbers, positive)
def test_direction_turns_with_the_paper(low, width):
    """What reproduces one sign contradicts the other; ties stay ties."""
    turned = {
        Label.REPRODUCED: Label.CONTRADICTED,
        Label.CONTRADICTED: Label.REPRODUCED,
        Label.TIE: Label.TIE,
    }
    one = direction(low, low + width, paper_sign=1).label
    assert direction(low, low + width, paper_sign=-1).label is turned[one]


@pytest.mark.parametrize(
    ("low", "high", "label"),
    [
        (-2.0, -1.0, Label.REPRODUCED),
        (1.0, 2.0, Label.CONTRADICTED),
        (-1.0, 1.0, Label.TIE),
        (-1.0, 0.0, Label.TIE),
        (None, 1.0, Label.MISSING),
        (math.nan, 1.0, Label.MISSING),
    ],
)
def test_direction_of_a_negative_claim(low, high, label):
    assert direction(low, high, paper_sign=-1).label is label


@given(st.integers(1, 10_000), st.floats(-0.49, 0.49))
def test_what_rounds_to_the_printed_number_reproduces_it(hundredths, part):
    paper = Printed(hundredths / 100, f"{hundredths / 100:.2f}")
    ours = (hundredths + part) / 100
    assert magnitude(paper, ours).label is Label.REPRODUCED


@given(st.integers(1, 10_000), st.floats(0.51, 100), st.sampled_from((-1, 1)))
def test_what_rounds_elsewhere_differs(hundredths, part, sign):
    paper = Printed(hundredths / 100, f"{hundredths / 100:.2f}")
    verdict = magnitude(paper, (hundredths + sign * part) / 100)
    assert verdict.label is Label.DIFFERS
    assert verdict.factor == pytest.approx((hundredths + sign * part) / hundredths)


@given(positive, positive, positive, positive)
def test_a_wider_interval_reproduces_whatever_a_narrower_did(value, ours, down, up):
    paper = Printed(value, f"{value:.3f}")
    narrow = magnitude(paper, ours, low=ours - down, high=ours + up).label
    wide = magnitude(paper, ours, low=ours - 2 * down, high=ours + 2 * up).label
    assert not (narrow is Label.REPRODUCED and wide is Label.DIFFERS)


def test_count_allows_the_tolerance_beside_the_rounding():
    paper = Printed(88.4, "88.4")
    assert count(paper, 87.93, tolerance=0.005).label is Label.REPRODUCED
    assert count(paper, 87.90, tolerance=0.005).label is Label.DIFFERS
    assert count(paper, 87.93, tolerance=0.0).label is Label.DIFFERS
    assert count(Printed(2.90, "2.90"), 2.831, tolerance=0.005, cause="why").reason == "why"


def test_conditions_that_are_not_known_count_as_different():
    assert differences({"budget": ("paper", "paper"), "N": (300, 300)}) == ""
    assert differences({"N": (None, 300)}) == "N unknown instead of 300"
    assert "256 instead of 30,000" in differences({"images": (256, 30_000)})


def test_not_comparable_keeps_the_factor_and_what_was_seen():
    assert not_comparable("budget", 2.0, 3.0).factor == pytest.approx(1.5)
    seen = under("budget smoke", Verdict(Label.CONTRADICTED))
    assert (seen.label, seen.seen) == (Label.NOT_COMPARABLE, Label.CONTRADICTED)
    assert under("", Verdict(Label.TIE)) == Verdict(Label.TIE)
    assert under("budget smoke", missing()).label is Label.MISSING


def test_overall_is_the_least_favourable_and_counts():
    both = overall([Verdict(Label.REPRODUCED), Verdict(Label.TIE), missing()])
    assert (both.label, both.reason) == (Label.TIE, "1 tie, 1 reproduced")
    assert overall([]).label is Label.MISSING
    assert overall([missing("why")]).reason == "why"


@given(numbers, positive, numbers, positive)
def test_difference_of_symmetric_intervals_is_the_root_of_squares(a, da, b, db):
    value, low, high = difference((a, a - da, a + da), (b, b - db, b + db))
    half = math.hypot(da, db)
    assert value == pytest.approx(a - b)
    assert high - value == pytest.approx(half, rel=1e-3, abs=1e-6)
    assert value - low == pytest.approx(half, rel=1e-3, abs=1e-6)


def test_pairing_removes_what_both_share():
    """A shift common to both leaves an interval of width zero around the true difference."""
    b = [float(i * i) for i in range(20)]
    a = [x - 0.5 for x in b]
    for gap in (
        paired_mean(a, b),
        paired_median(a, b),
        paired_jackknife((sum(a) / 20, sum(b) / 20), a, b),
    ):
        assert gap == pytest.approx((-0.5, -0.5, -0.5))


def test_paired_median_covers_at_the_binomial_rate():
    """For n = 10 the order statistics 2 and 9 enclose the median with 97.9 %."""
    assert paired_median(list(range(10)), [0.0] * 10) == (4.5, 1.0, 8.0)
    assert paired_median(list(range(6)), [0.0] * 6) == (2.5, 0.0, 5.0)


def test_too_few_pairs_decide_no_direction():
    """Three rounds on one side of 1 are so in one case of four by chance alone."""
    gap = paired_median([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert gap == (3.0, -math.inf, math.inf)
    assert direction(*gap[1:], paper_sign=1).label is Label.TIE
    ours, base = (Latency(t, t, t, 3, "", samples=(t, t, t)) for t in (0.5, 1.0))
    assert ratio_of_times(ours, base) == (0.5, 0.0, math.inf)


@pytest.mark.parametrize("pair", [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], [])])
def test_no_pairs_no_interval(pair):
    assert paired_mean(*pair) is None
    assert paired_median(*pair) is None
    assert paired_jackknife((0.0, 0.0), *pair) is None


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_few_pairs_have_an_interval_that_misses_as_seldom_as_it_says(count):
    rng = np.random.default_rng(count)
    draws = [paired_mean(rng.normal(size=count), np.zeros(count)) for _ in range(300)]
    missed = sum(low > 0 or high < 0 for _, low, high in draws) / 300
    assert missed < 0.10
