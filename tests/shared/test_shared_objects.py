"""What holds for every place: the same questions to a folder and to memory behind fsspec."""

import os
import secrets

import pytest

from bench.errors import StorageError
from bench.shared.address import parsed
from bench.shared.objects import opened
from bench.shared.remote import Remote


@pytest.fixture(params=["file", "memory", "looking"])
def objects(request, tmp_path):
    if request.param == "file":
        return opened(f"file://{tmp_path / 'lab'}")
    pytest.importorskip("fsspec", reason="the extra `shared` is not installed")
    if request.param == "memory":
        return opened(f"memory://lab-{secrets.token_hex(8)}")
    return Remote(parsed("sftp://host/x"), _plain_folders(), str(tmp_path / "lab"))


def _plain_folders():
    """Return a file system that only looks before it puts, as most do."""
    from fsspec.implementations.local import LocalFileSystem

    return LocalFileSystem(use_listings_cache=False)


def test_names_and_bytes(objects, tmp_path):
    assert dict(objects.sizes("cells")) == {}
    assert objects.size("cells/a") is None and objects.read("cells/a", 10) is None
    assert objects.create("cells/a", b"one")
    assert not objects.create("cells/a", b"two")
    assert objects.read("cells/a", 10) == b"one" and objects.size("cells/a") == 3
    objects.write("cells/a", b"three")
    assert objects.read("cells/a", 2) == b"thr"  # one more than the largest, to tell
    objects.write("cells/empty", b"")
    assert objects.read("cells/empty", 10) == b""
    assert dict(objects.sizes("cells")) == {"a": 5, "empty": 0}

    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 100_000)
    objects.send(source, "partial/k/parts/0.bin")
    assert dict(objects.sizes("partial/k")) == {"parts/0.bin": 100_000}
    assert objects.fetch("partial/k/parts/0.bin", target)
    assert target.read_bytes() == source.read_bytes()
    assert not objects.fetch("blobs/none", tmp_path / "other")
    objects.remove("cells/a")
    objects.remove("cells/a")
    assert objects.size("cells/a") is None


def test_a_folder_takes_no_links_and_leaves_nothing_half_done(tmp_path):
    folder = opened(f"file://{tmp_path / 'lab'}")
    assert folder.create("cells/a", b"one")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "lab" / "cells" / "b").symlink_to(tmp_path / "secret")
    assert dict(folder.sizes("cells")) == {"a": 3}
    assert folder.read("cells/b", 10) is None and not folder.fetch("cells/b", tmp_path / "x")
    assert not folder.create("cells/b", b"two")
    assert (tmp_path / "secret").read_text() == "secret"
    assert not list((tmp_path / "lab").rglob(".*"))


def test_a_mount_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(StorageError, match="is no folder here; mount it"):
        opened(f"file://{tmp_path / 'nfs' / 'lab'}").sizes("cells")
    assert not (tmp_path / "nfs").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_line(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StorageError, match="may not be written"):
            opened(f"file://{tmp_path / 'lab'}").create("cells/a", b"")
    finally:
        tmp_path.chmod(0o755)


class Failing:
    """A file system of which every call fails some times."""

    def __init__(self, error, times):
        self.error, self.left, self.calls = error, times, 0

    def info(self, path):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return {"size": 7, "type": "file"}


def test_a_lost_connection_is_tried_again_a_bounded_number_of_times():
    there = Failing(ConnectionResetError("gone"), 2)
    remote = Remote(parsed("s3://bucket/x"), there, "bucket/x", waits=(0.0, 0.0))
    assert remote.size("cells/a") == 7 and there.calls == 3
    there = Failing(ConnectionResetError("gone"), 9)
    remote = Remote(parsed("s3://bucket/x"), there, "bucket/x", waits=(0.0, 0.0))
    with pytest.raises(StorageError, match=r"cannot be reached \(gone\)"):
        remote.size("cells/a")
    assert there.calls == 3
    there = Failing(PermissionError("denied"), 9)
    remote = Remote(parsed("s3://bucket/x"), there, "bucket/x", waits=(0.0, 0.0))
    with pytest.raises(StorageError, match="may not be read"):
        remote.size("cells/a")
    assert there.calls == 1
