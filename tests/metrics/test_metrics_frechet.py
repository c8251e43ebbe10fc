"""The Frechet distance: oracles, invariances, memory, and the task's edges."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import Missing
from bench.metrics.distances import Statistics, frechet, merge_all
from bench.torchvision_compat import import_torchvision

HOME = Path(__file__).resolve().parents[2]


@pytest.fixture
def torchvision():
    """Make torchvision importable beside any torch; what compares with others needs it."""
    try:
        return import_torchvision()
    except Missing as fault:
        pytest.skip(str(fault))


def normal(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def between(a, b):
    return frechet(Statistics.of(a), Statistics.of(b))


@pytest.mark.parametrize("dimension", [16, 64])
def test_agrees_with_torchmetrics(torchvision, dimension):
    """The same features through a network that hands them on: within 1e-3."""
    image = pytest.importorskip("torchmetrics.image.fid")

    class Pass(torch.nn.Module):
        num_features = dimension

        def forward(self, images):
            return images.flatten(1)

    a = normal(0, 900, dimension) @ normal(1, dimension, dimension) / dimension**0.5
    b = normal(2, 700, dimension) + 0.2
    theirs = image.FrechetInceptionDistance(
        feature=Pass(), normalize=True, input_img_size=(1, 1, dimension)
    ).set_dtype(torch.float64)
    for real, x in ((True, a), (False, b)):
        theirs.update(x[:, None, None, :], real=real)
    assert between(a, b) == pytest.approx(float(theirs.compute()), rel=1e-3)


def test_agrees_with_torch_fidelity(torchvision):
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    a, b = normal(0, 900, 32), 1.3 * normal(1, 900, 32)
    theirs = fid.fid_statistics_to_metric(*map(fid.fid_features_to_statistics, (a, b)), False)
    assert between(a, b) == pytest.approx(float(theirs[fid.KEY_METRIC_FID]), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 50), m=st.integers(2, 50), d=st.integers(1, 30), seed=st.integers(0, 99))
def test_symmetric_and_not_negative(n, m, d, seed):
    a, b = normal(seed, n, d), 2 * normal(seed + 1, m, d)
    assert between(a, b) == pytest.approx(between(b, a), rel=1e-9, abs=1e-9)
    assert between(a, b) >= 0


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 50), d=st.integers(1, 20), far=st.floats(-50, 50), seed=st.integers(0, 99))
def test_moving_and_turning_both_sets_changes_nothing(n, d, far, seed):
    a, b = normal(seed, n, d), 2 * normal(seed + 1, n + 3, d) + 0.5
    turn = torch.linalg.qr(normal(seed + 2, d, d)).Q
    moved = between(a @ turn + far, b @ turn + far)
    assert moved == pytest.approx(between(a, b), rel=1e-7, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(d=st.integers(1, 20), shift=st.floats(0, 9), seed=st.integers(0, 99))
def test_a_shift_adds_its_square(d, shift, seed):
    x = normal(seed, 40, d)
    assert between(x, x + shift) == pytest.approx(d * shift**2, rel=1e-7, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(d=st.integers(1, 20), scale=st.floats(0.1, 9), seed=st.integers(0, 99))
def test_scaling_one_set_is_known_in_closed_form(d, scale, seed):
    """Covariances S and c^2 S commute: (1 - c)^2 tr S, also where S is rank-deficient."""
    x = normal(seed, 12, d)
    x -= x.mean(0)
    expected = (1 - scale) ** 2 * float(x.square().sum()) / 11
    assert between(x, scale * x) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99))
def test_more_noise_is_farther(seed):
    real, other, noise = (normal(seed + i, 300, 12) for i in range(3))
    assert np.all(np.diff([between(other + s * noise, real) for s in (0, 0.5, 1, 2, 4)]) > 0)


@settings(max_examples=8, deadline=None)
@given(
    shards=st.lists(st.integers(0, 2), min_size=1, max_size=4),
    rest=st.integers(1, 499),
    dimension=st.sampled_from([3, 60, 130]),
)
def test_shards_and_a_resume_give_the_same_bits(shards, rest, dimension):
    """Every shard keeps its blocks' statistics; in order they are the whole, whoever made them."""
    x = normal(0, 500 * sum(shards) + rest, dimension)
    ends = [500 * n for n in shards]
    parts = x.split([*ends, rest])
    blocks = [
        Statistics.of_block(block) for part in parts if len(part) for block in part.split(500)
    ]
    whole, merged = Statistics.of(x), merge_all(blocks)
    assert merged.count == whole.count == len(x)
    assert torch.equal(merged.mean, whole.mean)
    assert torch.equal(merged.root, whole.root)


def test_several_blocks_before_a_qr_are_still_the_covariance():
    """130 blocks of which the QR sees several at once, with means far apart."""
    x = normal(0, 4000, 5) + torch.arange(4000)[:, None] / 400
    found = Statistics.of(x)
    assert found.root.shape == (5, 5)
    torch.testing.assert_close(found.root.T @ found.root / 3999, torch.cov(x.T))


PEAK = """
import resource, sys, torch
sys.path.insert(0, {home!r})
from bench.api import Missing
from bench.metrics.distances import Statistics, frechet
def batches(count):
    for i in range(count // 100):
        yield torch.randn(100, {dimension}, generator=torch.Generator().manual_seed(i))
warm = Statistics.stream(batches({few}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Statistics.stream(batches({many}))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def peak_rise(dimension, few, many):
    code = PEAK.format(home=str(HOME), dimension=dimension, few=few, many=many)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images():
    """Kept features of 60,000 x 256 would be 59 MiB in single precision. Measured: 0 to 28 MiB, the
    allocator's waste; blocks that were kept would be 117, in double precision."""
    assert peak_rise(256, 6000, 60_000) < 48


@pytest.mark.slow
def test_memory_of_60_000_images_in_2048_dimensions():
    """Their features alone are 469 MiB; what rises is the allocator's waste, 0 to 128 MiB."""
    assert peak_rise(2048, 20_000, 60_000) < 200
