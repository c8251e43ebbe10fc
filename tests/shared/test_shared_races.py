"""What two runs, two shares, a fresh run or a killed one do to each other over one shared store."""

import threading
from pathlib import Path

import pytest
from filelock import FileLock

from bench.runner import Listener, Runner
from bench.shared import node
from bench.shared.sharing import Shared
from bench.store import Store

OTHER = "b" * 64


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Return the address of an empty store, with a node's cache of this test's own."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    node.shared_at.cache_clear()
    return f"file://{tmp_path / 'lab'}"


@pytest.fixture
def apart(lab):
    """Return what has a cell measured by a node apart; `act` is called with its request."""

    def measured(key, act, keys=(), status="ok", **more):
        def measure(own):
            act(own)
            return {"status": status, "reason": "", "rows": [], "files": {}}

        request = {
            "key": key, "keys": list(keys), "store": "/far", "folder": f"/far/work/{key}/one",
            "shared": lab, "device": "cpu", **more,
        }  # fmt: skip
        return node.measured(request, measure)

    return measured


def parts_of(own):
    """Return the folder in which a cell keeps its half-done work."""
    folder = Store(Path(own["store"])).partial(own["key"]) / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made_by(world, objects, tmp_path):
    """Put a record with a file as another machine does; return a run's store and sharing."""
    maker = world.local(tmp_path / "maker")
    world.shared(objects).given(maker, world.kept(maker), replace=False)
    shared = world.shared(objects)
    return world.local(tmp_path / "run", shared), shared


def test_a_fresh_run_measures_with_what_it_made(lab, apart, world, tmp_path):
    run, shared, seen = world.local(tmp_path / "run"), Shared.at(lab), []

    def read(own):
        seen.append(Store(Path(own["store"])).file(OTHER, "number.txt").read_text())

    for content in ("old", "new"):
        record = world.kept(run, key=OTHER, content=content)
        shared.given(run, record, replace=True)
        apart(world.KEY, read, [OTHER])
    assert seen == ["old", "new"]


def test_a_node_keeps_no_half_done_work_of_a_cell_that_it_has_done(apart, world, tmp_path):
    for status in ("ok", "invalid"):
        apart(world.KEY, lambda own: (parts_of(own) / "0").write_text("x"), status=status)
        assert not [path for path in tmp_path.rglob("*") if "partial" in path.parts[:-2]]


@pytest.mark.parametrize("status", ["paused", "timeout", "crashed"])
def test_another_node_goes_on_where_one_was_ended(status, apart, world, monkeypatch, tmp_path):
    apart(world.KEY, lambda own: (parts_of(own) / "0").write_text("x"), status=status)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "another"))
    found = []
    apart(world.KEY, lambda own: found.append((parts_of(own) / "0").read_text()))
    assert found == ["x"]


def test_a_share_leaves_what_another_share_is_making(apart, world):
    kept = []

    def first(own):
        (parts_of(own) / "0").write_text("first")
        apart(world.KEY, second, status="paused", share=[1, 2])
        kept.append((parts_of(own) / "9").exists())
        (parts_of(own) / "1").write_text("first")

    def second(own):
        (parts_of(own) / "9").write_text("second")

    answer = apart(world.KEY, first, status="paused", share=[0, 2])
    assert answer["status"] == "paused", answer["reason"]
    found = []
    apart(world.KEY, lambda own: found.extend(p.name for p in parts_of(own).iterdir()))
    assert sorted(found) == ["0", "1", "9"] and kept == [False]


def test_what_is_measured_anew_is_not_tidied_away_by_the_next_cell(lab, apart, world, tmp_path):
    run, shared, there = world.local(tmp_path / "run"), Shared.at(lab), []
    shared.given(run, world.kept(run, key=OTHER), replace=False)
    apart(world.KEY, lambda own: None, [OTHER])  # from now on the node has a record of it

    def measure(own):
        parts_of(own)
        node.own_store(node.shared_at(lab))  # as another cell begins here
        there.append(Path(own["folder"]).is_dir() and any(parts_of(own).parent.iterdir()))

    apart(OTHER, measure)
    assert there == [True]


def test_two_shares_of_a_cell_fetch_its_parts_at_once(lab, apart, world, tmp_path, monkeypatch):
    apart(world.KEY, lambda own: (parts_of(own) / "0").write_text("x"), status="paused")
    shared, two = Shared.at(lab), world.local(tmp_path / "two")
    kind, twice = type(shared.depot.objects), []
    fetch = kind.fetch

    def during(self, name, target):
        found = fetch(self, name, target)
        if not twice:
            twice.append(name)
            node.pull_parts(shared, two, world.KEY)
        return found

    monkeypatch.setattr(kind, "fetch", during)
    node.pull_parts(shared, two, world.KEY)
    files = [path for path in two.partial(world.KEY).rglob("*") if path.is_file()]
    assert [path.read_text() for path in files] == ["x"]


def test_files_that_a_killed_run_brought_are_not_taken_for_the_records(world, tmp_path):
    store, shared = made_by(world, world.Bytes(), tmp_path)
    left = store.work(f"{world.KEY}.shared")
    left.mkdir()
    (left / "number.txt").write_text("two")
    record = shared.taken_over(store, shared.known(store, world.KEY, read=False))
    assert store.is_sound(record)
    left.mkdir()
    store.prepare()
    assert not left.exists()


def test_a_cell_on_this_machine_waits_for_nobodys_lock(lab, world, tmp_path):
    """Another run may hold the used cell's lock while it waits for the machine."""
    maker = world.local(tmp_path / "maker")
    record, shared = world.kept(maker), Shared.at(lab)
    shared.given(maker, record, replace=False)
    store = world.local(tmp_path / "run")
    store.adopt(world.KEY, store_bytes(maker, world.KEY), None)
    request = {"store": str(store.root), "keys": [world.KEY], "shared": lab}
    asking = threading.Thread(target=node.pull_used, args=(request,), daemon=True)
    with FileLock(store.lock(world.KEY)):
        asking.start()
        asking.join(5)
        assert not asking.is_alive()
    assert store.file(world.KEY, "number.txt").read_text() == "one"


def store_bytes(store, key):
    return store.path(key).read_bytes()


def test_a_used_file_is_fetched_once_and_under_the_lock(toys, plan_of, world, tmp_path):
    """Of two runs over one folder, one would else remove what the other fetches."""
    first = toys.number(1)
    objects, plan = world.Bytes(), plan_of(first, toys.number(2, uses=[first]))
    alone = Store(tmp_path / "alone")
    Runner(alone, sharing=world.shared(objects)).run(plan)
    used, reads = next(p.key for p in plan if p.cell.spec["number"] == 1), []
    objects.there.pop(f"cells/{next(p.key for p in plan if p.key != used)}.json")
    shared = world.shared(objects)
    store = Store(tmp_path / "run", shared)

    def before(operation, name):
        if operation == "fetch":
            lock = FileLock(store.lock(used))
            with pytest.raises(TimeoutError):
                lock.acquire(blocking=False)
            reads.append(name)

    objects.before = before
    records = Runner(store, sharing=shared, listener=Listener()).run(plan)
    assert {record["status"] for record in records.values()} == {"ok"}
    assert len(reads) == 1


def test_a_password_in_an_address_is_not_shown(world):
    shared = world.shared(world.Bytes())
    shared.address = "s3://id:hush@bucket/lab"
    assert "hush" not in repr(shared)
