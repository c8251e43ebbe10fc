"""The rule for each kind of number: planted differences, none, and both runs exchanged."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.comparison.kinds import MEASURES, Kind, Measure
from bench.comparison.verdicts import EXCHANGED, Setting, Side, Verdict, judge, quartiles
from bench.regression.mann_whitney import mann_whitney

PSNR, KID, COUNT = MEASURES["psnr"], MEASURES["kid"], MEASURES["parameters"]
TIME, MEMORY, FLAG = MEASURES["latency_s"], MEASURES["peak_memory_mib"], MEASURES["passed"]
ALIKE = Setting(same_images=True, same_machine=True)
numbers = st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float)


def timed(samples, **more):
    middle = sorted(samples)[len(samples) // 2]
    return Side(middle, quartiles=quartiles(samples), samples=tuple(samples), **more)


@st.composite
def sides(draw):
    value = draw(numbers)
    reach = draw(st.none() | st.floats(0, 10))
    each = tuple(draw(st.lists(st.floats(-3, 3), max_size=20)))
    return Side(
        value,
        None if reach is None else value - reach,
        None if reach is None else value + 2 * reach,
        quartiles=draw(st.none() | st.just((value - 1, value + 1))),
        each=each,
        left_out=tuple(draw(st.lists(numbers, max_size=4))),
        noisy=draw(st.booleans()),
    )


settings_of = st.builds(
    Setting, st.sampled_from(["", "other split"]), same_images=st.booleans(),
    same_machine=st.booleans(),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(MEASURES.values())), sides(), sides(), settings_of)
def test_exchanged_runs_turn_better_into_worse_and_change_nothing_else(measure, a, b, setting):
    there, back = (judge(measure, *pair, setting, p=0.001) for pair in ((a, b), (b, a)))
    assert back.verdict is EXCHANGED.get(there.verdict, there.verdict)
    names = {"noisy in A": "noisy in B", "noisy in B": "noisy in A"}
    assert back.reason == names.get(there.reason, there.reason)
    if there.gap and back.gap:
        exchanged = (-there.gap[0], -there.gap[2], -there.gap[1])
        assert back.gap == pytest.approx(exchanged, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(MEASURES.values())), sides(), settings_of)
def test_a_number_is_the_same_as_itself(measure, a, setting):
    assert judge(measure, a, a, setting, p=1.0).verdict is Verdict.SAME


def test_a_count_may_not_grow_by_one_whatever_the_machine_or_the_conditions():
    for setting in (ALIKE, Setting("other split")):
        assert judge(COUNT, Side(35710339), Side(35710340), setting).verdict is Verdict.WORSE
        assert judge(COUNT, Side(35710340), Side(35710339), setting).verdict is Verdict.BETTER
    assert judge(COUNT, Side(0.1 + 0.2), Side(0.3), ALIKE).verdict is Verdict.SAME


def test_on_the_same_images_a_small_gain_counts_that_intervals_alone_would_hide():
    chance = random.Random(1)
    first = tuple(chance.gauss(25, 3) for _ in range(40))
    second = tuple(one + chance.gauss(0.1, 0.1) for one in first)
    a, b = (
        Side(sum(each) / 40, sum(each) / 40 - 1, sum(each) / 40 + 1, each=each)
        for each in (first, second)
    )
    assert judge(PSNR, a, b, ALIKE).verdict is Verdict.BETTER
    apart = judge(PSNR, a, b, Setting(same_machine=True))
    assert apart.verdict is Verdict.SAME and apart.reason == "interval contains 0"
    assert judge(MEASURES["mse"], a, b, ALIKE).verdict is Verdict.WORSE


def test_a_paired_distance_is_judged_by_its_blocks():
    left = (1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.0)
    shifted = tuple(one + 0.5 for one in left)
    a, b = Side(1.0, left_out=left), Side(1.5, left_out=shifted)
    found = judge(KID, a, b, ALIKE)
    assert found.verdict is Verdict.WORSE  # every block by as much: no doubt is left
    assert found.gap == pytest.approx((0.5, 0.5, 0.5))
    assert judge(KID, a, b, Setting()).reason == "no interval"


def test_false_alarms_of_unpaired_intervals_are_no_more_than_promised():
    chance, alarms = random.Random(0), 0
    for _ in range(300):
        a, b = (Side(v, v - 1.96, v + 1.96) for v in (chance.gauss(0, 1), chance.gauss(0, 1)))
        alarms += judge(PSNR, a, b, Setting()).verdict is not Verdict.SAME
    assert 3 <= alarms <= 27  # 5 % of 300 is 15, give or take 4


def test_other_conditions_are_never_better_or_worse():
    a, b = Side(1.0, 0.9, 1.1), Side(9.0, 8.9, 9.1)
    found = judge(KID, a, b, Setting("other n real"))
    assert (found.verdict, found.reason) == (Verdict.DIFFERS, "other n real")


def test_a_time_on_another_machine_is_not_judged():
    fast, slow = timed([0.01 + 1e-5 * i for i in range(15)]), timed([0.02] * 14 + [0.021])
    p = mann_whitney(fast.samples, slow.samples)
    assert judge(TIME, fast, slow, ALIKE, p=p).verdict is Verdict.WORSE
    assert judge(TIME, slow, fast, ALIKE, p=p).verdict is Verdict.BETTER
    other = judge(TIME, fast, slow, Setting(), p=p)
    assert (other.verdict, other.reason) == (Verdict.DIFFERS, "other machine")
    assert judge(TIME, fast, slow, ALIKE, p=0.2).verdict is Verdict.SAME
    near = timed([0.0102 + 1e-5 * i for i in range(15)])
    assert judge(TIME, fast, near, ALIKE, p=1e-6).reason == "medians within 5 %"
    noisy = judge(TIME, fast, timed(slow.samples, noisy=True), ALIKE, p=p)
    assert (noisy.verdict, noisy.reason) == (Verdict.DIFFERS, "noisy in B")
    wide = timed([0.005 * (1 + i) for i in range(15)])
    assert judge(TIME, fast, wide, ALIKE, p=1e-6).verdict is Verdict.WORSE
    spread = timed([0.0095] * 5 + [0.013] * 10)
    assert judge(TIME, fast, spread, ALIKE, p=1e-6).reason == "quartiles overlap"


def test_memory_has_a_tolerance_on_one_machine():
    assert judge(MEMORY, Side(100.0), Side(101.9), ALIKE).verdict is Verdict.SAME
    assert judge(MEMORY, Side(10.0), Side(11.9), ALIKE).verdict is Verdict.SAME  # 2 MiB
    assert judge(MEMORY, Side(100.0), Side(110.0), ALIKE).verdict is Verdict.WORSE
    assert judge(MEMORY, Side(100.0), Side(110.0), Setting()).reason == "other machine"


def test_flags_and_words():
    assert judge(FLAG, Side(True), Side(False), ALIKE).verdict is Verdict.WORSE
    holds = MEASURES["holds"]
    assert judge(holds, Side("holds"), Side("not decided"), ALIKE).verdict is Verdict.DIFFERS
    assert judge(holds, Side("holds"), Side("holds"), ALIKE).verdict is Verdict.SAME
    bare = Measure(Kind.OTHER)
    assert judge(bare, Side(1.0), Side(1.0 + 1e-9), ALIKE).verdict is Verdict.SAME
    assert judge(bare, Side(1.0, 0.9, 1.1), Side(5.0, 4.9, 5.1), ALIKE).verdict is Verdict.DIFFERS


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_number(strange):
    found = judge(PSNR, Side(20.0, 19.0, 21.0), Side(strange), ALIKE)
    assert (found.verdict, found.reason) == (Verdict.DIFFERS, "not finite")
    assert judge(PSNR, Side(strange), Side(strange), ALIKE).verdict is Verdict.SAME


def test_other_images_are_judged_by_the_intervals_of_both_means():
    chance = random.Random(4)
    a, b, c = (tuple(chance.gauss(mean, 1) for _ in range(60)) for mean in (25, 25, 27))
    one, like, far = (Side(sum(each) / 60, each=each) for each in (a, b, c))
    assert judge(PSNR, one, like, Setting()).reason == "interval contains 0"
    found = judge(PSNR, one, far, Setting())
    assert (found.verdict, found.reason) == (Verdict.BETTER, "interval is off 0")
    assert judge(PSNR, far, one, Setting()).verdict is Verdict.WORSE
