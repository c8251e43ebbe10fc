import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.regression.gate import Compared
from bench.regression.judge import Limits, Pair, Side, Verdict, judged, suspects

BROKEN = Side(reason="ValueError: no", failed=True)
ABSENT = Side(reason="no such benchmark")


def pair(base, head, kind="track", name="a"):
    sides = [side if isinstance(side, Side) else Side((side,)) for side in (base, head)]
    return Pair(name, kind, "", *sides)


def verdict(*pairs, limits=None):
    return [one.verdict for one in judged(pairs, limits or Limits())]


def times(rng, factor=1.0, count=16):
    """Draw times as machines give them: a skew, now and then an interruption, two states."""
    return Side(
        tuple(
            factor * (1 + 0.03 * rng.expovariate(1) + 0.5 * (rng.random() < 0.05))
            for _ in range(count)
        )
    )


def test_equal_code_raises_no_alarm_in_twenty_comparisons():
    for least in (1.0, 1.05):  # without the least ratio chance alone decides
        alarms = 0
        for seed in range(20):
            rng = random.Random(seed)
            pairs = [pair(times(rng), times(rng), "time", f"t{n}") for n in range(40)]
            found = verdict(*pairs, limits=Limits(0.01, least))
            alarms += any(one is not Verdict.SAME for one in found)
        assert alarms / 20 <= 0.01


def test_a_fifth_slower_is_found_among_forty_equal_ones_and_nothing_else():
    found_ones = 0
    for seed in range(20):
        rng = random.Random(seed)
        pairs = [pair(times(rng), times(rng), "time", f"t{n}") for n in range(40)]
        slower = pair(times(rng), times(rng, 1.2), "time", "slower")
        found = judged([*pairs, slower], Limits())
        assert suspects(found) in ([], ["slower"])
        found_ones += bool(suspects(found))
    assert found_ones >= 19


def test_a_difference_that_is_sure_but_small_is_none():
    rng = random.Random(0)
    base = Side(tuple(1 + 1e-4 * rng.random() for _ in range(16)))
    head = Side(tuple(1.03 + 1e-4 * rng.random() for _ in range(16)))
    (found,) = judged([pair(base, head, "time")], Limits())
    assert found.verdict is Verdict.SAME
    assert found.p < 1e-6
    assert verdict(pair(base, head, "time"), limits=Limits(0.01, 1.02)) == [Verdict.REGRESSED]


@given(st.integers(0, 999), st.floats(0.7, 1.4))
def test_exchanged_sides_exchange_the_verdict(seed, factor):
    rng = random.Random(seed)
    # An odd number, whose median is one of them: of two, the mean is not that of the inverses.
    base, head = times(rng, count=15), times(rng, factor, count=15)
    turned = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
    (there,) = verdict(pair(base, head, "time"))
    (back,) = verdict(pair(head, base, "time"))
    assert back is turned.get(there, there)


@pytest.mark.parametrize(
    ("base", "head", "kind", "expected"),
    [
        (10, 10, "track", Verdict.SAME),
        (10**12, 10**12 + 1, "track", Verdict.REGRESSED),
        (10, 9, "track", Verdict.IMPROVED),
        (0, 1, "track", Verdict.REGRESSED),
        (100.0, 104.9, "peakmem", Verdict.SAME),
        (100.0, 105.1, "peakmem", Verdict.REGRESSED),
        (105.1, 100.0, "peakmem", Verdict.IMPROVED),
        (10.0, 11.9, "peakmem", Verdict.SAME),  # a fifth, but of few pages
        (10.0, 12.1, "peakmem", Verdict.REGRESSED),
        (BROKEN, 10, "track", Verdict.NEW),
        (ABSENT, 10, "time", Verdict.NEW),
        (10, BROKEN, "track", Verdict.REGRESSED),
        (10, BROKEN, "time", Verdict.REGRESSED),
        (10, ABSENT, "track", Verdict.GONE),
        (BROKEN, BROKEN, "track", Verdict.NEITHER),
        (ABSENT, BROKEN, "time", Verdict.NEITHER),
    ],
)
def test_verdicts(base, head, kind, expected):
    assert verdict(pair(base, head, kind)) == [expected]


def test_reasons_are_told():
    one, two = judged([pair(BROKEN, 1), pair(BROKEN, BROKEN)], Limits())
    assert one.reason == "base: ValueError: no"
    assert two.reason == "base: ValueError: no"


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([], 5),
        ([pair(ABSENT, 1)], 5),
        ([pair(1, ABSENT)], 5),
        ([pair(1, 1), pair(ABSENT, 1, name="b")], 0),
        ([pair(2, 1)], 0),
        ([pair(1, BROKEN)], 3),
        ([pair(1, 1), pair(1, 2, name="b")], 3),
    ],
)
def test_exit_codes(pairs, code):
    found = tuple(judged(pairs, Limits()))
    assert Compared("c", False, 8, Limits(), found, (), 0.0).exit_code == code
