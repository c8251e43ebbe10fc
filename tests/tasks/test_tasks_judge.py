"""Judge and judged on the packaged digits: real images pass, planted faults are seen."""

import numpy as np
import pytest
from safetensors.numpy import save_file
from tasks_place import HELD, Place

from bench.api import Cell, Invalid
from bench.data.digits import Digits
from bench.metrics.classifier import Lessons
from bench.tasks import judge as module
from bench.tasks.judge import JUDGE, lessons_of
from bench.tasks.sample import SAMPLES

DATA = {"name": "digits", "image_size": 16}
JUDGED_BY = Cell("judge", {"dataset": DATA, "labels": dict(Digits(16).labels_manifest())})
TEST, TRUTH = Digits(16).images("test"), Digits(16).labels("test")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("judged"))


@pytest.fixture(scope="module")
def taught(place):
    """Return the row of the judge, whose weights all tests share."""
    outcome = place.run(JUDGED_BY, "judge")
    place.made[id(JUDGED_BY)] = outcome.files[JUDGE].parent
    return outcome.rows[0]


def judged(place, images) -> dict:
    """Return what is said of images as if a network had generated them."""
    made = Cell("sample", {"n": len(images)})
    HELD.append(made)
    folder = place.root / f"given-{len(place.made)}"
    folder.mkdir()
    save_file({"images": np.ascontiguousarray(images)}, folder / SAMPLES)
    place.made[id(made)] = folder
    cell = Cell("judged", {"dataset": DATA}, (JUDGED_BY, made))
    return place.run(cell, folder.name).rows[0]


def test_the_judge_knows_held_out_digits_and_says_how_well(taught):
    assert taught["accuracy"] > 0.96
    assert taught["accuracy_low"] < taught["accuracy"] < taught["accuracy_high"]
    assert taught["confident"] > 0.9
    assert (taught["n_train"], taught["n_test"], taught["classes"]) == (1400, 397, 10)
    assert sum(taught["predicted"]) == 397
    assert taught["label_smoothing"] == 0
    # Probabilities that mean what they say: as sure on average as right.
    assert taught["mean_confidence"] == pytest.approx(taught["accuracy"], abs=0.02)


def test_real_images_pass(place, taught):
    row = judged(place, TEST)
    assert row["judge_sha"] == taught["weights_sha"]
    same = ("confident", "confident_low", "predicted", "tv_uniform", "tv_uniform_high")
    assert {name: row[name] for name in same} == {name: taught[name] for name in same}
    assert row["tv_uniform_low"] == 0 and row["tv_uniform"] < 0.05
    assert row["tv_training"] < 0.05
    assert row["n_generated"] == 397


@pytest.fixture(scope="module")
def of_one_class(place, taught):
    """Return what is said of ten generators, each of which makes one class alone."""
    return [judged(place, np.repeat(TEST[TRUTH == one], 5, axis=0)) for one in range(10)]


@pytest.mark.parametrize("one", range(10))
def test_a_generator_of_one_class_is_uneven(of_one_class, one):
    row = of_one_class[one]
    assert np.argmax(row["predicted"]) == one
    assert row["tv_uniform_low"] > 0.5 and row["tv_training_low"] > 0.5


def test_generators_of_one_class_are_judged_as_their_images(of_one_class, taught):
    """Together; which class the judge knows least depends on the processor that it learnt on."""

    def together(shares):
        return np.average(shares, weights=np.bincount(TRUTH))

    confident = together([row["confident"] for row in of_one_class])
    right = together(
        [row["predicted"][i] / row["n_generated"] for i, row in enumerate(of_one_class)]
    )
    assert confident == pytest.approx(taught["confident"], abs=1e-12) and confident > 0.9
    assert right == pytest.approx(taught["accuracy"], abs=1e-12) and right > 0.9


@pytest.mark.parametrize("kind", ["noise", "black", "means"])
def test_what_is_no_digit_is_not_confident_or_uneven(place, taught, kind):
    noise = np.random.default_rng(0).integers(0, 256, TEST.shape, dtype=np.uint8)
    mean = Digits(16).images("train").mean(axis=0).astype(np.uint8)
    images = {"noise": noise, "black": 0 * noise, "means": np.stack([mean] * len(TEST))}[kind]
    row = judged(place, images)
    assert row["confident_high"] < 0.85 or row["tv_uniform_low"] > 0.1


def test_wrong_labels_make_no_judge(place, monkeypatch):
    """A judge that learnt shuffled labels says so by its accuracy."""
    honest = Digits.labels

    def shuffled(self, split):
        labels = honest(self, split).copy()
        np.random.default_rng(0).shuffle(labels)
        return labels

    monkeypatch.setattr(Digits, "labels", shuffled)
    monkeypatch.setattr(module, "lessons_of", lambda images: Lessons(1))
    row = place.run(JUDGED_BY, "shuffled").rows[0]
    assert row["accuracy"] < 0.25


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda labels: labels[:-1], "one for each image"),
        (lambda labels: labels[:, None], "one for each image"),
        (lambda labels: labels.astype(float), "float64"),
        (lambda labels: labels + 1, "labels of the train split are 1 to 10, expected 0 to 9"),
        (lambda labels: labels - 1, "are -1 to 8"),
    ],
)
def test_labels_that_do_not_fit_the_images_are_invalid(place, monkeypatch, spoil, says):
    honest = Digits.labels
    monkeypatch.setattr(Digits, "labels", lambda self, split: spoil(honest(self, split)))
    with pytest.raises(Invalid, match=says):
        place.run(JUDGED_BY, "spoilt")


def test_large_sets_are_passed_over_twice_and_labels_are_never_smoothed():
    assert lessons_of(60_000).epochs == 2 and lessons_of(1400).epochs == 8
    assert lessons_of(60_000).smoothing == lessons_of(1400).smoothing == 0
