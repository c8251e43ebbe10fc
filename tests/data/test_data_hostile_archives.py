"""Zips, tars, arrays and idx files that somebody made to harm."""

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from bench.api import BenchError
from bench.data import _files, cifar10
from bench.data._arrays import cached, read_array
from bench.data._files import Archive
from bench.data._idx import read_images
from bench.data._pictures import survey
from bench.data.imagenet_church import read_npz
from bench.data.lsun_church import read_npy

PICKLE = b"cos\nsystem\n(S'touch %s'\ntR."
"""Runs a command in whatever unpickles it."""


@pytest.fixture(autouse=True)
def _nothing_is_written_beside(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    yield
    assert not list(home.iterdir()), "something was unpacked or run"


@pytest.fixture
def memory():
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def jpeg(value=0):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 0, 0)).save(out, "JPEG")
    return out.getvalue()


def zipped(path, entries, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return path


def told(path):
    """Return what is said of an archive."""
    with pytest.raises(BenchError) as caught:
        survey(Archive(path))
    assert str(caught.value).isprintable()
    return str(caught.value)


# ------------------------------------------------------------------------------------ zip


@pytest.mark.parametrize(
    "name", ["../out.jpg", "a/../../out.jpg", "/out.jpg", "..\\out.jpg", "C:/out.jpg", "C:\\o.jpg"]
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    path = zipped(tmp_path / "a.zip", [("1.jpg", jpeg()), (name, jpeg())])
    assert "a name that leads out of the archive" in told(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [("1.jpg", jpeg()), ("1.jpg", jpeg(9))])
    assert "holds 1.jpg twice" in told(path)


def test_encrypted_and_oddly_packed_entries_are_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [("1.jpg", jpeg())], zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    assert "which is encrypted" in told(path)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert f"by method {method}" in told(
            zipped(tmp_path / "b.zip", [("1.jpg", jpeg())], method)
        )


def test_what_claims_to_be_huge_is_not_read(tmp_path, memory):
    path = zipped(tmp_path / "a.zip", [("1.jpg", bytes(300 * 2**20))])
    tracemalloc.reset_peak()
    assert "claims more than" in told(path)
    path = zipped(tmp_path / "b.zip", ((f"{i}.bmp", bytes(20 * 2**20)) for i in range(15)))
    tracemalloc.reset_peak()
    assert "that is no archive of pictures" in told(path)
    assert memory() < 20e6


def test_an_entry_that_is_longer_than_it_claims_is_cut(tmp_path, memory):
    path = zipped(tmp_path / "a.zip", [("1.jpg", bytes(200 * 2**20))])
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        place = content.index(mark) + at
        content[place : place + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    tracemalloc.reset_peak()
    assert "cannot be unpacked" in told(path)
    assert memory() < 20e6


def test_entries_that_overlap_are_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [("1.jpg", jpeg()), ("2.jpg", jpeg())], zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\1\2")
    content[second + 42 : second + 46] = struct.pack("<I", 10)  # inside the first
    path.write_bytes(content)
    assert "entries that overlap" in told(path)


def test_a_table_of_contents_has_a_limit(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", [(f"{i:06}.jpg", b"") for i in range(200)])
    monkeypatch.setattr(_files, "LARGEST_DIRECTORY", 10_000)
    assert "its table of contents takes" in told(path)


def test_a_name_for_terminals_is_escaped(tmp_path):
    path = zipped(tmp_path / "a.zip", [("\x1b[2J.jpg", b"none"), ("2.jpg", b"none")])
    assert "2 of 2 pictures cannot be used" in told(path) and "\\x1b[2J.jpg" in told(path)


def test_an_archive_in_an_archive_is_no_picture(tmp_path):
    inner = zipped(tmp_path / "inner.zip", [("1.jpg", jpeg())]).read_bytes()
    path = zipped(tmp_path / "a.zip", [("inner.jpg", inner), ("inner.zip", inner)])
    assert "inner.jpg is not a readable picture" in told(path)


def test_a_pipe_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(BenchError, match="it is a pipe"):
        _ = Archive(tmp_path / "a.zip").names


# ------------------------------------------------------------------------------------ tar


def tarred(path, *members):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, size, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            info.size = size if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_and_devices_are_no_batches(tmp_path, kind):
    path = tarred(tmp_path / "a.tar.gz", ("x/test_batch.bin", 0, kind))
    with pytest.raises(BenchError, match=r"holds no test_batch\.bin"):
        cifar10.read_archive(path, ("test_batch.bin",))


def test_a_tar_of_any_names_writes_nothing(tmp_path):
    size = cifar10.PER_FILE * cifar10.RECORD
    path = tarred(tmp_path / "a.tar.gz", ("../../home/test_batch.bin", size, tarfile.REGTYPE))
    (images,) = cifar10.read_archive(path, ("test_batch.bin",))
    assert len(images) == 10_000
    twice = ("test_batch.bin", 10, tarfile.REGTYPE)
    with pytest.raises(BenchError, match=r"holds test_batch\.bin twice"):
        cifar10.read_archive(tarred(tmp_path / "b.tar.gz", twice, twice), ("test_batch.bin",))


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_bomb_stops_at_the_limit(tmp_path, monkeypatch, memory, kind):
    monkeypatch.setattr(cifar10, "LARGEST", 2**20)
    info = tarfile.TarInfo("bomb")
    info.type, info.size = kind, 8**11 - 1
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.reset_peak()
    with pytest.raises(BenchError, match="unpacks to more than 1048576 bytes"):
        cifar10.read_archive(tmp_path / "a.tar.gz", ("test_batch.bin",))
    assert memory() < 20e6


# ----------------------------------------------------------------------------- idx and npy


def test_a_gzip_bomb_stops_after_the_images(tmp_path, memory):
    path = tmp_path / "bomb.gz"
    zeros = gzip.compress(bytes(2**24), 9)
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, 3, 28, 28)) + 64 * zeros)  # a GiB
    assert path.stat().st_size < 2 * 2**20
    tracemalloc.reset_peak()
    with pytest.raises(BenchError, match="unpacks to longer"):
        read_images(path, 3)
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with pytest.raises(BenchError, match="idx header"):
        read_images(path, 3)
    assert memory() < 25e6


def npy(shape, descr="|u1", data=b"", fortran=False):
    out = io.BytesIO()
    about = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(out, about)
    return out.getvalue() + data


HOSTILE = {
    "empty": b"",
    "pickle": PICKLE % b"CANARY",
    "objects": npy((1,), "|O", PICKLE % b"CANARY"),
    "other type": npy((2, 1, 4, 4), "<f4", bytes(128)),
    "other shape": npy((2, 4, 4), data=bytes(32)),
    "huge": npy((2**60, 1, 4, 4)),
    "huger": npy((2**70,)),
    "negative": npy((-2, 1, 4, -4), data=bytes(32)),
    "short": npy((2, 1, 4, 4), data=bytes(31)),
    "long": npy((2, 1, 4, 4), data=bytes(33)),
    "turned": npy((2, 1, 4, 4), data=bytes(32), fortran=True),
    "code": b"\x93NUMPY\1\0\x40\0" + b"__import__('os').system('touch CANARY')".ljust(64),
    "deep": b"\x93NUMPY\1\0\xff\xff" + b"(" * 65_535,
    "endless": b"\x93NUMPY\2\0\xff\xff\xff\xff{",
    "zip": b"PK\3\4" + bytes(40),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_cached_array_of_any_content_is_made_again(tmp_path, memory, content):
    manifest = {"name": "x", "counts": {"train": 2}, "channels": 1, "image_size": 4}
    right = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    cached(manifest, "train", lambda: right.copy())
    (path,) = (tmp_path / "cache" / "arrays").iterdir()
    path.write_bytes(content)
    assert np.array_equal(cached(manifest, "train", lambda: right.copy()), right)
    assert np.array_equal(read_array(path), right), "and it was kept"
    (tmp_path / "church").mkdir()
    (tmp_path / "church" / "c.npy").write_bytes(content)
    with pytest.raises(BenchError):
        read_npy(tmp_path / "church" / "c.npy")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("images.npy", content)
    with pytest.raises(BenchError):
        read_npz(tmp_path / "c.npz")
    assert memory() < 20e6


def test_a_cached_link_is_replaced_and_its_target_left(tmp_path):
    manifest = {"name": "x", "counts": {"train": 1}, "channels": 1, "image_size": 4}
    right = np.zeros((1, 1, 4, 4), np.uint8)
    cached(manifest, "train", lambda: right.copy())
    (path,) = (tmp_path / "cache" / "arrays").iterdir()
    other = tmp_path / "other.npy"
    np.save(other, right + 7)
    path.unlink()
    path.symlink_to(other)
    assert cached(manifest, "train", lambda: right.copy()).max() == 0
    assert not path.is_symlink() and np.load(other).min() == 7


def test_an_npz_that_unpacks_to_more_than_it_promises(tmp_path, memory):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", npy((1, 64, 64, 3), data=bytes(200 * 2**20)))
    tracemalloc.reset_peak()
    with pytest.raises(BenchError, match="damaged"):
        read_npz(tmp_path / "a.npz")
    assert memory() < 20e6
