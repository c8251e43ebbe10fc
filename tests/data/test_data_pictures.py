import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from bench.api import BenchError, Missing
from bench.registry import build


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "b").mkdir(parents=True)
    save(folder / "b" / "2.png", "RGBA", (20, 12))
    save(folder / "a.png", "L", (16, 16))
    save(folder / "c.gif.png", "P", (16, 40))
    save(folder / "d.jpg", "CMYK", (10, 16))
    (folder / "notes.txt").write_text("not a picture")
    save(folder / ".hidden.png", "L", (16, 16))
    return folder


def save(path, mode, size, value=None):
    random = np.random.default_rng(len(path.name))
    pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if value is not None:
        pixels[:] = value
    Image.fromarray(pixels).convert(mode).save(path)


def jpeg(value, size=(89, 109)):
    out = io.BytesIO()
    Image.new("RGB", size, (value % 256, 0, 0)).save(out, "JPEG", quality=95)
    return out.getvalue()


def test_folder_reads_every_mode_sorted_by_name(pictures):
    data = build("dataset", f"folder:{pictures}", image_size=12)
    manifest = data.manifest()
    assert manifest["counts"] == {"train": 3, "test": 1}
    assert manifest["enlarged"] == 1  # the one that is 10 pixels wide
    train = data.images("train")
    assert train.shape == (3, 3, 12, 12)
    assert train.dtype == np.uint8
    first = Image.open(pictures / "a.png").convert("RGB").resize((12, 12), Image.BILINEAR)
    assert np.array_equal(train[0], np.asarray(first).transpose(2, 0, 1))
    second = Image.open(pictures / "b" / "2.png").convert("RGB").crop((4, 0, 16, 12))
    assert np.array_equal(train[1], np.asarray(second).transpose(2, 0, 1))


def test_the_second_use_reads_the_kept_array(pictures, tmp_path, monkeypatch):
    name = f"folder:{pictures}"
    first = build("dataset", name, image_size=8).images("train")
    monkeypatch.setattr("bench.data._pictures.pictures", lambda *_: pytest.fail("decoded again"))
    again = build("dataset", name, image_size=8).images("train")
    assert np.array_equal(first, again)
    assert not again.flags.writeable
    monkeypatch.undo()
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    for kept in (tmp_path / "cache" / "arrays").iterdir():
        kept.write_bytes(kept.read_bytes()[:-5])
    assert np.array_equal(build("dataset", name, image_size=8).images("train"), first)


def test_a_changed_picture_changes_the_manifest(pictures):
    before = build("dataset", f"folder:{pictures}").manifest()
    save(pictures / "a.png", "L", (16, 16), value=3)
    assert build("dataset", f"folder:{pictures}").manifest() != before


