import io
import tarfile

import numpy as np
import pytest

from bench.api import BenchError, Missing
from bench.data.cifar10 import PER_FILE, RECORD, decode_labels, read_archive
from bench.registry import build

FOLDER = "cifar-10-batches-bin"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    return tmp_path / "cifar10"


@pytest.fixture(scope="module")
def batch():
    records = np.zeros((PER_FILE, RECORD), np.uint8)
    records[:, 0] = 9
    records[5, 1:1025] = 200  # the red plane of image 5
    return records.tobytes()


def archived(path, **members):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}.bin")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_planes_are_red_green_blue(home, batch):
    path = archived(home / "a.tar.gz", test_batch=batch)
    (images,) = read_archive(path, ("test_batch.bin",))
    assert images.shape == (PER_FILE, 3, 32, 32)
    assert images[5].mean((1, 2)).tolist() == [200, 0, 0]
    (labels,) = read_archive(path, ("test_batch.bin",), decode_labels)
    assert labels.tolist() == [9] * PER_FILE


def test_archive_faults(home, batch):
    path = archived(home / "a.tar.gz", test_batch=batch[:-1])
    with pytest.raises(BenchError, match=r"a\.tar\.gz:test_batch\.bin has 30729999 bytes"):
        read_archive(path, ("test_batch.bin",))
    with pytest.raises(BenchError, match=r"holds no data_batch_1\.bin"):
        read_archive(path, ("data_batch_1.bin",))
    archived(path, test_batch=b"\x0a" + batch[1:])
    with pytest.raises(BenchError, match="label above 9"):
        read_archive(path, ("test_batch.bin",))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BenchError, match=r"a\.tar\.gz cannot be unpacked"):
        read_archive(path, ("test_batch.bin",))


def test_another_archive_and_pickles_are_refused(home, batch):
    with pytest.raises(Missing, match="bench fetch cifar10"):
        build("dataset", "cifar10").images("test")
    (home / "cifar-10-python.tar.gz").write_bytes(b"pickles")
    with pytest.raises(BenchError, match=r"pickles.*binary version"):
        build("dataset", "cifar10").images("test")
    archived(home / "cifar-10-binary.tar.gz", test_batch=batch)
    with pytest.raises(BenchError, match="is not the expected file: its md5"):
        build("dataset", "cifar10").images("test")


def test_the_unpacked_folder(home, batch):
    (home / FOLDER).mkdir()
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        (home / FOLDER / f"{name}.bin").write_bytes(batch)
    data = build("dataset", "cifar10", image_size=32)
    assert data.manifest()["counts"] == {"train": 50_000, "test": 10_000}
    assert data.images("test")[5, :, 0, 0].tolist() == [200, 0, 0]
    labels = data.labels("train")
    assert labels.shape == (50_000,) and labels.dtype == np.int64 and set(labels) == {9}
    (home / FOLDER / "data_batch_3.bin").unlink()
    with pytest.raises(BenchError, match=r"data_batch_3\.bin cannot be read"):
        build("dataset", "cifar10").images("test")
