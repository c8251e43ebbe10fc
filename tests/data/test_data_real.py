"""The real data sets, where BENCH_DATA_DIR has them."""

import os

import numpy as np
import pytest

from bench.api import Missing
from bench.registry import build, names

SETS = [name for name in names("dataset") if name not in ("digits", "gaussian", "folder")]


@pytest.mark.skipif(not os.environ.get("BENCH_DATA_DIR"), reason="BENCH_DATA_DIR is not set")
@pytest.mark.parametrize("name", SETS)
def test_splits_agree_with_the_manifest(name):
    data = build("dataset", name, image_size=32)
    try:
        manifest = data.manifest()
    except Missing as absent:
        pytest.skip(str(absent))
    for split in ("train", "test"):
        images = data.images(split)
        assert images.shape == (manifest["counts"][split], data.channels, 32, 32)
        assert images.dtype == np.uint8
        assert images[:100].std() > 20  # pictures, not a blank
        if hasattr(data, "labels"):
            counted = np.bincount(data.labels(split))
            assert (
                counted.sum() == len(images) and len(counted) == data.labels_manifest()["classes"]
            )
            assert counted.min() > 0.08 * len(images)
    assert (data.paper_name is None) == (name in ("fashion-mnist", "cifar10"))


@pytest.mark.parametrize("name", SETS)
def test_building_needs_no_data(name, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    data = build("dataset", name)
    assert data.licence
    assert data.channels in (1, 3)
    with pytest.raises(Missing) as caught:
        data.manifest()
    assert "\n" not in str(caught.value)
