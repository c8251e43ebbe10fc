"""What is set in bold: the best and all that tie with it, by intervals of paired differences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.comparison import Value
from bench.report.leaders import gap_over_blocks, leaders, marked


def apart(values, reach):
    """Return the differences of values that are known to within `reach`."""
    return lambda i, j: (
        values[i] - values[j],
        values[i] - values[j] - reach,
        values[i] - values[j] + reach,
    )


@pytest.mark.parametrize(
    ("values", "reach", "largest", "best"),
    [
        ([3.0, 1.0, 1.2], 0.5, False, [False, True, True]),
        ([3.0, 1.0, 1.2], 0.1, False, [False, True, False]),
        ([3.0, 1.0, 2.8], 0.5, True, [True, False, True]),
        ([1.0, 1.2], 0.5, False, [False, False]),
        ([1.0], 0.5, False, [False]),
        ([None, 1.0, 2.0], 0.5, False, [False, True, False]),
        ([None, None, 2.0], 0.5, False, [False, False, False]),
        ([], 0.5, False, []),
    ],
)
def test_the_best_and_its_ties_lead_and_nothing_where_all_tie(values, reach, largest, best):
    assert leaders(values, apart(values, reach), largest=largest) == best


def test_without_an_interval_the_best_leads_alone():
    assert leaders([1.0, 1.1], lambda i, j: None) == [True, False]


@given(st.permutations([1.0, 1.3, 2.0, 2.2]))
def test_the_order_does_not_matter(values):
    best = leaders(values, apart(values, 0.5))
    assert {v for v, yes in zip(values, best, strict=True) if yes} == {1.0, 1.3}


def test_marked_texts_are_bold():
    assert marked(["1", "2", "-"], [True, False, False]) == ["**1**", "2", "-"]


def test_distances_over_the_same_blocks_differ_by_what_they_do_not_share():
    shared = [20.0, 30.0, 10.0, 25.0]
    ours, base = Value(22.0, 10.0, 34.0), Value(21.0, 9.0, 33.0)
    _, low, high = gap_over_blocks(ours, base, ([v + 1 for v in shared], shared))
    assert low == pytest.approx(1) and high == pytest.approx(1)
    _, low, high = gap_over_blocks(ours, base, ([], []))
    assert low < 0 < high
    assert gap_over_blocks(Value(1.0), Value(2.0), ([], [])) is None
    assert gap_over_blocks(Value(None), base, (shared, shared)) is None
