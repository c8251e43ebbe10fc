"""Shares and class counts against published values, enumeration and drawing; what is refused."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import Invalid
from bench.metrics.classes import even, expected_variation, share, variation

UNEVEN = [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.04, 0.03, 0.02, 0.01]


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1, 29, 0.0061, 0.1718), (20, 20, 1 - 0.1611, 1.0)],
)  # fmt: skip
def test_the_interval_of_a_share_is_newcombes(successes, count, low, high):
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    found = share(successes, count)
    assert found.value == successes / count
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def enumerated(n, shares):
    """Return the mean distance over all outcomes of a multinomial, by its definition."""
    total = 0.0
    for counts in itertools.product(range(n + 1), repeat=len(shares)):
        if sum(counts) == n:
            ways = math.factorial(n) / math.prod(math.factorial(k) for k in counts)
            chance = ways * math.prod(p**k for p, k in zip(shares, counts, strict=True))
            gaps = (abs(k / n - p) for p, k in zip(shares, counts, strict=True))
            total += chance * sum(gaps) / 2
    return total


@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [1 / 3] * 3, [0.9, 0.1, 0.0], [1.0, 0.0]])
@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_the_floor_is_the_mean_over_all_outcomes(n, shares):
    assert expected_variation(n, shares) == pytest.approx(enumerated(n, shares), abs=1e-12)


@pytest.mark.parametrize("shares", [even(10), UNEVEN])
def test_the_floor_is_what_drawing_gives(shares):
    drawn = np.random.default_rng(0).multinomial(1000, shares, size=20_000)
    mean = np.abs(drawn / 1000 - shares).sum(axis=1).mean() / 2
    assert expected_variation(1000, shares) == pytest.approx(mean, rel=0.005)


@pytest.mark.parametrize("truth", [even(10), UNEVEN, [0.55, *[0.05] * 9]])
@pytest.mark.parametrize("n", [30, 192, 2000])
def test_the_interval_holds_the_generators_own_distance(n, truth):
    """Where it is 0, too, which a bootstrap of the same counts hardly ever admits."""
    own = sum(abs(p - 0.1) for p in truth) / 2
    drawn = np.random.default_rng(1).multinomial(n, truth, size=400)
    inside = sum((v := variation(c, even(10))).low <= own <= v.high for c in drawn)
    assert inside >= 0.95 * len(drawn)


def test_one_class_alone_is_as_far_as_can_be():
    found = variation([0, 0, 500, *[0] * 7], even(10))
    assert found.value == pytest.approx(0.9)
    assert found.low > 0.7 and found.high <= 1
    assert variation([50] * 10, even(10)).value == 0
    assert variation([30, 20], [0.6, 0.4]).value == pytest.approx(0)
    assert variation([10, 30], [0.5, 0.5]).value == pytest.approx(0.25)


@given(counts=st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any))
def test_every_count_gives_ordered_numbers(counts):
    found = variation(counts, even(len(counts)))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert 0 < found.floor < 1
    one = share(counts[0], sum(counts))
    assert 0 <= one.low <= one.value <= one.high <= 1


@pytest.mark.parametrize(
    ("counts", "shares", "says"),
    [
        ([1, 2], [1.0], "one per class"),
        ([0, 0], [0.5, 0.5], "1 or more"),
        ([-1, 2], [0.5, 0.5], "1 or more"),
        ([1, 2], [0.5, 0.6], "add up to 1"),
        ([1, 2], [1.5, -0.5], "add up to 1"),
        ([math.nan, 2], [0.5, 0.5], "1 or more"),
    ],
)
def test_what_does_not_fit_is_refused(counts, shares, says):
    with pytest.raises(Invalid, match=says):
        variation(counts, shares)


@pytest.mark.parametrize(("successes", "count"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_shares_are_refused(successes, count):
    with pytest.raises(Invalid, match="expected 0 to all"):
        share(successes, count)
