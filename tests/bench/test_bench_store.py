import os

import pytest

from bench.api import StorageError
from bench.store import Store, write_atomically


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def record(key="k" * 64, **more):
    return {"key": key, "status": "ok", "rows": [{"value": 1.5}], "files": {}, **more}


def test_a_record_comes_back(store):
    store.put(record())
    assert store.get("k" * 64)["rows"] == [{"value": 1.5}]


def test_an_absent_record_is_none(store):
    assert store.get("absent") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content.replace(b"1.5", b"1.6"),
        lambda content: content.replace(b'"format":1', b'"format":99'),
        lambda content: b"[]",
        lambda content: b"\xff\xfe",
    ],
    ids=["truncated", "empty", "changed digit", "future format", "not a record", "not text"],
)
def test_a_damaged_record_is_set_aside_with_the_reason(store, damage):
    store.put(record())
    path = store.path("k" * 64)
    path.write_bytes(damage(path.read_bytes()))
    assert store.get("k" * 64) is None
    assert not path.exists()
    quarantine = store.root / "quarantine"
    assert (quarantine / path.name).exists()
    assert (quarantine / f"{path.stem}.reason.txt").read_text().strip()


def test_a_record_under_another_key_is_refused(store):
    store.put(record())
    store.path("k" * 64).rename(store.path("m" * 64))
    assert store.get("m" * 64) is None


def test_files_are_checked_against_their_record(store, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "a.txt").write_text("abc")
    files = store.adopt("f" * 64, made, ["a.txt"])
    store.put(record("f" * 64, files=files))
    assert store.file("f" * 64, "a.txt").read_text() == "abc"
    assert store.is_whole(store.get("f" * 64))
    (store.folder("f" * 64) / "a.txt").write_text("abd")
    with pytest.raises(StorageError, match="not what was measured"):
        store.file("f" * 64, "a.txt")
    (store.folder("f" * 64) / "a.txt").unlink()
    assert not store.is_whole(store.get("f" * 64))
    with pytest.raises(StorageError, match="missing"):
        store.file("f" * 64, "a.txt")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomically(path, b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_store_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(StorageError, match="is a file"):
        Store(path).prepare()
