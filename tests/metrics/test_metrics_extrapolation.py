"""The distance at N -> infinity: exact on a line, less biased than a distance, with its error."""

import numpy as np
import pytest
import torch

from bench.api import Invalid
from bench.metrics import extrapolation
from bench.metrics.distances import frechet_jackknife
from bench.metrics.extrapolation import frechet_at_infinity, intercept_weights
from bench.statistics import Jackknife

DIMENSION = 16
TRUTH = DIMENSION * 0.5**2
"""Of N(0, 1) and N(0, 1.5^2) in so many dimensions."""


def normal(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


@pytest.fixture(scope="module")
def repeated():
    """Return extrapolations of independent sets, of 320 images."""
    sets = (
        (normal(2 * i, 320, DIMENSION), 1.5 * normal(2 * i + 1, 320, DIMENSION)) for i in range(60)
    )
    return [frechet_at_infinity(*pair) for pair in sets]


def test_the_weights_are_the_least_squares_intercept():
    x = [1 / n for n in (100, 130, 200)]
    y = [3.2, 2.9, 2.6]
    assert intercept_weights(x) @ y == pytest.approx(np.polyfit(x, y, 1)[1], rel=1e-9)
    assert intercept_weights(x) @ [5 + 7 * one for one in x] == pytest.approx(5, rel=1e-9)


def test_a_known_bias_is_taken_away_exactly(monkeypatch):
    """Where the distance is c + d / N, the limit is c, with no error."""

    def linear(a, b, blocks):
        kept = [len(a) - len(a[i::blocks]) for i in range(blocks)]
        return Jackknife(3 + 50 / len(a), tuple(3 + 50 / n for n in kept))

    monkeypatch.setattr(extrapolation, "frechet_jackknife", linear)
    found = frechet_at_infinity(torch.zeros(320, 2), torch.zeros(320, 2))
    assert found.sizes == (160, 200, 240, 280, 320)
    assert found.jackknife.value == pytest.approx(3, rel=1e-9)
    assert found.jackknife.standard_error < 1e-9


@pytest.mark.slow
def test_less_biased_than_the_distance(repeated):
    biased = np.mean([one.values[-1] for one in repeated]) - TRUTH
    left = np.mean([one.jackknife.value for one in repeated]) - TRUTH
    assert biased > 0.5
    assert abs(left) < 0.25 * biased


def test_the_interval_covers_the_truth(repeated):
    intervals = [one.jackknife.interval() for one in repeated]
    assert np.mean([i.low <= TRUTH <= i.high for i in intervals]) >= 0.88
    spread = np.std([i.value for i in intervals])
    assert np.mean([i.standard_error for i in intervals]) == pytest.approx(spread, rel=0.4)


def test_the_distances_fall_with_the_number_of_images(repeated):
    assert np.all(np.diff(np.mean([one.values for one in repeated], axis=0)) < 0)
    assert all(one.values[-1] < one.values[0] for one in repeated)


def test_equal_calls_are_equal_and_the_whole_is_the_distance():
    a, b = normal(0, 100, 4), 1.2 * normal(1, 90, 4)
    whole = frechet_jackknife(a, b)
    found = frechet_at_infinity(a, b)
    assert found.values[-1] == whole.value
    assert found == frechet_at_infinity(a, b, whole=whole)


def test_networks_see_the_same_images():
    """Subsets depend on the numbers alone, so that the difference of two networks is paired."""
    rows = torch.arange(90, dtype=torch.float64)[:, None]
    half = extrapolation._some(rows, 45, 8)
    more = extrapolation._some(rows, 60, 8)
    assert torch.equal(half, extrapolation._some(rows.clone(), 45, 8))
    assert set(half.flatten().tolist()) < set(more.flatten().tolist())
    for i in range(8):
        assert {int(row) % 8 for row in more[i::8, 0]} == {i}
    assert more.flatten().tolist() != list(range(60))


def test_too_few_images_are_invalid():
    with pytest.raises(Invalid, match="31 images in 8 blocks, expected 4 images"):
        frechet_at_infinity(normal(0, 31, 2), normal(1, 90, 2))
