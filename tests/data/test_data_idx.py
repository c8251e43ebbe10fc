import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import BenchError, Missing
from bench.data._idx import read_images, read_labels
from bench.registry import build

COUNT = 3


def idx(magic=0x803, count=COUNT, rows=28, columns=28, data=None):
    pixels = np.arange(COUNT * 28 * 28, dtype=np.uint32).astype(np.uint8).tobytes()
    return struct.pack(">4I", magic, count, rows, columns) + (pixels if data is None else data)


def write(path, content):
    path.write_bytes(gzip.compress(content, mtime=0))
    return path


def test_reads_what_was_written(tmp_path):
    images = read_images(write(tmp_path / "a.gz", idx()), COUNT)
    assert images.shape == (COUNT, 28, 28)
    assert images.dtype == np.uint8
    assert images[0, 0, :5].tolist() == [0, 1, 2, 3, 4]
    assert images[1, 0, 0] == 28 * 28 % 256


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (idx(magic=0x801), "header"),
        (idx(count=4), "header"),
        (idx(rows=27), "header"),
        (idx(columns=32), "header"),
        (idx(data=b""), "exactly"),
        (idx() + b"x", "longer"),
        (idx()[:-1], "exactly"),
        (b"", "header"),
        (b"\0\0\x08", "header"),
    ],
)
def test_faults_are_named(tmp_path, content, says):
    path = write(tmp_path / "faulty.gz", content)
    with pytest.raises(BenchError, match=says) as caught:
        read_images(path, COUNT)
    assert "faulty.gz" in str(caught.value)


def test_a_text_file_is_not_gzip(tmp_path):
    path = tmp_path / "page.gz"
    path.write_text("<html>not found</html>")
    with pytest.raises(BenchError, match=r"page\.gz cannot be unpacked"):
        read_images(path, COUNT)


def test_a_wrong_checksum_is_seen(tmp_path):
    packed = bytearray(gzip.compress(idx(), mtime=0))
    packed[-8] ^= 1  # first byte of the CRC
    (tmp_path / "a.gz").write_bytes(packed)
    with pytest.raises(BenchError, match="cannot be unpacked"):
        read_images(tmp_path / "a.gz", COUNT)


WHOLE = gzip.compress(idx(), mtime=0)


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_a_truncated_file_is_always_an_error(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "a.gz"
    path.write_bytes(WHOLE[:cut])
    with pytest.raises(BenchError, match=r"a\.gz"):
        read_images(path, COUNT)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_missing_and_wrong_files(tmp_path, monkeypatch, name):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    data = build("dataset", name)
    with pytest.raises(Missing, match=f"bench fetch {name}"):
        data.images("train")
    (tmp_path / name).mkdir()
    write(tmp_path / name / "train-images-idx3-ubyte.gz", idx())
    with pytest.raises(BenchError, match=r"train-images-idx3-ubyte\.gz is not the expected file"):
        data.images("train")


# ------------------------------------------------------------------ labels


def labels(*values, magic=0x801, count=COUNT):
    return struct.pack(">2I", magic, count) + bytes(values)


def test_reads_labels_as_whole_numbers(tmp_path):
    found = read_labels(write(tmp_path / "a.gz", labels(7, 0, 9)), COUNT)
    assert found.tolist() == [7, 0, 9] and found.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (labels(1, 2, 3, magic=0x803), "header"),
        (labels(1, 2, 3, count=4), "header"),
        (labels(1, 2), "exactly"),
        (labels(1, 2, 3, 4), "longer"),
        (labels(1, 10, 3), "label 10, expected 0 to 9"),
        (labels(), "exactly"),
        (idx(), "header"),
        (b"", "header"),
    ],
)
def test_faults_of_labels_are_named(tmp_path, content, says):
    path = write(tmp_path / "faulty.gz", content)
    with pytest.raises(BenchError, match=says) as caught:
        read_labels(path, COUNT)
    assert "faulty.gz" in str(caught.value)


PACKED = gzip.compress(labels(1, 2, 3), mtime=0)


@pytest.mark.parametrize("cut", range(len(PACKED)))
def test_truncated_labels_are_always_an_error(tmp_path, cut):
    (tmp_path / "a.gz").write_bytes(PACKED[:cut])
    with pytest.raises(BenchError, match=r"a\.gz"):
        read_labels(tmp_path / "a.gz", COUNT)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_what_identifies_labels_is_known_without_them_and_no_part_of_the_images(
    tmp_path, monkeypatch, name
):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    data = build("dataset", name)
    said = data.labels_manifest()
    assert set(said["files"]) == {"train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}
    assert not set(said["files"]) & set(data.files.values())
    with pytest.raises(Missing, match=f"bench fetch {name}"):
        data.labels("test")
    (tmp_path / name).mkdir()
    write(tmp_path / name / "t10k-labels-idx1-ubyte.gz", labels(1, 2, 3))
    with pytest.raises(BenchError, match=r"t10k-labels-idx1-ubyte\.gz is not the expected file"):
        data.labels("test")
    with pytest.raises(BenchError, match="valid"):
        data.labels("valid")
