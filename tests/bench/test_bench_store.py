import errno
import multiprocessing
import os
import resource
import shutil
import sys
import time

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import canonical, disk
from bench.api import BenchError, StorageError
from bench.record import written
from bench.store import Store, write_atomically

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def record(key=KEY, **more):
    return {
        "key": key, "task": "toy", "label": "toy", "status": "ok", "reason": "", "spec": {},
        "rows": [{"value": 1.5}], "files": {}, "uses": [], "timing": False, "made": {}, **more,
    }  # fmt: skip


def with_files(store, files, key=KEY, **more):
    """Keep a record with files as the runner does."""
    return store.replace(record(key, **more), made_of(store, files, key), files)


def made_of(store, files, key=KEY):
    """Make the files of a cell where a cell makes them."""
    made = store.work(key)
    made.mkdir()
    for name, content in files.items():
        (made / name).write_text(content)
    return made


def test_a_record_comes_back(store):
    put = store.put(record())
    assert store.get(KEY) == put == store.peek(KEY)
    assert put["rows"] == [{"value": 1.5}]


@pytest.mark.parametrize("key", [OTHER, "absent", "", "../../run", "a" * 64 + "\n", "A" * 64])
def test_what_is_no_key_or_not_there_is_none(store, key):
    assert store.get(key) is None
    assert not (store.root / "quarantine").exists()


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
    path = store.path(KEY)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    assert store.peek(KEY) is None and path.exists()
    assert store.get(KEY) is None
    assert not path.exists()
    quarantine = store.root / "quarantine"
    assert (quarantine / path.name).read_bytes() == damaged
    assert (quarantine / f"{path.stem}.reason.txt").read_text().strip()


def test_every_damaged_record_of_a_key_is_kept(store):
    for content in (b"one", b"two", b"three"):
        store.path(KEY).write_bytes(content)
        assert store.get(KEY) is None
    aside = store.root / "quarantine"
    assert sorted(p.read_bytes() for p in aside.glob("*.json")) == [b"one", b"three", b"two"]
    assert len(list(aside.glob("*.reason.txt"))) == 3


def test_a_record_under_another_key_is_refused(store):
    store.put(record())
    store.path(KEY).rename(store.path(OTHER))
    assert store.get(OTHER) is None


def test_a_record_that_is_a_link_a_pipe_or_a_folder_is_set_aside(store, tmp_path):
    store.put(record())
    elsewhere = store.path(KEY).rename(tmp_path / "elsewhere.json")
    for make in (lambda p: p.symlink_to(elsewhere), lambda p: p.mkdir(), lambda p: os.mkfifo(p)):
        make(store.path(KEY))
        assert store.get(KEY) is None
        assert not os.path.lexists(store.path(KEY))
    assert elsewhere.exists()


def _reads_until(root, stop):
    while not stop.is_set():
        Store(root).get(KEY)


