"""Frechet and kernel distances: closed forms, degenerate sets, parts and wholes, intervals."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import Invalid
from bench.metrics.distances import (
    Statistics,
    floor,
    frechet,
    frechet_interval,
    frechet_jackknife,
    kid,
    kid_jackknife,
    merge_all,
)


def normal(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def orthogonal(seed, dimension):
    return torch.linalg.qr(normal(seed, dimension, dimension)).Q


def textbook(a, b):
    """Return the Frechet distance by a route of its own: eigenvalues of the symmetric form."""
    sa, sb = np.cov(a.T.numpy()), np.cov(b.T.numpy())
    values, vectors = np.linalg.eigh(sa)
    half = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(half @ sb @ half).clip(0)).sum()
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift) + np.trace(sa) + np.trace(sb) - 2 * overlap


@pytest.mark.parametrize("dimension", [64, 256, 1024])
def test_gaussians_with_common_axes(dimension):
    """Covariances that commute: the distance is the sum of squared differences of deviations."""
    axes = orthogonal(0, dimension)
    s = torch.linspace(0.1, 3, dimension, dtype=torch.float64)
    t = torch.linspace(2, 0.5, dimension, dtype=torch.float64)
    shift = normal(1, dimension)
    a = Statistics.gaussian(torch.zeros(dimension, dtype=torch.float64), s[:, None] * axes.T)
    b = Statistics.gaussian(shift, t[:, None] * axes.T)
    expected = float((s - t).square().sum() + shift.square().sum())
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet(b, a) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_gaussians_with_common_axes_in_2048_dimensions():
    test_gaussians_with_common_axes(2048)


def test_gaussians_in_one_dimension():
    a = Statistics.gaussian(torch.tensor([1.0]), torch.tensor([[2.0]]))
    b = Statistics.gaussian(torch.tensor([4.0]), torch.tensor([[0.5]]))
    assert frechet(a, b) == pytest.approx(9 + 1.5**2, rel=1e-12)


def test_equals_the_textbook_form():
    a = normal(0, 700, 20) @ normal(1, 20, 20)
    b = normal(2, 900, 20) @ normal(3, 20, 20) + 0.5
    assert frechet(Statistics.of(a), Statistics.of(b)) == pytest.approx(textbook(a, b), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 60), dimension=st.integers(1, 80), seed=st.integers(0, 99))
def test_a_set_has_no_distance_to_itself(count, dimension, seed):
    """Also when rank-deficient, and when the same images come in another order."""
    x = normal(seed, count, dimension)
    x[:, dimension // 2 :] = 0
    shuffled = x[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]
    assert frechet(Statistics.of(x), Statistics.of(x)) < 1e-12
    assert frechet(Statistics.of(x), Statistics.of(shuffled)) < 1e-12


def test_a_large_rank_deficient_set_has_no_distance_to_itself():
    x = normal(0, 1200, 8) @ normal(1, 8, 256)
    assert frechet(Statistics.of(x), Statistics.of(x.flip(0))) < 1e-9


def test_fewer_images_than_dimensions():
    a, b = normal(0, 12, 100), 2 * normal(1, 30, 100)
    assert frechet(Statistics.of(a), Statistics.of(b)) == pytest.approx(textbook(a, b), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    dimension=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_batches_of_any_size_give_the_same_bits(sizes, dimension, seed):
    x = normal(seed, sum(sizes), dimension)
    whole, streamed = Statistics.of(x), Statistics.stream(x.split(sizes))
    assert streamed.count == len(x)
    assert torch.equal(whole.mean, streamed.mean)
    assert torch.equal(whole.root, streamed.root)


def test_shards_merged_in_order_give_the_same_bits():
    x = normal(0, 1730, 40).float()
    blocks = [Statistics.of_block(block) for block in x.split(500)]
    whole = Statistics.of(x)
    assert torch.equal(merge_all(blocks).root, whole.root)
    assert torch.equal(merge_all(blocks).mean, whole.mean)


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, 59), dimension=st.integers(1, 30), seed=st.integers(0, 99))
def test_parts_merge_to_the_whole(cut, dimension, seed):
    x = 5 + normal(seed, 60, dimension)
    merged = Statistics.of(x[:cut]).merge(Statistics.of(x[cut:]))
    centred = x - x.mean(0)
    assert merged.count == 60
    assert merged.root.shape[0] <= max(dimension, 61)
    torch.testing.assert_close(merged.mean, x.mean(0))
    torch.testing.assert_close(merged.root.T @ merged.root, centred.T @ centred)


def test_the_jackknife_leaves_out_each_block_once():
    a, b = normal(0, 83, 6), normal(1, 70, 6) + 0.3
    result = frechet_jackknife(a, b, blocks=5)
    keep = [
        frechet(*(Statistics.of(torch.cat([x[j::5] for j in range(5) if j != i])) for x in (a, b)))
        for i in range(5)
    ]
    assert result.deleted == pytest.approx(keep, rel=1e-9)
    assert result.value == frechet(Statistics.of(a), Statistics.of(b))


def test_the_interval_covers_the_spread_of_the_estimate():
    """Over independent sets the intervals must hold the mean estimate about 95 times in 100."""
    results = [
        frechet_interval(normal(2 * i, 400, 16), normal(2 * i + 1, 400, 16) * 1.3)
        for i in range(60)
    ]
    mean = np.mean([r.value for r in results])
    covered = np.mean([r.low <= mean <= r.high for r in results])
    assert 0.85 <= covered <= 1.0
    errors = np.mean([r.standard_error for r in results])
    assert errors == pytest.approx(np.std([r.value for r in results]), rel=0.4)


def test_the_paired_difference_is_sharper_than_two_intervals():
    """Two generators with common random numbers, one slightly worse: the difference shows it."""
    real, base = normal(0, 800, 16), normal(1, 800, 16)
    better, worse = (frechet_jackknife(base * scale, real) for scale in (1.10, 1.16))
    difference = (worse - better).interval()
    assert 0 < difference.low < difference.value
    assert difference.standard_error < 0.7 * worse.interval().standard_error


def test_the_floor_falls_with_the_number_of_images():
    """To first order the bias of white features is 2 D / N + D (D + 1) / (2 N)."""
    real = normal(0, 4000, 32)
    small, large = floor(real[:400]), floor(real)
    assert small.value > 4 * large.value
    assert (small.n, large.n, large.against) == (200, 2000, 2000)
    assert large.value == pytest.approx(2 * 32 / 2000 + 32 * 33 / 4000, rel=0.15)


def test_the_floor_of_a_sorted_set_compares_like_with_like():
    real = torch.cat([normal(0, 300, 8), normal(1, 300, 8) + 10])
    assert floor(real).value < 1


def test_the_floor_has_the_numbers_of_the_distance_where_there_are_so_many():
    real = normal(0, 300, 4)
    asked = floor(real, generated=90, scored=200)
    assert (asked.n, asked.against) == (90, 200)
    assert asked.value == frechet(Statistics.of(real[200:290]), Statistics.of(real[:200]))
    halves = floor(real, generated=110, scored=200)
    assert (halves.n, halves.against) == (150, 150)


def test_kid_is_unbiased_and_sees_a_difference():
    same = [kid(normal(2 * i, 96, 8), normal(2 * i + 1, 96, 8)).value for i in range(40)]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(len(same))
    assert min(same) < 0 < max(same)
    apart = kid(normal(0, 200, 8), normal(1, 200, 8) + 0.5)
    assert apart.low > 0


def test_kid_equals_the_plain_double_sum():
    def kernel(x, y):
        return (x @ y.T / 5 + 1) ** 3

    def plain(a, b):
        m, n = len(a), len(b)
        within = (kernel(a, a).sum() - kernel(a, a).diagonal().sum()) / (m * (m - 1))
        within += (kernel(b, b).sum() - kernel(b, b).diagonal().sum()) / (n * (n - 1))
        return float(within - 2 * kernel(a, b).mean())

    a, b = normal(0, 37, 5), normal(1, 29, 5) + 0.2
    result = kid_jackknife(a, b)
    assert result.value == pytest.approx(plain(a, b), rel=1e-9)
    without = (torch.cat([x[i::8] for i in range(8) if i != 3]) for x in (a, b))
    assert result.deleted[3] == pytest.approx(plain(*without), rel=1e-9)


def test_distances_grow_with_noise():
    real, other = normal(0, 400, 12), normal(1, 400, 12)
    noise = normal(2, 400, 12)
    for distance in (frechet_interval, kid):
        values = [distance(other + s * noise, real).value for s in (0, 0.5, 1, 2)]
        assert np.all(np.diff(values) > 0)


def test_the_order_of_images_does_not_matter():
    a, b = normal(0, 300, 10), normal(1, 300, 10) + 0.1
    perm = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    for distance in (frechet_interval, kid):
        assert distance(a[perm], b).value == pytest.approx(distance(a, b).value, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet(Statistics.of(normal(0, 1, 3)), Statistics.of(normal(0, 9, 3))), "2 or"),
        (lambda: frechet(Statistics.of(normal(0, 9, 3)), Statistics.of(normal(0, 9, 4))), "differ"),
        (lambda: Statistics.of(normal(0, 9, 3)).merge(Statistics.of(normal(0, 9, 4))), "same"),
        (lambda: Statistics.stream([]), "none"),
        (lambda: floor(normal(0, 3, 3)), "3 real images, expected 4"),
        (lambda: frechet_interval(normal(0, 15, 3), normal(1, 90, 3)), "15 images in 8 blocks"),
        (lambda: kid(normal(0, 90, 3), normal(1, 90, 4)), "dimension 4, expected 3"),
        (lambda: kid(normal(0, 90, 3), normal(1, 90, 3), 1), "2 blocks or more"),
    ],
)
def test_what_cannot_be_measured_is_invalid(call, message):
    with pytest.raises(Invalid, match=message):
        call()


def test_an_interval_takes_well_under_a_second():
    a, b = normal(0, 2000, 256), normal(1, 2000, 256)
    started = time.process_time()
    frechet_interval(a, b)
    assert time.process_time() - started < 1  # measured: 0.25 s
