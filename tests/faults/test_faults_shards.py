"""Shares of a cell on workers of their own: whatever becomes of them, the cell has its record."""

import os
import shutil
import threading
import time
from collections import Counter

import psutil
import pytest

from bench.api import Cell
from bench.runner import Listener, Runner
from bench.store import Store


@pytest.fixture
def ledger(tmp_path, toys, monkeypatch):
    """Return what tells which blocks were made: [(block, by a share, process)]."""
    path = tmp_path / "ledger"
    monkeypatch.setenv(toys.LEDGER, str(path))

    def lines():
        words = [line.partition(" ") for line in path.read_text().splitlines()]
        path.unlink()
        return [(int(block), "None" not in rest, rest.split()[-1]) for block, _, rest in words]

    return lines


class Heard(Listener):
    def __init__(self):
        self.begun, self.told, self.ended = [], [], []

    def started(self, planned):
        self.begun.append(planned.key)

    def advanced(self, planned, done, total):
        self.told.append((done, total))

    def finished(self, planned, record, measured):
        self.ended.append(measured)


def measured(root, plan, **settings):
    runner = Runner(Store(root), **settings)
    (record,) = runner.run(plan).values()
    return record


def bare(record):
    """Return all of a record but when and on what it was made."""
    return {name: value for name, value in record.items() if name not in ("made", "checksum")}


def log(root):
    return (root / "logs" / "shards.log").read_text()


@pytest.fixture
def whole(toys, plan_of, tmp_path):
    """Return what a record is, made in one piece."""
    return lambda cell: bare(measured(tmp_path / "whole", plan_of(cell)))


@pytest.mark.slow
def test_any_number_of_shards_makes_the_same_record(toys, plan_of, tmp_path, whole, ledger):
    cell = toys.shares(28, seconds=0.02)
    alone = whole(cell)
    assert {shared for _, shared, _ in ledger()} == {False}
    for shards, workers in ((2, 2), (50, 1)):
        root, heard = tmp_path / f"{shards}", Heard()
        found = measured(root, plan_of(cell), shards=shards, workers=workers, listener=heard)
        assert bare(found) == alone
        made = ledger()
        assert sorted(block for block, _, _ in made) == list(range(28))
        assert {shared for _, shared, _ in made} == {True}
        assert len({pid for _, _, pid in made}) == workers
        assert heard.ended == [True] and len(heard.begun) == 1
        assert max(heard.told)[0] <= 28 and {total for _, total in heard.told} <= {28}
        assert not [*root.glob("work/*"), *root.glob("partial/*")]
        assert not (root / "logs" / "shards.log").exists()


def test_what_is_known_is_not_begun(toys, plan_of, tmp_path, ledger):
    plan, root = plan_of(toys.shares()), tmp_path / "store"
    measured(root, plan)
    ledger()
    heard = Heard()
    measured(root, plan, shards=4, workers=2, listener=heard)
    assert not heard.begun and heard.ended == [False]
    assert not os.path.lexists(tmp_path / "ledger")


@pytest.mark.parametrize("act, said", [("kill", "crashed: the worker ended with SIGKILL"),
                                       ("bug", "failed: KeyError: 'typo'")])  # fmt: skip
def test_a_share_that_dies_in_the_middle(toys, plan_of, tmp_path, whole, ledger, act, said):
    cell = toys.shares(16, fatal=11, act=act)
    alone = whole(cell)
    ledger()
    assert bare(measured(tmp_path / "store", plan_of(cell), shards=2, workers=2)) == alone
    made = Counter((block, shared) for block, shared, _ in ledger())
    assert made == {(block, block < 11): 1 for block in range(16)}
    assert f"share 2 of 2 {said}" in log(tmp_path / "store")


def test_parts_that_were_damaged_are_made_again(toys, plan_of, tmp_path, whole, ledger):
    cell, store = toys.shares(16, seconds=0.05), Store(tmp_path / "store")
    alone = whole(cell)
    ledger()
    plan = plan_of(cell)
    (key,) = plan.cells

    class Damages(Listener):
        """Damages a part of the first share, which is done once the second is under way."""

        def advanced(self, planned, done, total):
            if done > 8:
                (store.partial(key) / "3.txt").write_text("nonsense")

    assert bare(measured(store.root, plan, shards=2, listener=Damages())) == alone
    assert (3, False) in {(block, shared) for block, shared, _ in ledger()}


