import numpy as np
import pytest

from bench.api import BenchError
from bench.registry import build


def test_images_follow_the_mixture():
    data = build("dataset", "gaussian", image_size=8, channels=3)
    weights, means, variance = data.mixture()
    assert means.shape == (8, 3, 8, 8)
    assert weights.sum() == pytest.approx(1)
    x = data.images("train") / 255
    flat, centres = x.reshape(len(x), -1), means.reshape(8, -1)
    distance = ((flat[:, None] - centres[None]) ** 2).sum(2)
    which = distance.argmin(1)
    share = np.bincount(which, minlength=8) / len(x)
    assert np.abs(share - weights).max() < 4 * np.sqrt(0.25 / len(x))
    residual = flat - centres[which]
    values = residual.size
    assert residual.mean() == pytest.approx(0, abs=4 * np.sqrt(variance / values))
    assert residual.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / values) + 1e-3)


def test_draws_are_fixed_and_splits_differ():
    data = build("dataset", "gaussian", image_size=4)
    train, test = data.images("train"), data.images("test")
    assert np.array_equal(train, build("dataset", "gaussian", image_size=4).images("train"))
    assert not np.array_equal(train[: len(test)], test)
    assert train.shape == (data.manifest()["counts"]["train"], 1, 4, 4)


def test_components_are_apart_and_inside():
    _, means, variance = build("dataset", "gaussian", image_size=16).mixture()
    flat = means.reshape(len(means), -1)
    gaps = ((flat[:, None] - flat[None]) ** 2).sum(2)[~np.eye(len(flat), dtype=bool)]
    assert gaps.min() > 50 * variance
    assert means.min() - 5 * variance**0.5 > 0
    assert means.max() + 5 * variance**0.5 < 1


@pytest.mark.parametrize("wrong", [{"channels": 2}, {"components": 0}])
def test_impossible_settings(wrong):
    with pytest.raises(BenchError, match="expected 1 or 3"):
        build("dataset", "gaussian", **wrong)
