"""Train a classifier on a data set's labels: the judge of which class a generated image shows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.checkpoint import load_weights, save_weights
from bench.metrics.classes import Share, Variation, even, share, variation
from bench.metrics.classifier import SIDE, Classifier, Lessons, learnt, probabilities, shown
from bench.metrics.trunk import frozen

JUDGE = "judge.safetensors"
CONFIDENT = 0.9
"""A judge is confident of an image whose likeliest class has more than this probability."""
MANY = 20_000
"""Training images from which two passes are enough."""


def lessons_of(images: int) -> Lessons:
    """Return how a judge is trained on so many images.

    Without label smoothing, which would pull the probabilities down.
    """
    return Lessons(epochs=2, batch=100) if images >= MANY else Lessons(epochs=8, batch=50)


@register(Kind.TASK, "judge", source="protocol, Classes; ours: a classifier of real images")
def judge(cell: Cell, context: Context) -> Outcome:
    """Train on the training labels; say how right and how sure it is on the test split.

    On the CPU whatever the device, by one thread. Images of another size are resized to 32x32.
    """
    dataset, classes = context.build(Kind.DATASET), cell.spec["labels"]["classes"]
    images, labels = _labelled(dataset, "train", classes)
    lessons = lessons_of(len(images))
    network, sha = learnt(images, labels, lessons, classes=classes)
    path = context.folder / JUDGE
    save_weights(path, network, {"spec": dict(cell.spec)})
    tested, truth = _labelled(dataset, "test", classes)
    found = probabilities(network, tested)
    right = share(int((found.argmax(axis=1) == truth).sum()), len(truth))
    row = {
        **interval("accuracy", right),
        **verdict(found),
        "mean_confidence": float(found.max(axis=1).mean()),
        "n_train": len(images),
        "n_test": len(tested),
        "classes": classes,
        "epochs": lessons.epochs,
        "label_smoothing": lessons.smoothing,
        "resize": f"bilinear-{SIDE}",
        "weights_sha": sha,
    }
    return Outcome([row], {JUDGE: path})


def judge_of(used: Cell, context: Context, channels: int) -> Classifier:
    """Return the network that a cell `judge` trained."""
    network = Classifier(channels, used.spec["labels"]["classes"])
    load_weights(context.file(used, JUDGE), network)
    frozen(network)
    return network


def verdict(found: np.ndarray) -> Row:
    """Return what probabilities [N,K] say of a set: how sure it is, how many of each class."""
    predicted = np.bincount(found.argmax(axis=1), minlength=found.shape[1]).tolist()
    return {
        **interval("confident", share(int((found.max(axis=1) > CONFIDENT).sum()), len(found))),
        "threshold": CONFIDENT,
        "predicted": predicted,
        **interval("tv_uniform", variation(predicted, even(found.shape[1]))),
    }


def interval(name: str, of: Share | Variation) -> Row:
    """Return a number with its ends, and its floor where it has one, as columns."""
    columns = {name: of.value, f"{name}_low": of.low, f"{name}_high": of.high}
    return columns | ({f"{name}_floor": of.floor} if isinstance(of, Variation) else {})


def checked_labels(dataset: Any, split: str, *, count: int, classes: int) -> np.ndarray:
    """Return the labels of a split, int64 [count].

    Raises:
        Invalid: If they are not one class for each image.
    """
    labels = np.asarray(dataset.labels(split))
    if labels.shape != (count,) or labels.dtype != np.int64:
        raise Invalid(
            f"{dataset.name}: the labels of the {split} split are {labels.dtype} {labels.shape}, "
            f"expected int64 ({count},), one for each image"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise Invalid(
            f"{dataset.name}: labels of the {split} split are {labels.min()} to {labels.max()}, "
            f"expected 0 to {classes - 1}"
        )
    return labels


def training_shares(dataset: Any, classes: int) -> list[float]:
    """Return the share of each class in the training split."""
    counts: Mapping[str, int] = dataset.manifest()["counts"]
    labels = checked_labels(dataset, "train", count=counts["train"], classes=classes)
    return (np.bincount(labels, minlength=classes) / len(labels)).tolist()


def _labelled(dataset: Any, split: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    images = dataset.images(split)
    labels = checked_labels(dataset, split, count=len(images), classes=classes)
    return shown(images), labels
