"""Exchanges that are cut short at any step, and links where a store has none."""

import errno
import itertools
import os
import shutil

import pytest
from filelock import FileLock

from bench import disk
from bench.api import BenchError, StorageError
from bench.store import Store

KEY = "a" * 64
STEPS = ("fsync", "unlink", "rename", "replace", "rmdir")
"""What changes a disk, or makes a change last."""
OLD = {"a.txt": "old", "b.txt": "old too"}
NEW = {"a.txt": "new", "c.txt": "new too"}


class Killed(BaseException):
    """Stands for a kill -9: nothing that comes after it is done."""


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def record(**more):
    return {
        "key": KEY, "task": "toy", "label": "toy", "status": "ok", "reason": "", "spec": {},
        "rows": [{"value": 1}], "files": {}, "uses": [], "timing": False, "made": {}, **more,
    }  # fmt: skip


def keep(store, files, **more):
    made = store.work(KEY)
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for name, content in files.items():
        (made / name).write_text(content)
    return store.replace(record(**more), made, files)


def content(store, kept):
    """Return the files of a record, each checked against it."""
    assert store.is_sound(kept)
    return {name: store.file(KEY, name).read_text() for name in kept["files"]}


def cut_short(monkeypatch, step, fault):
    """Let every change from the given one on fail; return what tells whether there were so many."""
    count = itertools.count(1)
    failed = []

    def wrap(call):
        def wrapped(*args, **named):
            if next(count) >= step:
                failed.append(step)
                raise fault
            return call(*args, **named)

        return wrapped

    for name in STEPS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    return failed


@pytest.mark.parametrize("after", ["prepare", "get", "recover"])
@pytest.mark.parametrize("new", [NEW, {}, OLD], ids=["other files", "no files", "same files"])
@pytest.mark.parametrize("old", [OLD, {}], ids=["files", "none"])
def test_a_killed_exchange_leaves_the_old_or_the_new(store, monkeypatch, old, new, after):
    outcomes = set()
    for step in itertools.count(1):
        keep(store, old, rows=[{"value": 1}])
        with monkeypatch.context() as patch:
            failed = cut_short(patch, step, Killed())
            try:
                keep(store, new, rows=[{"value": 2}])
            except Killed:
                pass
        if not failed:
            break
        {"prepare": store.prepare, "get": lambda: None, "recover": lambda: store.recover(KEY)}[
            after
        ]()
        kept = store.get(KEY)
        assert kept is not None
        value = kept["rows"][0]["value"]
        assert content(store, kept) == {1: old, 2: new}[value]
        assert not list((store.root / "files").glob("*.old"))
        outcomes.add(value)
    assert outcomes == {1, 2}, "no step lay before the change, or none after it"


def test_a_kill_while_an_exchange_is_put_right_changes_nothing(store, monkeypatch):
    for first in range(1, 12):
        for second in range(1, 6):
            keep(store, OLD, rows=[{"value": 1}])
            with monkeypatch.context() as patch, pytest.raises(Killed):
                cut_short(patch, first, Killed())
                keep(store, NEW, rows=[{"value": 2}])
            with monkeypatch.context() as patch:
                cut_short(patch, second, Killed())
                try:
                    store.recover(KEY)
                except Killed:
                    pass
            store.prepare()
            kept = store.get(KEY)
            assert content(store, kept) == {1: OLD, 2: NEW}[kept["rows"][0]["value"]]


def test_a_disk_that_fills_at_any_step_is_one_line_and_loses_nothing(store, monkeypatch):
    for step in itertools.count(1):
        keep(store, OLD, rows=[{"value": 1}])
        with monkeypatch.context() as patch:
            failed = cut_short(patch, step, OSError(errno.ENOSPC, "No space left on device"))
            try:
                keep(store, NEW, rows=[{"value": 2}])
                told = False
            except StorageError as error:
                told = True
                assert "No space left" in str(error) and "\n" not in str(error)
        store.prepare()
        kept = store.get(KEY)
        value = kept["rows"][0]["value"]
        assert content(store, kept) == {1: OLD, 2: NEW}[value]
        assert told or value == 2
        if not failed:
            break
    assert step > 5


def test_a_fault_that_passes_is_undone_at_once(store, monkeypatch):
    before = keep(store, OLD)
    sync_folder = disk.sync_folder

    def fail_once(folder):
        monkeypatch.setattr("bench.store.sync_folder", sync_folder)
        sync_folder(folder)
        if folder.name == "files":
            raise OSError(errno.EIO, "Input/output error")
        monkeypatch.setattr("bench.store.sync_folder", fail_once)

    monkeypatch.setattr("bench.store.sync_folder", fail_once)
    with pytest.raises(StorageError, match="Input/output"):
        keep(store, NEW, rows=[{"value": 2}])
    assert store.peek(KEY) == before
    assert content(store, before) == OLD


