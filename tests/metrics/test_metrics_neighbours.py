"""Nearest neighbours and memorisation: brute force, planted copies, bounded memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import Invalid
from bench.metrics import neighbours
from bench.metrics.neighbours import memorisation, nearest, squared_distances


def normal(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), m=st.integers(1, 60), d=st.integers(1, 20), seed=st.integers(0, 99))
def test_equals_brute_force(n, m, d, seed):
    a, b = normal(seed, n, d), normal(seed + 1, m, d)
    expected = np.linalg.norm(a.numpy()[:, None] - b.numpy()[None], axis=2)
    distances, indices = nearest(a, b)
    np.testing.assert_allclose(distances.numpy(), expected.min(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(indices.numpy(), expected.argmin(axis=1))


def test_far_from_the_origin_no_digit_is_lost():
    """|x|^2 + |y|^2 - 2 x.y of points around 1e6 would have no correct digit of 1e-2."""
    a = 1e6 + normal(0, 50, 3) * 1e-2
    expected = torch.cdist(a - 1e6, a - 1e6, compute_mode="donot_use_mm_for_euclid_dist")
    ((_, squared),) = squared_distances(a, a)
    torch.testing.assert_close(squared.sqrt(), expected, rtol=1e-5, atol=1e-8)


def test_a_copy_is_at_distance_zero():
    x = 7 + normal(0, 300, 64).float()
    distances, indices = nearest(x[100:140], x)
    assert distances.max() == 0
    assert indices.tolist() == list(range(100, 140))


def test_chunks_are_bounded_and_give_the_same(monkeypatch):
    a, b = normal(0, 70, 5), normal(1, 30, 5)
    whole, where = nearest(a, b)
    monkeypatch.setattr(neighbours, "ENTRIES", 90)
    chunks = [chunk.numel() for _, chunk in squared_distances(a, b)]
    assert max(chunks) <= 90
    assert len(chunks) == 24
    distances, indices = nearest(a, b)
    torch.testing.assert_close(distances, whole)
    assert torch.equal(indices, where)


def test_a_generator_that_learnt_nothing_by_heart():
    """As near as held-out images are: medians alike, and about one in a hundred suspicious."""
    found = memorisation(
        normal(0, 2000, 6), training=normal(1, 1000, 6), held_out=normal(2, 2000, 6)
    )
    assert found.generated == pytest.approx(found.held_out, rel=0.05)
    assert 0.003 < found.share < 0.03


def test_planted_copies_are_found_in_the_order_of_closeness():
    training = normal(0, 400, 16)
    generated = normal(1, 100, 16)
    for place, (image, noise) in {17: (250, 1e-4), 90: (3, 1e-2), 5: (399, 0.0)}.items():
        generated[place] = training[image] + noise
    found = memorisation(generated, training=training, held_out=normal(2, 300, 16))
    assert found.pairs[:3].tolist() == [[5, 399], [17, 250], [90, 3]]
    assert found.distances[:3].tolist() == pytest.approx([0, 4e-4, 4e-2], abs=1e-9)
    assert found.share >= 0.03


def test_all_copies():
    training = normal(0, 200, 16)
    found = memorisation(training[:80], training=training, held_out=normal(1, 100, 16))
    assert (found.generated, found.share) == (0.0, 1.0)
    assert found.held_out > 1
    assert found.pairs.shape == (neighbours.CLOSEST, 2)


def test_fewer_images_than_pairs():
    found = memorisation(normal(0, 3, 4), training=normal(1, 9, 4), held_out=normal(2, 5, 4))
    assert found.pairs.shape == (3, 2)


@pytest.mark.parametrize("bad", [normal(0, 0, 4), normal(0, 9, 5), torch.full((9, 4), torch.nan)])
def test_what_cannot_be_measured_is_invalid(bad):
    good = normal(1, 9, 4)
    with pytest.raises(Invalid):
        memorisation(bad, training=good, held_out=good)
    with pytest.raises(Invalid):
        memorisation(good, training=good, held_out=bad)