def test_folder_faults(tmp_path, pictures):
    with pytest.raises(Missing, match="nowhere"):
        build("dataset", f"folder:{tmp_path}/nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="holds no pictures"):
        build("dataset", f"folder:{tmp_path}/empty").manifest()
    save(tmp_path / "empty" / "one.png", "L", (8, 8))
    with pytest.raises(BenchError, match="cannot be split"):
        build("dataset", f"folder:{tmp_path}/empty").manifest()


@pytest.mark.parametrize("cut", [0, 5, 200])
def test_a_broken_picture_is_named(pictures, cut):
    whole = (pictures / "a.png").read_bytes()
    (pictures / "broken.png").write_bytes(whole[:cut])
    data = build("dataset", f"folder:{pictures}", image_size=8)
    with pytest.raises(BenchError, match=r"broken\.png is not a readable picture"):
        data.images("train")


def test_deep_and_huge_pictures_are_refused(pictures, monkeypatch):
    deep = np.full((16, 16), 40_000, np.uint16)
    Image.fromarray(deep).save(pictures / "deep.png")
    with pytest.raises(BenchError, match=r"deep\.png has more than 8 bits"):
        build("dataset", f"folder:{pictures}").manifest()
    (pictures / "deep.png").unlink()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(BenchError, match=r"c\.gif\.png is too large"):
        build("dataset", f"folder:{pictures}").manifest()


def faces(path, count=40, start=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(start, start + count):
            archive.writestr(f"img_align_celeba/{i:06}.jpg", jpeg(i * 5))
    return path


def test_celeba_from_a_zip(tmp_path):
    faces(tmp_path / "data" / "celeba" / "some.zip")
    data = build("dataset", "celeba", image_size=16)
    train, test = data.images("train"), data.images("test")
    assert train.shape == (38, 3, 16, 16)
    assert test.shape == (2, 3, 16, 16)
    assert abs(int(train[0, 0].mean()) - 5) <= 2
    assert abs(int(test[1, 0].mean()) - 200) <= 2
    assert not data.same_data
    assert data.manifest()["subset"] == "40 of 202599 pictures, numbers 1 to 40"
    centre = build("dataset", "celeba", image_size=16, crop="centre")
    assert centre.manifest()["crop"] == "centre (9, 19, 79, 89)"
    assert centre.manifest() != data.manifest()


def test_celeba_from_a_folder_equals_the_zip(tmp_path):
    archive = faces(tmp_path / "data" / "celeba" / "some.zip")
    zipped = build("dataset", "celeba", image_size=16).images("test")
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            target = archive.parent / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(opened.read(name))
    archive.unlink()
    data = build("dataset", "celeba", image_size=16)
    assert np.array_equal(data.images("test"), zipped)


def test_celeba_faults(tmp_path):
    folder = tmp_path / "data" / "celeba"
    with pytest.raises(Missing, match="BENCH_DATA_DIR"):
        build("dataset", "celeba").images("train")
    with pytest.raises(BenchError, match="crop"):
        build("dataset", "celeba", crop="tight")
    archive = faces(folder / "one.zip")
    whole = archive.read_bytes()
    faces(folder / "two.zip")
    with pytest.raises(BenchError, match=r"one\.zip, two\.zip"):
        build("dataset", "celeba").images("train")
    (folder / "two.zip").unlink()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchError, match=r"one\.zip is not a readable zip"):
        build("dataset", "celeba").images("train")
    damaged = bytearray(whole)
    damaged[300] ^= 0xFF
    archive.write_bytes(damaged)
    with pytest.raises(BenchError, match=r"one\.zip:img_align_celeba/000001\.jpg cannot be"):
        build("dataset", "celeba").images("train")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("000001.jpg", jpeg(1))
        opened.writestr("000002.jpg", jpeg(2, (64, 64)))
    with pytest.raises(BenchError, match="several sizes"):
        build("dataset", "celeba").images("train")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("cat.jpg", jpeg(1))
    with pytest.raises(BenchError, match=r"cat\.jpg is no aligned face"):
        build("dataset", "celeba").images("train")


def test_celeba_has_the_official_parts_when_whole(monkeypatch, tmp_path):
    monkeypatch.setattr("bench.data.celeba.FULL", 40)
    monkeypatch.setattr("bench.data.celeba.OFFICIAL_TRAIN", 30)
    monkeypatch.setattr("bench.data.celeba.OFFICIAL_VALID", 35)
    faces(tmp_path / "data" / "celeba" / "img_align_celeba.zip")
    data = build("dataset", "celeba", image_size=8)
    assert data.same_data
    assert data.manifest()["counts"] == {"train": 30, "test": 5}
    assert abs(int(data.images("test")[0, 0].mean()) - 36 * 5) <= 2


@pytest.mark.parametrize("first", [True, False])
def test_lsun_church_from_an_array(tmp_path, first):
    folder = tmp_path / "data" / "lsun-church"
    with pytest.raises(Missing, match="lsun-church"):
        build("dataset", "lsun-church").images("train")
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    np.save(folder / "c.npy", images.transpose(0, 3, 1, 2) if first else images)
    data = build("dataset", "lsun-church", image_size=16)
    assert np.array_equal(data.images("test"), images[38:].transpose(0, 3, 1, 2))
    np.save(folder / "c.npy", images.astype(np.float32))
    with pytest.raises(BenchError, match="float32"):
        build("dataset", "lsun-church").images("train")
    with (folder / "c.npy").open("wb") as file:
        about = {"descr": "|O", "fortran_order": False, "shape": (1,)}
        np.lib.format.write_array_header_1_0(file, about)
    with pytest.raises(BenchError, match="cannot be read"):
        build("dataset", "lsun-church").images("train")
    (folder / "c.npy").unlink()
    for i in range(3):
        save(folder / f"{i}.png", "RGB", (20, 16))
    assert build("dataset", "lsun-church", image_size=16).images("train").shape == (2, 3, 16, 16)


def test_lsun_church_is_the_papers_only_as_a_whole(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "lsun-church"
    assert not build("dataset", "lsun-church").same_data
    folder.mkdir()
    for full, whole in ((3, True), (4, False)):
        monkeypatch.setattr("bench.data.lsun_church.FULL", full)
        np.save(folder / "c.npy", np.zeros((3, 16, 16, 3), np.uint8))
        assert build("dataset", "lsun-church").same_data is whole
        (folder / "c.npy").unlink()
        for i in range(3):
            save(folder / f"{i}.png", "RGB", (20, 16))
        assert build("dataset", "lsun-church").same_data is whole


def test_imagenet_church(tmp_path):
    folder = tmp_path / "data" / "church"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    np.savez(folder / "church64.npz", images=images)
    data = build("dataset", "imagenet-church")
    assert np.array_equal(data.images("test"), images[18:].transpose(0, 3, 1, 2))
    assert build("dataset", "imagenet-church", image_size=32).images("train").shape[2:] == (32, 32)
    whole = (folder / "church64.npz").read_bytes()
    (folder / "church64.npz").write_bytes(whole[:-100])
    with pytest.raises(BenchError, match=r"church64\.npz cannot be read"):
        build("dataset", "imagenet-church").images("test")
    np.savez(folder / "church64.npz", images=images[:, :32])
    with pytest.raises(BenchError, match=r"expected uint8 \[N,64,64,3\]"):
        build("dataset", "imagenet-church").images("test")


def test_a_transparent_picture_is_refused(pictures):
    Image.new("RGBA", (16, 16), (200, 10, 10, 0)).save(pictures / "0-glass.png")
    with pytest.raises(BenchError, match=r"0-glass\.png has transparency"):
        build("dataset", f"folder:{pictures}", image_size=8).images("train")
