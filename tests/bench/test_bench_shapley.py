"""Contributions of choices: exact sums, planted answers, gaps."""

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import BenchError
from bench.shapley import shapley

NAMES = ("a", "b", "c", "d")
NUMBERS = st.floats(-1e3, 1e3)


def subsets(names):
    sizes = range(len(names) + 1)
    return [frozenset(s) for s in chain.from_iterable(combinations(names, k) for k in sizes)]


@given(st.lists(NUMBERS, min_size=16, max_size=16))
def test_contributions_add_up_to_the_whole_change(numbers):
    values = dict(zip(subsets(NAMES), numbers, strict=True))
    found = shapley(values)
    whole = values[frozenset(NAMES)] - values[frozenset()]
    assert sum(found.values()) == pytest.approx(whole, abs=1e-9)


@given(st.lists(NUMBERS, min_size=4, max_size=4), NUMBERS)
def test_a_choice_that_acts_alone_contributes_exactly_its_effect(effects, base):
    planted = dict(zip(NAMES, effects, strict=True))
    values = {names: base + sum(planted[n] for n in names) for names in subsets(NAMES)}
    assert shapley(values) == pytest.approx(planted, abs=1e-9)


def test_two_choices_that_act_only_together_share_the_effect():
    values = {names: 3.0 * ({"a", "b"} <= names) for names in subsets(("a", "b", "c"))}
    assert shapley(values) == pytest.approx({"a": 1.5, "b": 1.5, "c": 0.0})


def test_orders_counted_one_by_one_give_the_same():
    from itertools import permutations

    rng = np.random.default_rng(0)
    values = {names: float(rng.normal()) for names in subsets(NAMES)}
    changes = {name: [] for name in NAMES}
    for order in permutations(NAMES):
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            changes[name].append(values[before | {name}] - values[before])
    assert shapley(values) == pytest.approx({n: np.mean(c) for n, c in changes.items()})


def test_arrays_are_taken_case_by_case():
    values = {names: np.array([len(names), 2.0 * len(names)]) for names in subsets(("a", "b"))}
    assert {n: v.tolist() for n, v in shapley(values).items()} == {"a": [1, 2], "b": [1, 2]}


def test_a_missing_combination_is_told():
    values = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 1.0}
    with pytest.raises(BenchError, match="of 2 choices: 3 values, expected 4"):
        shapley(values)
    assert shapley({frozenset(): 1.0}) == {}
