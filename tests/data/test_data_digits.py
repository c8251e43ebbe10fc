import numpy as np
import pytest
from PIL import Image

from bench.api import BenchError
from bench.data import digits as module
from bench.registry import build


def test_native_size_holds_the_seventeen_levels():
    data = build("dataset", "digits", image_size=8)
    train, test = data.images("train"), data.images("test")
    assert train.shape == (1400, 1, 8, 8)
    assert test.shape == (397, 1, 8, 8)
    values = np.unique(np.concatenate([train, test]))
    assert values.tolist() == [round(i * 255 / 16) for i in range(17)]
    # the first digit of the set is the 0 of every tutorial: rows of ink counts
    assert (train[0, 0, 1] * (16 / 255)).round().tolist() == [0, 0, 13, 15, 10, 15, 5, 0]
    assert data.manifest()["resize"] == "none"


def test_resizing_is_pillows_bilinear():
    small = build("dataset", "digits", image_size=8).images("test")[7, 0]
    large = build("dataset", "digits", image_size=32).images("test")[7, 0]
    expected = Image.fromarray(small).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(large, np.asarray(expected))


def test_parts_are_disjoint_and_repeatable():
    data = build("dataset", "digits", image_size=8)
    train = {image.tobytes() for image in data.images("train")}
    test = {image.tobytes() for image in data.images("test")}
    assert not train & test
    assert np.array_equal(data.images("test"), data.images("test"))


def test_what_it_stands_for():
    data = build("dataset", "digits")
    assert (data.paper_name, data.same_data, data.channels) == ("MNIST", False, 1)
    manifest = data.manifest()
    assert manifest["counts"] == {"train": 1400, "test": 397}
    assert manifest["image_size"] == 64


def test_a_damaged_file_is_named(tmp_path, monkeypatch):
    broken = tmp_path / "digits.npz"
    broken.write_bytes(module.FILE.read_bytes()[:-1])
    monkeypatch.setattr(module, "FILE", broken)
    module._source.cache_clear()
    with pytest.raises(BenchError, match=r"digits\.npz.*install"):
        build("dataset", "digits").images("test")
    module._source.cache_clear()


@pytest.mark.parametrize("size", [0, -8, 2.5, True, "64"])
def test_impossible_sizes(size):
    with pytest.raises(BenchError, match="image_size"):
        build("dataset", "digits", image_size=size)


def test_unknown_split():
    with pytest.raises(BenchError, match="valid"):
        build("dataset", "digits").images("valid")


def test_labels_stand_beside_the_images():
    data = build("dataset", "digits", image_size=8)
    train, test = data.labels("train"), data.labels("test")
    assert (len(train), len(test)) == (1400, 397)
    assert train.dtype == np.int64
    assert train[:10].tolist() == list(range(10))  # the first row of every tutorial
    # Nearest class mean: blind guessing has 0.1, labels that are one off have as much.
    images = {
        split: data.images(split).reshape(-1, 64).astype(float) for split in ("train", "test")
    }
    means = np.stack([images["train"][train == digit].mean(axis=0) for digit in range(10)])
    nearest = ((images["test"][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == test).mean() > 0.85
    with pytest.raises(BenchError, match="valid"):
        data.labels("valid")


def test_damaged_labels_are_named(tmp_path, monkeypatch):
    broken = tmp_path / "digit_labels.txt"
    broken.write_bytes(module.LABELS.read_bytes().replace(b"0", b"1", 1))
    monkeypatch.setattr(module, "LABELS", broken)
    with pytest.raises(BenchError, match=r"digit_labels\.txt.*install"):
        build("dataset", "digits").labels("train")
