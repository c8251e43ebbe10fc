"""What `bench score` prints of a distance, by the same rules as the tables of a run."""

import pytest

from bench.score.results import _distances, _memory

ROW = {
    "n_generated": 257, "n_real": 1000, "dimension": 256, "leads": "frechet", "frechet": 4.0,
    "low": 3.0, "high": 5.0, "floor": 1.0, "floor_n": 257, "kid": 0.01, "kid_se": 0.001,
    "infinity": 3.5, "infinity_low": 2.5, "infinity_high": 4.5,
}  # fmt: skip


def test_of_enough_images_the_frechet_distance_comes_first():
    names = [name for name, *_ in _distances(ROW)]
    assert names == ["Fréchet distance", "its floor", "at N = infinity", "kernel distance"]
    assert _distances(ROW)[0] == ("Fréchet distance", "4", "95 % interval 3 to 5")


@pytest.mark.parametrize("n", [256, 100])
def test_of_few_it_stands_in_brackets_behind_the_kernel_distance_and_without_a_limit(n):
    """As many images as dimensions are few: their covariance has no full rank."""
    lines = _distances({**ROW, "n_generated": n, "leads": "kid"})
    assert [name for name, *_ in lines] == ["kernel distance", "Fréchet distance", "its floor"]
    assert lines[1][1:] == ("(4)", "95 % interval 3 to 5; fewer images than dimensions")


def test_distances_to_training_images_are_medians():
    row = {"nearest_share": 0.01, "n_training": 9, "nearest_training": 2.0,
           "nearest_training_held_out": 3.0}  # fmt: skip
    ((_, _, words),) = _memory(row)
    assert "(median distance 2, theirs 3)" in words
