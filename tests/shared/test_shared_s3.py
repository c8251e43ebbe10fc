"""A real S3 server on this machine: put-if-absent, whole runs, refusals, lost connections."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.errors import Missing, StorageError
from bench.shared import remote
from bench.shared.depot import Depot
from bench.shared.objects import opened
from bench.shared.sharing import Shared

pytestmark = pytest.mark.shared
REGION = "us-east-1"
PLUGINS = Path(__file__).parent.parent / "plugin"


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("s3fs", reason="the extra `shared` is not installed")
    moto = pytest.importorskip("moto.server", reason="moto[server], the S3 server, is missing")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3(server, monkeypatch, tmp_path):
    """Return a file system of a server with an empty bucket; its address is in the environment."""
    import fsspec

    host, port = server.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0))
    system = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    monkeypatch.setattr(type(system), "retries", 1)
    type(system).clear_instance_cache()
    system.mkdir("bucket")
    yield system
    system.rm("bucket", recursive=True)
    type(system).clear_instance_cache()


def test_of_many_writers_at_once_one_is_first(s3):
    objects = opened("s3://bucket/lab")
    answers = []

    def put(writer):
        answers.append(objects.create("cells/a", b"%d" % writer))

    threads = [threading.Thread(target=put, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]


def test_names_and_bytes(s3, tmp_path):
    objects = opened("s3://bucket/lab")
    assert dict(objects.sizes("cells")) == {} and objects.read("cells/a", 10) is None
    assert objects.size("cells/a") is None
    assert objects.create("cells/a", b"one") and not objects.create("cells/a", b"two")
    objects.write("cells/a", b"three")
    assert objects.read("cells/a", 2) == b"thr"
    objects.write("cells/empty", b"")
    assert objects.read("cells/empty", 10) == b""
    assert dict(objects.sizes("cells")) == {"a": 5, "empty": 0}
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(11 * 2**20))
    objects.send(source, "partial/k/parts/0.bin")
    assert objects.fetch("partial/k/parts/0.bin", target)
    assert target.read_bytes() == source.read_bytes()
    assert not objects.fetch("blobs/none", tmp_path / "other")
    objects.remove("cells/a")
    assert objects.size("cells/a") is None
    notes = []
    Depot(objects, notes.append).mark()
    assert not notes


def test_no_bucket_is_74_and_no_credentials_69(s3, monkeypatch):
    with pytest.raises(StorageError, match="no bucket at s3://nowhere/lab"):
        Shared.at("s3://nowhere/lab")
    type(s3).clear_instance_cache()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Missing, match="no credentials for s3://bucket/lab"):
        Shared.at("s3://bucket/lab")


def test_a_clock_that_is_off_has_its_own_line(s3, monkeypatch):
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    told = {"Error": {"Code": "RequestTimeTooSkewed", "Message": "The difference is too large."}}
    objects = opened("s3://bucket/lab")

    def refuse(*args, **kwargs):
        raise translate_boto_error(ClientError(told, "PutObject"))

    monkeypatch.setattr(objects.system, "pipe_file", refuse)
    with pytest.raises(StorageError, match="set the clock"):
        objects.write("cells/a", b"")


def test_an_unreachable_server_is_74(s3, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    type(s3).clear_instance_cache()
    with pytest.raises(StorageError, match="cannot be reached"):
        Shared.at("s3://bucket/lab")


def test_a_second_folder_takes_all_over_and_a_lost_file_is_measured_again(s3, tmp_path):
    """The whole program: two runs over a bucket, and what holds when a file is gone there."""

    def run(folder):
        words = ["run", "toys", "--json", "--out", str(tmp_path / folder)]
        done = subprocess.run(
            [sys.executable, "-m", "bench", *words, "--store", "s3://bucket/lab"],
            env={**os.environ, "PYTHONPATH": str(PLUGINS)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["measured"]

    assert run("a") == 5
    assert run("b") == 0
    for path in (tmp_path / "a" / "cells").iterdir():
        assert (tmp_path / "b" / "cells" / path.name).read_bytes() == path.read_bytes()
    assert s3.info("bucket/lab/bench.json")["size"] > 0
    blobs = s3.find("bucket/lab/blobs")
    assert blobs
    s3.rm_file(blobs[0])
    assert run("c") >= 1
    assert s3.find("bucket/lab/blobs") == blobs
    assert run("d") == 0


def test_table_5_is_counted_once(s3, tmp_path):
    """The command that a person would give; about half a minute."""

    def run(folder):
        words = ["run", "table5", "--json", "--only", "cost unet", "--out", str(tmp_path / folder)]
        done = subprocess.run(
            [sys.executable, "-m", "bench", *words, "--store", "s3://bucket/lab"],
            env=dict(os.environ), capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["measured"]

    assert run("a") >= 1
    assert run("b") == 0
    import bench

    one, other = (bench.load(tmp_path / folder) for folder in "ab")
    assert one.equals(other)
