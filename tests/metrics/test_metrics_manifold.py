"""Precision, recall, density, coverage: brute force, closed cases, and no sides exchanged."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.api import Invalid
from bench.metrics import neighbours
from bench.metrics.manifold import Manifold, manifold


def normal(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def brute_force(real, generated):
    """Return the four by loops over all pairs, from the definitions."""

    def distances(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=2)

    def radius(a, k):
        return np.sort(distances(a, a), axis=1)[:, k]

    real, generated = real.numpy(), generated.numpy()
    across = distances(real, generated)
    near, far, other = radius(real, 3), radius(real, 5), radius(generated, 3)
    return Manifold(
        precision=np.mean([(across[:, j] <= near).any() for j in range(len(generated))]),
        recall=np.mean([(across[i] <= other).any() for i in range(len(real))]),
        density=sum((across[:, j] < far).sum() for j in range(len(generated)))
        / (5 * len(generated)),
        coverage=np.mean([across[i].min() <= far[i] for i in range(len(real))]),
    )


@settings(max_examples=30, deadline=None)
@given(
    real=st.integers(6, 70),
    generated=st.integers(6, 70),
    dimension=st.integers(1, 9),
    scale=st.floats(0.2, 3),
    seed=st.integers(0, 99),
)
def test_equals_brute_force(real, generated, dimension, scale, seed):
    a, b = normal(seed, real, dimension), scale * normal(seed + 1, generated, dimension) + 0.3
    assert manifold(real=a, generated=b) == brute_force(a, b)


def test_chunks_give_the_same(monkeypatch):
    a, b = normal(0, 90, 5), normal(1, 70, 5)
    whole = manifold(real=a, generated=b)
    monkeypatch.setattr(neighbours, "ENTRIES", 400)
    assert manifold(real=a, generated=b) == whole


EXACT = "donot_use_mm_for_euclid_dist"


@settings(max_examples=20, deadline=None)
@example(count=46, dimension=1, seed=22)
@given(count=st.integers(6, 80), dimension=st.integers(1, 40), seed=st.integers(0, 99))
def test_equal_sets_score_one(count, dimension, seed):
    x = 100 + normal(seed, count, dimension).float()
    found = manifold(real=x, generated=x.clone())
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    distances = torch.cdist(x.double(), x.double(), compute_mode=EXACT)
    nearest = distances.sort(dim=1).values
    held = int((distances < nearest[:, 5:6]).sum())  # balls without their surface
    tied = bool((nearest[:, 5] == nearest[:, 4]).any())
    assert found.density == held / (5 * count) and (found.density == 1) is not tied


def test_copies_of_one_image_cover_themselves():
    x = normal(0, 1, 7).expand(20, 7).float()
    found = manifold(real=x, generated=x)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_far_apart_sets_score_nothing():
    assert manifold(real=normal(0, 40, 3), generated=normal(1, 40, 3) + 100) == Manifold(0, 0, 0, 0)


def test_one_mode_of_two_is_precise_and_forgets_half():
    """Exchanged sides would say the opposite: all recalled, half of it wrong."""
    real = torch.cat([normal(0, 100, 4), normal(1, 100, 4) + 50])
    found = manifold(real=real, generated=normal(2, 200, 4))
    assert found.precision > 0.8
    assert 0.35 < found.recall <= 0.5
    assert 0.35 < found.coverage <= 0.5
    turned = manifold(real=normal(2, 200, 4), generated=real)
    assert turned.precision <= 0.5 < 0.8 < turned.recall


def test_density_and_coverage_of_equal_distributions():
    """Independent sets: density 1 on average, coverage 1 - (N-1)...(N-k)/((2N-1)...(2N-k))."""
    found = [
        manifold(real=normal(2 * i, 120, 3), generated=normal(2 * i + 1, 120, 3)) for i in range(30)
    ]
    missed = np.prod([(120 - i) / (240 - i) for i in range(1, 6)])
    assert np.mean([f.density for f in found]) == pytest.approx(1, abs=0.05)
    assert np.mean([f.coverage for f in found]) == pytest.approx(1 - missed, abs=0.01)


def test_an_outlier_among_real_images_raises_precision_and_not_density():
    """Why density is measured beside precision: one far real image has a ball that holds all."""
    real, generated = normal(0, 60, 2), normal(1, 60, 2) * 0.3 + 12
    outlier = torch.cat([real, torch.tensor([[60.0, 60.0]], dtype=torch.float64)])
    with_outlier = manifold(real=outlier, generated=generated)
    assert manifold(real=real, generated=generated).precision == 0
    assert with_outlier.precision == 1
    assert with_outlier.density == pytest.approx(1 / 5)
    assert with_outlier.coverage < 0.02


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99))
def test_order_does_not_matter(seed):
    a, b = normal(seed, 40, 6), normal(seed + 1, 50, 6)
    mixed = torch.randperm(50, generator=torch.Generator().manual_seed(seed))
    assert manifold(real=a, generated=b[mixed]) == manifold(real=a.flip(0), generated=b)


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (normal(0, 5, 3), normal(1, 9, 3), "real: 5 images, expected more than 5"),
        (normal(0, 9, 3), normal(1, 1, 3), "generated: 1 images"),
        (normal(0, 9, 3), normal(1, 0, 3), r"generated: .*\[0, 3\]"),
        (normal(0, 9, 3), normal(1, 9, 4), "dimension 4, expected 3"),
        (normal(0, 9, 3) * torch.inf, normal(1, 9, 3), "infinite"),
    ],
)
def test_what_cannot_be_measured_is_invalid(real, generated, message):
    with pytest.raises(Invalid, match=message):
        manifold(real=real, generated=generated)
