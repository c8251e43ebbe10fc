import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.regression.mann_whitney import arrangements, holm, least_p, mann_whitney, wins

SAMPLES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        ([1], [2], 1.0),  # both orders are as extreme
        ([1, 2], [3, 4], 2 / 6),  # 1 of C(4, 2) orders, two-sided
        ([1, 2, 3], [4, 5, 6], 2 / 20),
        ([1, 2, 4], [3, 5, 6], 4 / 20),  # U = 0 and U = 1
        ([1, 4], [2, 3], 1.0),
        ([5, 5, 5], [5, 5], 1.0),  # all equal
    ],
)
def test_small_cases_by_counting(first, second, p):
    assert mann_whitney(first, second) == pytest.approx(p, rel=1e-12)
    assert mann_whitney(second, first) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (4, 4), (5, 2)])
def test_arrangements_are_those_that_enumerating_finds(n, m):
    found = [0] * (n * m + 1)
    for places in combinations(range(n + m), n):
        found[sum(places) - n * (n - 1) // 2] += 1
    assert list(arrangements(n, m)) == found


@pytest.mark.parametrize(("n", "m"), [(1, 6), (3, 8), (16, 16), (30, 30), (7, 30)])
def test_exact_p_is_scipys(n, m):
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")
    for shift in (0.0, 0.3, 2.0):
        first = [math.sin(17 * i) for i in range(n)]
        second = [math.cos(23 * i) + shift for i in range(m)]
        theirs = stats.mannwhitneyu(first, second, method="exact").pvalue
        assert mann_whitney(first, second) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("tied", [True, False])
def test_approximate_p_is_scipys(tied):
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")
    for shift in (0, 1, 3):
        first = [(i * 7919) % 11 if tied else (i * 7919) % 1009 for i in range(35)]
        second = [(i * 104729) % 11 + shift if tied else (i * 104729) % 997 + shift + 0.5
                  for i in range(40)]  # fmt: skip
        theirs = stats.mannwhitneyu(first, second, method="asymptotic").pvalue
        assert mann_whitney(first, second) == pytest.approx(theirs, rel=1e-9)


@given(SAMPLES, SAMPLES)
def test_sides_can_be_exchanged_and_u_is_a_share_of_the_pairs(first, second):
    p = mann_whitney(first, second)
    assert p == pytest.approx(mann_whitney(second, first))
    assert 0 < p <= 1
    assert wins(first, second) + wins(second, first) == len(first) * len(second)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_least_p_is_that_of_samples_that_do_not_overlap(count):
    apart = mann_whitney(range(count), range(count, 2 * count))
    assert apart == pytest.approx(least_p(count))


@pytest.mark.parametrize(("first", "second"), [([], [1.0]), ([1.0], []), ([math.nan], [1.0])])
def test_what_is_no_sample_is_refused(first, second):
    with pytest.raises(ValueError, match="expected one or more"):
        mann_whitney(first, second)


def test_holm_multiplies_the_smallest_by_the_most_and_never_falls():
    # by hand: 4 * 0.005, 3 * 0.01, 2 * 0.03, then max(0.06, 0.04)
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_lies_between_plain_and_bonferroni(values):
    found = holm({str(i): p for i, p in enumerate(values)})
    for i, p in enumerate(values):
        assert p <= found[str(i)] <= min(1.0, len(values) * p) + 1e-15