def test_a_fresh_run_drops_what_was_half_done_once(toys, plan_of, tmp_path, ledger):
    plan, store = plan_of(toys.shares(16)), Store(tmp_path / "store")
    first = measured(store.root, plan)
    (key,) = plan.cells
    store.partial(key).mkdir(parents=True)
    for block in range(16):  # whole, and of an earlier run
        (store.partial(key) / f"{block}.txt").write_text(f"{block * 3}")
    ledger()
    again = measured(store.root, plan, shards=4, workers=2, fresh=True)
    assert bare(again) == bare(first)
    assert sorted((block, shared) for block, shared, _ in ledger()) == [
        (block, True) for block in range(16)
    ]


@pytest.mark.slow
def test_asked_to_stop_shares_keep_their_parts_and_the_next_run_goes_on(
    toys, plan_of, tmp_path, whole, ledger
):
    cell, store = toys.shares(24, seconds=0.05), Store(tmp_path / "store")
    plan = plan_of(cell)

    class Stops(Listener):
        def advanced(self, planned, done, total):
            if done > 3:
                runner.wind_up()

    runner = Runner(store, shards=3, workers=2, listener=Stops())
    with pytest.raises(KeyboardInterrupt):
        runner.run(plan)
    before = ledger()
    assert 0 < len(before) < 24
    found = measured(store.root, plan, shards=2, workers=2)
    made = [block for block, _, _ in (*before, *ledger())]
    assert sorted(made) == list(range(24))
    assert bare(found) == whole(cell)


@pytest.mark.slow
def test_two_runs_with_other_numbers_of_shards_over_one_store(toys, plan_of, tmp_path, whole):
    cell, found = toys.shares(24, seconds=0.02), []

    def one(shards):
        found.append(measured(tmp_path / "store", plan_of(cell), shards=shards, workers=2))

    threads = [threading.Thread(target=one, args=(shards,)) for shards in (1, 2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and all(record == found[0] for record in found)
    assert bare(found[0]) == whole(cell)


def test_a_cell_that_another_run_finishes_under_its_shares(toys, plan_of, tmp_path):
    """Its folder of parts is gone: the share has nothing to write to, and nobody minds."""
    plan, store = plan_of(toys.shares(16, seconds=0.04)), Store(tmp_path / "store")
    (key,) = plan.cells
    gone = threading.Event()

    class Finishes(Listener):
        def advanced(self, planned, done, total):
            if not gone.is_set():
                gone.set()
                shutil.rmtree(store.partial(key), ignore_errors=True)

    assert measured(store.root, plan, shards=2, listener=Finishes())["status"] == "ok"
    assert gone.is_set() and "No such file or directory" in log(store.root)


def test_what_a_share_cannot_use_is_left_to_the_cell(toys, plan_of, tmp_path):
    bad = toys.number(1, "bench-error")
    cell = type(bad)("toy-shares", dict(toys.shares().spec), (bad,))
    store = Store(tmp_path / "store")
    first, second = Runner(store, shards=4).run(plan_of(cell)).values()
    assert (first["status"], second["status"]) == ("failed", "skipped")
    assert not (store.root / "logs" / "shards.log").exists()


def test_a_place_that_fails_costs_the_shares_alone(toys, plan_of, tmp_path, whole, monkeypatch):
    from bench.executor import here

    whole_cell, plain = whole(toys.shares()), here.measured

    def lost(worker, request, progress, **how):
        if "share" in request:
            raise ConnectionError("the node is gone")
        return plain(worker, request, progress, **how)

    monkeypatch.setattr(here, "measured", lost)
    started = time.monotonic()
    assert bare(measured(tmp_path / "store", plan_of(toys.shares()), shards=4)) == whole_cell
    assert log(tmp_path / "store").count("failed: ConnectionError: the node is gone") == 4
    assert time.monotonic() - started < 20


@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True])
def test_real_parts_of_a_real_cell(plan_of, tmp_path, kill):
    """Restored digits, made by workers with torch; one of them is killed in the middle."""
    digits = {"name": "digits", "image_size": 32}
    spec = {"denoiser": {"name": "wiener"}, "dataset": digits, "schedule": {"name": "linear"}}
    spec |= {"t": 150, "n": 96, "micro_batch": 2, "seed": 0}
    plan = plan_of(Cell("denoise", spec))
    killed = []

    class Kills(Listener):
        def advanced(self, planned, done, total):
            if kill and not killed and done > 4:
                workers = [c for c in psutil.Process().children() if "bench.worker" in c.cmdline()]
                killed.extend(workers[:1])
                killed[0].kill()

    alone = bare(measured(tmp_path / "whole", plan))
    for shards in (2, 7):
        root = tmp_path / f"{shards}"
        found = measured(root, plan, shards=shards, workers=2, listener=Kills())
        assert bare(found) == alone and alone["status"] == "ok"
    assert bool(killed) == kill