def test_many_readers_may_set_the_same_record_aside(store):
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    readers = [context.Process(target=_reads_until, args=(store.root, stop)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(100):
        store.path(KEY).write_bytes(b"damaged %d" % turn)
        store.get(KEY)
    stop.set()
    for reader in readers:
        reader.join()
    assert [reader.exitcode for reader in readers] == [0, 0, 0]
    aside = store.root / "quarantine"
    assert len(list(aside.glob("*.json"))) == len(list(aside.glob("*.reason.txt"))) > 0


def test_a_whole_record_that_was_caught_in_the_act_is_given_back(store, monkeypatch):
    put = store.put(record())
    monkeypatch.setattr(Store, "look", lambda self, key: (None, "it was damaged a moment ago"))
    assert store.get(KEY) is None
    monkeypatch.undo()
    assert store.get(KEY) == put
    assert not any((store.root / "quarantine").iterdir())


def test_what_is_no_record_is_not_kept(store):
    store.put(record())
    before = store.path(KEY).read_bytes()
    deep = []
    for _ in range(5000):
        deep = [deep]
    for wrong in ({"rows": [{"n": 10**30}]}, {"rows": [1]}, {"files": {"../x": {}}},
                  {"spec": {"x": object()}}, {"made": {"\x1b": "\x1b"}},
                  {"rows": [{"n": deep}]}):  # fmt: skip
        with pytest.raises(BenchError, match="cannot keep the record of 'toy'"):
            store.put(record(**wrong))
    assert store.path(KEY).read_bytes() == before


def test_files_are_checked_against_their_record(store):
    with_files(store, {"a.txt": "abc"})
    assert store.file(KEY, "a.txt").read_text() == "abc"
    assert store.is_whole(store.get(KEY))
    (store.folder(KEY) / "a.txt").write_text("abd")
    with pytest.raises(StorageError, match="not what was measured"):
        store.file(KEY, "a.txt")
    (store.folder(KEY) / "a.txt").unlink()
    assert not store.is_whole(store.get(KEY))
    with pytest.raises(StorageError, match="missing"):
        store.file(KEY, "a.txt")
    with pytest.raises(StorageError, match="missing"):
        store.file(KEY, "../../cells/x")


def test_links_are_not_followed_to_files(store, tmp_path):
    with_files(store, {"a.txt": "abc"})
    outside = tmp_path / "outside"
    shutil.copytree(store.folder(KEY), outside)
    path = store.folder(KEY) / "a.txt"
    path.unlink()
    path.symlink_to(outside / "a.txt")
    with pytest.raises(StorageError, match="link"):
        store.file(KEY, "a.txt")
    assert not store.is_whole(store.get(KEY))
    shutil.rmtree(store.folder(KEY))
    store.folder(KEY).symlink_to(outside, target_is_directory=True)
    with pytest.raises(StorageError, match="link"):
        store.file(KEY, "a.txt")
    store.folder(KEY).unlink()
    (store.root / "files").rename(tmp_path / "files")
    (store.root / "files").symlink_to(tmp_path / "files", target_is_directory=True)
    outside.rename(store.folder(KEY))
    with pytest.raises(StorageError, match="link"):
        store.file(KEY, "a.txt")


@pytest.mark.parametrize("name", ["../a", "a/b", ".hidden", "absent", "folder", "link", "x\x1b"])
def test_only_plain_files_of_the_cell_are_taken_over(store, name):
    with_files(store, {"a.txt": "old"})
    made = store.work(KEY)
    made.mkdir()
    (made / "folder").mkdir()
    (made / "link").symlink_to("/etc/hosts")
    (made / "x\x1b").touch()
    with pytest.raises(BenchError, match="no file of the cell"):
        store.replace(record(), made, [name])
    with pytest.raises(BenchError, match="no file of the cell"):
        store.replace(record(), None, ["a.txt"])
    assert store.file(KEY, "a.txt").read_text() == "old"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomically(path, b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_file_beyond_the_limit_leaves_the_old_one(tmp_path):
    path = tmp_path / "record.json"
    write_atomically(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match="too large"):
            write_atomically(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("refused", ["mkdir", "open", "replace"])
def test_what_the_system_refuses_is_one_line(store, monkeypatch, refused):
    def refuse(*args, **named):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(f"pathlib.Path.{refused}", refuse)
    for attempt in (lambda: store.put(record()), store.prepare):
        if refused == "mkdir" or attempt != store.prepare:
            with pytest.raises(StorageError, match="Permission denied") as caught:
                attempt()
            assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert [p for p in (store.root / "cells").iterdir()] == []


def test_a_path_that_is_too_long_is_one_line(tmp_path):
    long = tmp_path.joinpath("x" * 300)
    for attempt in (
        Store(long).prepare,
        lambda: Store(long).put(record()),
        lambda: Store(long).get(KEY),
        lambda: write_atomically(long, b""),
    ):
        with pytest.raises(StorageError, match="too long"):
            attempt()


def test_a_store_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(StorageError, match="is a file"):
        Store(path).prepare()


def test_what_a_killed_process_left_is_tidied_up_later(store):
    cells = store.root / "cells"
    store.put(record())
    for name, age in ((".old.tmp", 7200), (".new.tmp", 60)):
        (cells / name).write_bytes(b"half")
        os.utime(cells / name, (time.time() - age,) * 2)
    os.utime(store.path(KEY), (0, 0))
    beside_the_manifest = (".0123456789abcdef.tmp", ".git", ".mine.tmp")
    for name in beside_the_manifest:
        (store.root / name).touch()
        os.utime(store.root / name, (0, 0))
    store.prepare()
    assert sorted(p.name for p in cells.iterdir()) == [".new.tmp", f"{KEY}.json"]
    assert [name for name in beside_the_manifest if (store.root / name).exists()] == [
        ".git", ".mine.tmp",
    ]  # fmt: skip
    assert store.work(KEY).parent.is_dir()


def test_work_that_nobody_goes_on_with_is_tidied_up(store):
    third, fourth = "c" * 64, "d" * 64
    store.put(record())
    store.put(record(OTHER, status="failed"))
    store.put(record(fourth))
    for key in (KEY, OTHER, third, fourth):
        for folder in (store.work(key), store.partial(key)):
            folder.mkdir()
            (folder / "part").touch()
    with FileLock(store.lock(fourth)):  # a run with --fresh is measuring it
        store.prepare()
    for part in ("work", "partial"):
        assert {p.name for p in (store.root / part).iterdir()} == {OTHER, third, fourth}


def test_a_fresh_run_that_is_unfinished_keeps_its_half_done_work(store):
    store.put(record())
    store.partial(KEY).mkdir()
    (store.root / "renewal-0123.txt").touch()
    store.prepare()
    assert store.partial(KEY).is_dir()
    (store.root / "renewal-0123.txt").unlink()
    store.prepare()
    assert not store.partial(KEY).exists()


def test_a_file_is_sound_while_its_hash_is_right(store, monkeypatch):
    kept = with_files(store, {"a.txt": "abc"})
    read = []
    sha = disk.file_sha
    monkeypatch.setattr(disk, "file_sha", lambda path: read.append(path.name) or sha(path))
    disk._sha_of.cache_clear()
    assert store.is_sound(kept) and store.is_sound(kept)
    assert read == ["a.txt"]
    (store.folder(KEY) / "a.txt").write_text("abd")
    assert store.is_whole(kept) and not store.is_sound(kept)
    (store.folder(KEY) / "a.txt").unlink()
    assert not store.is_sound(kept)
    assert store.is_sound(store.put(record(OTHER)))


def test_names_are_made_to_last(store, monkeypatch):
    synced = []
    monkeypatch.setattr("bench.store.sync_folder", lambda folder: synced.append(folder.name))
    monkeypatch.setattr(disk, "sync_folder", lambda folder: synced.append(folder.name))
    with_files(store, {"a.txt": "abc"})
    assert synced == [KEY, "files", "cells"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_others_may_read_what_the_umask_lets_them(tmp_path):
    umask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@settings(max_examples=25, deadline=None)
@given(value=st.floats() | st.text() | st.lists(st.integers(-(2**60), 2**60)))
def test_any_row_comes_back(tmp_path_factory, value):
    store = Store(tmp_path_factory.mktemp("store"))
    store.prepare()
    put = store.put(record(rows=[{"value": value}]))
    assert canonical.dumps(store.get(KEY)) == canonical.dumps(put)


def test_a_store_of_many_records_is_read_quickly(store):
    """100,000 records in 5 s; three times as long on a machine with other work."""
    count = 2000
    keys = [f"{number:064x}" for number in range(count)]
    row = {"denoiser": "unet", "t": 50, "psnr": 27.123456789, "ssim": 0.123456789012345}
    for key in keys:
        store.path(key).write_bytes(written(record(key, rows=[row] * 8)))
    before = time.process_time()
    assert all(store.get(key) for key in keys)
    assert time.process_time() - before < 3 * 5 * count / 100_000
