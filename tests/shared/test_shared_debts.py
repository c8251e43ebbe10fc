"""What is put later where a put failed, and what killed or absent places leave behind."""

import os
import time

import pytest
from filelock import FileLock

from bench.recovery import STALE_S
from bench.runner import Runner
from bench.shared import debts
from bench.shared.objects import opened
from bench.store import Store

KEY, OTHER = "a" * 64, "b" * 64
RECORD = f"cells/{KEY}.json"


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Return how long was waited; nothing is waited for."""
    waited = []

    def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr(debts.time, "sleep", sleep)
    return waited


def failing(times, *, of="create"):
    """Return what refuses so many puts of records."""
    left = [times]

    def before(operation, name):
        if operation == of and name.startswith("cells/") and left[0]:
            left[0] -= 1
            raise PermissionError("denied")

    return before


@pytest.mark.parametrize("fresh", [False, True])
def test_a_record_that_one_put_failed_of_is_there_for_the_cell_that_uses_it(
    fresh, toys, plan_of, world, tmp_path
):
    first = toys.number(1)
    plan, objects = plan_of(first, toys.number(2, uses=[first])), world.Bytes()
    used = next(one.key for one in plan if one.cell.spec["number"] == 1)
    (user,) = {one.key for one in plan} - {used}
    shared, seen = world.shared(objects), []
    refuse = failing(1, of="write" if fresh else "create")

    def before(operation, name):
        if name == f"cells/{user}.json":  # it was measured
            seen.append(f"cells/{used}.json" in objects.there)
        refuse(operation, name)

    objects.before = before
    store = Store(tmp_path / "run", shared)
    records = Runner(store, sharing=shared, fresh=fresh).run(plan)
    assert {record["status"] for record in records.values()} == {"ok"}
    assert seen[0] and shared.fault is None
    assert all(world.is_whole(objects.there, key) for key in records)
    assert any("stay local" in note for note in shared.notes)
    assert any("in use again" in note for note in shared.notes)


def test_what_is_owed_is_put_before_a_cell_is_measured(world, tmp_path):
    objects = world.Bytes()
    shared, store = world.shared(objects), world.local(tmp_path)
    objects.before = failing(1)
    record = world.kept(store)
    assert shared.given(store, record, replace=False) == record
    assert shared.fault is not None and RECORD not in objects.there
    shared.known(store, OTHER, read=False)
    assert shared.fault is None and world.is_whole(objects.there)


def test_what_is_owed_at_the_end_is_told_and_waits_are_bounded(world, tmp_path, waits):
    objects = world.Bytes()
    shared, store = world.shared(objects), world.local(tmp_path)
    objects.before = failing(10**6)
    record = world.kept(store)
    shared.given(store, record, replace=False)
    for _ in range(20):
        assert shared.known(store, OTHER, read=False, again=True) is None
    assert shared.fault.exit_code == 74 and store.is_here(record, hashed=True)
    assert len(waits) == len(debts.WAITS_S) and sum(waits) <= sum(debts.WAITS_S)


def test_what_is_owed_waits_for_its_lock_and_leaves_what_was_first(world, tmp_path):
    objects = world.Bytes()
    shared, store = world.shared(objects), world.local(tmp_path / "a")
    objects.before = failing(1)
    shared.given(store, world.kept(store), replace=False)
    with FileLock(store.lock(KEY)):  # another run is at it
        shared.known(store, OTHER, read=False)
        assert shared.fault is not None and RECORD not in objects.there
    other = world.local(tmp_path / "b")
    first = world.kept(other, 2, "two")
    world.shared(objects).given(other, first, replace=False)
    shared.known(store, OTHER, read=False)
    assert shared.fault is None and objects.there[RECORD] == other.path(KEY).read_bytes()


@pytest.mark.parametrize("late", [False, True])
def test_half_done_work_goes_with_the_cell_that_was_made_elsewhere(late, world, tmp_path):
    objects, maker = world.Bytes(), world.local(tmp_path / "maker")
    shared, store = world.shared(objects), world.local(tmp_path / "run")
    parts = {f"partial/{key}/parts/0": b"x" for key in (KEY, OTHER)}
    if late:
        shared._drop_left(OTHER)  # listed while there is none
    objects.there.update(parts)
    world.shared(objects).given(maker, world.kept(maker), replace=False)
    shared.taken_over(store, shared.known(store, KEY, read=False, again=True))
    assert [name for name in objects.there if name in parts] == [f"partial/{OTHER}/parts/0"]


def test_what_a_killed_send_left_goes_once_it_is_old(world, tmp_path, monkeypatch):
    folder = opened(f"file://{tmp_path / 'lab'}")
    places = [tmp_path / "lab" / part for part in ("blobs", "cells", f"partial/{KEY}/parts")]
    old, new = ".0123456789abcdef.tmp", ".fedcba9876543210.tmp"
    for place in places:
        place.mkdir(parents=True)
        for name in (old, new, ".hers"):
            (place / name).write_text("x")
            if name != new:
                os.utime(place / name, (time.time() - 2 * STALE_S,) * 2)
    ahead = time.time() + 10 * STALE_S
    monkeypatch.setattr(time, "time", lambda: ahead)  # this machine's clock is off
    shared = world.shared(folder)
    assert (places[0] / old).exists()  # who only reads removes nothing
    shared.prepare(world.local(tmp_path / "run"), [])
    assert all({p.name for p in place.iterdir()} == {new, ".hers"} for place in places)