def test_an_exchange_may_follow_one_that_was_cut_short(store):
    keep(store, OLD)
    store.folder(KEY).rename(store.folder(KEY).with_name(f"{KEY}.old"))
    store.folder(KEY).mkdir()
    (store.folder(KEY) / "c.txt").write_text("of the one that was cut short")
    kept = keep(store, NEW)
    assert store.get(KEY) == kept and content(store, kept) == NEW


@pytest.mark.parametrize(
    "unfit", [{"rows": [{"n": 2**64 + 1}]}, {"rows": [1]}, {"reason": "x", "status": "fine"}]
)
def test_what_cannot_be_kept_leaves_all_as_it_was(store, unfit):
    before = keep(store, OLD)
    with pytest.raises(BenchError, match="cannot keep the record of 'toy'") as caught:
        keep(store, NEW, **unfit)
    assert type(caught.value) is BenchError
    assert store.get(KEY) == before
    assert content(store, before) == OLD
    assert (store.work(KEY) / "a.txt").read_text() == "new"
    assert [p.name for p in (store.root / "cells").iterdir()] == [f"{KEY}.json"]


def test_an_exchange_at_hand_is_left_alone(store):
    keep(store, OLD)
    aside = store.folder(KEY).with_name(f"{KEY}.old")
    store.folder(KEY).rename(aside)
    with FileLock(store.lock(KEY)):
        store.prepare()
        assert store.get(KEY) is not None
        assert aside.is_dir()
    assert content(store, store.get(KEY)) == OLD


def test_old_files_that_no_record_speaks_of_are_removed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").touch()
    files = store.root / "files"
    (files / f"{KEY}.old").symlink_to(outside, target_is_directory=True)
    (files / f"{'b' * 64}.old").mkdir()
    (files / f"{'c' * 64}.old").touch()
    (files / "mine.old").touch()
    store.prepare()
    assert [p.name for p in files.iterdir()] == ["mine.old"]
    assert (outside / "mine.txt").exists()


@pytest.mark.parametrize(
    "part", ["cells", "files", "work", "partial", "locks", "logs", "quarantine"]
)
@pytest.mark.parametrize("leads", ["elsewhere", "nowhere"])
def test_a_store_with_a_linked_folder_is_refused(store, tmp_path, part, leads):
    if (store.root / part).exists():
        (store.root / part).rmdir()
    if leads == "elsewhere":
        (tmp_path / leads).mkdir()
    (store.root / part).symlink_to(tmp_path / leads, target_is_directory=True)
    with pytest.raises(StorageError, match=f"{part} is a link") as caught:
        store.prepare()
    assert "\n" not in str(caught.value)


def test_the_store_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk", target_is_directory=True)
    store = Store(tmp_path / "store")
    store.prepare()
    assert content(store, keep(store, OLD)) == OLD


@pytest.mark.parametrize("part", ["work", "partial", "lock"])
def test_a_linked_place_of_a_cell_is_not_handed_out(store, tmp_path, part):
    place = getattr(store, part)
    path = place(KEY)
    path.symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(StorageError, match="is a link"):
        place(KEY)


def test_files_below_a_link_are_not_whole(store, tmp_path):
    kept = keep(store, OLD)
    store.folder(KEY).rename(tmp_path / "elsewhere")
    store.folder(KEY).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert not store.is_whole(kept) and not store.is_sound(kept)


def test_a_log_is_gone_on_with_and_begun_anew_once_it_is_long(tmp_path):
    path = tmp_path / "logs" / "worker.log"
    for text, expected in ((b"one", b"one"), (b"two", b"onetwo"), (b"three", b"three")):
        with disk.open_log(path, 5) as log:
            log.write(text)
        assert path.read_bytes() == expected


def test_a_log_is_never_written_through_a_link_or_into_a_pipe(tmp_path):
    path, mine = tmp_path / "worker.log", tmp_path / "mine.txt"
    mine.write_bytes(b"mine")
    makes = (
        lambda: path.symlink_to(mine), lambda: path.symlink_to(tmp_path / "new.txt"), path.mkdir,
        lambda: os.mkfifo(path),
    )  # fmt: skip
    for make in makes:
        make()
        with pytest.raises(StorageError, match="expected a log"):
            disk.open_log(path, 1)
        disk.discard(path)
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(StorageError, match="expected a log"):
        disk.open_log(path, 1)
    os.close(reader)
    assert mine.read_bytes() == b"mine" and not (tmp_path / "new.txt").exists()
