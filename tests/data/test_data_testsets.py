"""Sets of whole pictures: what is read, what is refused, and when they are the published ones."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.api import BenchError, Missing
from bench.registry import build, names
from bench.testsets.set12 import Set12

SIZES = ((20, 30), (30, 20), (25, 25))
REAL = pytest.mark.skipif(not os.environ.get("BENCH_DATA_DIR"), reason="BENCH_DATA_DIR is not set")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    place = tmp_path / "data" / "denoise" / "Set12"
    place.mkdir(parents=True)
    return place


def pixels(channels=1):
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (channels, *size), dtype=np.uint8) for size in SIZES]


def save(place, pictures, suffix="png", **how):
    for i, picture in enumerate(pictures):
        shown = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
        Image.fromarray(shown).save(place / f"{i:02}.{suffix}", **how)


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, other)


def test_grey_pictures_come_whole_and_in_order(folder):
    save(folder, pixels())
    (folder / "notes.txt").write_text("no picture")
    same(build("testset", "set12").pictures(), pixels())
    manifest = build("testset", "set12").manifest()
    assert manifest["counts"] == {"test": 3}
    assert manifest["sizes"] == {"30x20": 1, "20x30": 1, "25x25": 1}
    Image.fromarray(pixels()[0][0] // 2).save(folder / "01.png")
    assert build("testset", "set12").manifest()["files"] != manifest["files"]


def test_colour_pictures_keep_their_channels(folder):
    place = folder.parent.parent / "CBSD68"  # in the data folder itself
    place.mkdir()
    save(place, pixels(3))
    same(build("testset", "cbsd68").pictures(), pixels(3))


def test_a_grey_picture_stored_as_colour_is_grey_and_a_colour_one_is_refused(folder):
    grey = pixels()[0]
    save(folder, [np.repeat(grey, 3, axis=0)])
    same(build("testset", "set12").pictures(), [grey])
    save(folder, [pixels(3)[0]])
    with pytest.raises(BenchError, match=r"00\.png is a colour picture, expected grey"):
        build("testset", "set12").pictures()


def test_the_published_set_is_known_by_its_pixels_whatever_holds_them(folder, monkeypatch):
    content = hashlib.sha256()
    for picture in pixels():
        content.update(f"{picture.shape}\0".encode() + picture.tobytes())
    monkeypatch.setattr(Set12, "pixels", content.hexdigest())
    save(folder, pixels())
    assert build("testset", "set12").same_data
    save(folder, pixels(), compress_level=0)
    assert build("testset", "set12").same_data
    for path in sorted(folder.iterdir(), reverse=True):
        path.unlink()
    save(folder, pixels(), "bmp")
    assert build("testset", "set12").same_data
    changed = pixels()
    changed[1][0, 4, 4] ^= 1
    save(folder, changed, "bmp")
    assert not build("testset", "set12").same_data
    save(folder, pixels()[::-1], "bmp")
    assert not build("testset", "set12").same_data
    save(folder, pixels(), "bmp")
    (folder / "02.bmp").unlink()
    assert not build("testset", "set12").same_data


def test_a_missing_or_an_empty_set_says_how_to_get_it(folder):
    with pytest.raises(BenchError, match=r"holds no pictures; expected 12 PNG files \(github"):
        build("testset", "set12").manifest()
    folder.rmdir()
    with pytest.raises(Missing) as caught:
        build("testset", "set12").manifest()
    told = str(caught.value)
    assert "put it at denoise/Set12" in told and "BENCH_DATA_DIR" in told
    assert "testsets/Set12" in told and "\n" not in told


@pytest.mark.parametrize("cut", [0, 5, 30])
def test_a_damaged_picture_is_named_before_anything_is_measured(folder, cut):
    save(folder, pixels())
    (folder / "01.png").write_bytes((folder / "01.png").read_bytes()[:cut])
    with pytest.raises(BenchError, match=r"01\.png is not a readable picture"):
        build("testset", "set12").manifest()


def test_a_picture_that_is_cut_short_is_named(folder):
    save(folder, pixels())
    whole = (folder / "01.png").read_bytes()
    (folder / "01.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchError, match=r"01\.png is not a readable picture"):
        build("testset", "set12").pictures()


def test_deep_and_transparent_pictures_are_refused(folder):
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(folder / "00.png")
    with pytest.raises(BenchError, match=r"00\.png has more than 8 bits"):
        build("testset", "set12").pictures()
    Image.new("RGBA", (20, 20), (1, 2, 3, 4)).save(folder / "00.png")
    with pytest.raises(BenchError, match=r"00\.png has transparency"):
        build("testset", "set12").pictures()


def test_a_pipe_is_not_waited_for(folder):
    save(folder, pixels())
    os.mkfifo(folder / "09.png")
    with pytest.raises(BenchError, match=r"09\.png"):
        build("testset", "set12").manifest()


@REAL
@pytest.mark.parametrize("name", names("testset"))
def test_the_real_sets_are_the_published_ones(name):
    testset = build("testset", name)
    try:
        manifest = testset.manifest()
    except Missing as absent:
        pytest.skip(str(absent))
    assert testset.same_data
    assert manifest["counts"]["test"] == len(testset.pictures()) == testset.count
    assert {len(picture) for picture in testset.pictures()} == {testset.channels}
    assert all(picture.std() > 15 for picture in testset.pictures())


@REAL
def test_bsd68_and_cbsd68_are_the_same_scenes():
    """BSD68's grey values are the colour pictures' luma, in another order."""
    try:
        grey, colour = (build("testset", name).pictures() for name in ("bsd68", "cbsd68"))
    except Missing as absent:
        pytest.skip(str(absent))
    weights = np.array([0.299, 0.587, 0.114])[:, None, None]
    small = [_thumb(picture[0]) for picture in grey]
    found = {
        min(range(len(small)), key=lambda i: np.abs(small[i] - one).sum())
        for one in (_thumb((weights * picture).sum(0)) for picture in colour)
    }
    assert len(found) == 68


def _thumb(grey):
    image = Image.fromarray(np.asarray(grey, dtype=np.float32))
    return np.asarray(image.resize((16, 16), Image.Resampling.BOX))


def test_no_test_set_needs_torch():
    code = "import sys, bench.testsets.set12; sys.exit('torch' in sys.modules)"
    home = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=home, check=True)
