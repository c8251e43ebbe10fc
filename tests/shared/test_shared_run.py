"""Whole runs over one shared store: from several folders, by places apart, by the command line."""

import contextlib
import json
from dataclasses import dataclass

import pytest

from bench.budget import load_budget
from bench.cli import run_command_line
from bench.errors import StorageError
from bench.executor import here
from bench.executor.local import Local
from bench.plan import make_plan, study_for
from bench.runner import Listener, Runner
from bench.shared import debts, node
from bench.shared.objects import opened
from bench.shared.sharing import Shared
from bench.store import Store


class Heard(Listener):
    def __init__(self):
        self.measured = []

    def finished(self, planned, record, measured):
        if measured:
            self.measured.append(planned.cell.spec["number"])


@pytest.fixture
def plan(toys):
    return make_plan(study_for(load_budget("smoke")), ["toys"])


@pytest.fixture
def lab(tmp_path):
    """Return the address of an empty store, and its folder."""
    return f"file://{tmp_path / 'lab'}", tmp_path / "lab"


def run(plan, root, address, *, executor=None, fresh=False):
    shared, heard = Shared.at(address), Heard()
    store = Store(root, shared)
    store.prepare()
    shared.prepare(store, [planned.key for planned in plan])
    runner = Runner(store, listener=heard, sharing=shared, executor=executor, fresh=fresh)
    records = runner.run(plan)
    assert shared.fault is None
    return records, sorted(heard.measured), store


def key_of(plan, number):
    return next(planned.key for planned in plan if planned.cell.spec["number"] == number)


def blob_of(lab, record):
    return lab / "blobs" / record["files"]["number.txt"]["sha256"]


def test_a_second_folder_measures_nothing_and_has_the_same_rows(plan, lab, tmp_path):
    first, measured, _ = run(plan, tmp_path / "a", lab[0])
    assert measured == [1, 2, 4, 8, 9]
    second, measured, store = run(plan, tmp_path / "b", lab[0])
    assert measured == [] and second == first
    assert not any((tmp_path / "b" / "files").iterdir())  # nobody has read them
    assert all(store.is_whole(record) for record in second.values())
    for key in first:
        name = f"cells/{key}.json"
        same = {(tmp_path / place / name).read_bytes() for place in ("a", "b", "lab")}
        assert len(same) == 1

    # A cell whose record is gone is measured from files that come from there...
    gone = key_of(plan, 4)
    (lab[1] / "cells" / f"{gone}.json").unlink()
    third, measured, _ = run(plan, tmp_path / "c", lab[0])
    assert measured == [4] and third[gone]["rows"][0]["value"] == first[gone]["rows"][0]["value"]
    assert (lab[1] / "cells" / f"{gone}.json").exists()

    # ...and one whose file is damaged there is measured anew before it is read.
    (lab[1] / "cells" / f"{gone}.json").unlink()
    blob = blob_of(lab[1], first[key_of(plan, 1)])
    blob.write_text("x" * blob.stat().st_size)
    _, measured, _ = run(plan, tmp_path / "d", lab[0])
    assert measured == [1, 4]
    assert blob.read_text() == "1"
    blob_of(lab[1], first[key_of(plan, 8)]).unlink()
    _, measured, _ = run(plan, tmp_path / "e", lab[0])
    assert measured == [8]


def test_what_was_measured_alone_is_put_by_the_next_run(plan, lab, tmp_path):
    Runner(Store(tmp_path / "a")).run(plan)
    _, measured, _ = run(plan, tmp_path / "a", lab[0])
    assert measured == [] and len(list((lab[1] / "cells").iterdir())) == 5
    before = {path: path.read_bytes() for path in (lab[1] / "cells").iterdir()}
    _, measured, _ = run(plan, tmp_path / "b", lab[0], fresh=True)
    assert measured == [1, 2, 4, 8, 9]
    assert all(path.read_bytes() != content for path, content in before.items())


def test_a_cell_that_another_machine_made_meanwhile_is_not_measured(plan, lab, tmp_path, world):
    run(plan, tmp_path / "a", lab[0])
    shared = Shared.at(f"file://{tmp_path / 'empty'}")
    shared.depot.objects = opened(lab[0])  # listed when it was empty, filled since
    store, heard = Store(tmp_path / "b", shared), Heard()
    Runner(store, listener=heard, sharing=shared).run(plan)
    assert heard.measured == []


@dataclass
class Apart(Local):
    """Seats on a machine that does not see the run's folders."""

    @contextlib.contextmanager
    def seat(self, planned, go_on):
        worker = self._free.get()
        try:
            yield _ApartSeat(worker)
        finally:
            self._free.put(worker)


@dataclass
class _ApartSeat:
    worker: object

    def run(self, request, progress):
        far = {**request, "store": "/far", "folder": request["folder"].replace(
            request["store"], "/far")}  # fmt: skip
        answer = here.measured(self.worker, far, progress, sharing=1, apart=True)
        return {**answer, "folder": request["folder"]}


def test_a_place_apart_gets_and_gives_all_by_the_shared_store(plan, lab, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    node.shared_at.cache_clear()
    alone = Runner(Store(tmp_path / "alone")).run(plan)
    records, measured, store = run(plan, tmp_path / "a", lab[0], executor=Apart(1))
    assert measured == [1, 2, 4, 8, 9]
    values = {key: record["rows"][0]["value"] for key, record in records.items()}
    assert values == {key: record["rows"][0]["value"] for key, record in alone.items()}
    assert {k: r["files"] for k, r in records.items()} == {k: r["files"] for k, r in alone.items()}
    assert not any((tmp_path / "a" / "files").iterdir())
    assert store.file(key_of(plan, 1), "number.txt").read_text() == "1"
    assert "blobs" not in json.dumps(next(iter(records.values())))
    _, measured, _ = run(plan, tmp_path / "b", lab[0])
    assert measured == []


def test_a_place_apart_mends_a_damaged_file(plan, lab, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    node.shared_at.cache_clear()
    first, _, _ = run(plan, tmp_path / "a", lab[0], executor=Apart(1))
    (lab[1] / "cells" / f"{key_of(plan, 4)}.json").unlink()
    blob = blob_of(lab[1], first[key_of(plan, 1)])
    blob.write_text("x" * blob.stat().st_size)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "another"))
    records, measured, _ = run(plan, tmp_path / "b", lab[0], executor=Apart(1))
    assert measured == [1, 4] and {record["status"] for record in records.values()} == {"ok"}
    assert blob.read_text() == "1"


def test_half_done_work_moves_between_places(lab, world, tmp_path):
    shared = Shared.at(lab[0])
    one, two = world.local(tmp_path / "one"), world.local(tmp_path / "two")
    parts = one.partial(world.KEY) / "parts"
    parts.mkdir(parents=True)
    (parts / "00000000.safetensors").write_bytes(b"part")
    (parts / ".hidden").write_bytes(b"temporary")
    node.push_parts(shared, one, world.KEY, drop=True)
    assert not one.partial(world.KEY).exists()
    strange = lab[1] / "partial" / world.KEY / "a:b"
    strange.write_bytes(b"no plain name")
    node.pull_parts(shared, two, world.KEY)
    found = [path for path in two.partial(world.KEY).rglob("*") if path.is_file()]
    assert [path.name for path in found] == ["00000000.safetensors"]
    assert found[0].read_bytes() == b"part"
    shared.drop_parts(world.KEY)
    assert not [path for path in (lab[1] / "partial").rglob("*") if path.is_file()]


def test_a_place_apart_that_cannot_fetch_says_so(lab, world, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    node.shared_at.cache_clear()
    request = {
        "key": world.KEY, "keys": ["b" * 64], "store": "/far", "folder": "/far/work/x",
        "shared": lab[0], "device": "cpu",
    }  # fmt: skip
    answer = node.measured(request, lambda own: pytest.fail("it was begun"))
    assert answer["status"] == "failed" and "is not whole in file://" in answer["reason"]


def bench(*words):
    return run_command_line([str(word) for word in words])


@pytest.mark.slow
def test_from_the_command_line(toys, lab, tmp_path, capsys):
    words = ("run", "toys", "--json", "--store", lab[0])
    assert bench(*words, "--out", tmp_path / "a") == 0
    assert json.loads(capsys.readouterr().out)["measured"] == 5
    assert bench(*words, "--out", tmp_path / "b", "--dry-run") == 0
    assert {line["state"] for line in json.loads(capsys.readouterr().out)} == {"ok"}
    assert bench(*words, "--out", tmp_path / "b") == 0
    assert json.loads(capsys.readouterr().out)["measured"] == 0
    manifest = json.loads((tmp_path / "b" / "run.json").read_text())
    assert manifest["shared"] == lab[0]
    assert bench("check", tmp_path / "b") == 0
    assert f"not looked at, in {lab[0]}" in capsys.readouterr().out

    # A manifest alone is enough, where the address is named; check reads every file.
    (tmp_path / "c").mkdir()
    manifest_only = tmp_path / "c" / "run.json"
    manifest_only.write_bytes((tmp_path / "b" / "run.json").read_bytes())
    assert bench("check", tmp_path / "c") == 4
    assert bench("check", tmp_path / "c", "--store", lab[0]) == 0
    assert bench("report", tmp_path / "c") == 0


def test_a_store_that_cannot_be_written_leaves_results_local(
    toys, lab, tmp_path, capsys, monkeypatch
):
    from bench.shared.folder import Folder

    full = OSError(28, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(debts, "WAITS_S", (0.0,))
        patch.setattr(Folder, "_made", lambda self, name: (_ for _ in ()).throw(full))
        words = ("run", "toys", "--json", "--store", lab[0], "--out", tmp_path / "a")
        assert bench(*words) == 74
    told = capsys.readouterr()
    assert json.loads(told.out)["counts"] == {"ok": 5}
    assert "is full" in told.err and "stay local" in told.err
    assert (tmp_path / "a" / "report.html").exists()
    assert bench(*words) == 0
    assert json.loads(capsys.readouterr().out)["measured"] == 0
    assert len(list((lab[1] / "cells").iterdir())) == 5


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("nowhere", 2, "expected an address"),
        ("file:///no/such/mount/lab", 74, "mount it"),
        ("s3://bucket/a/../b", 2, "leads elsewhere"),
        ("s3://id:secret@bucket/x?token=secret", 2, "query"),
    ],
)
def test_a_bad_address_is_one_line_before_anything_is_measured(
    address, code, words, toys, tmp_path, capsys
):
    assert bench("run", "toys", "--out", tmp_path / "a", "--store", address) == code
    told = capsys.readouterr().err
    assert words in told and "secret" not in told and told.count("\n") == 1
    assert not (tmp_path / "a" / "cells").exists()


def test_offline_opens_no_store_elsewhere(toys, tmp_path, capsys):
    words = ("run", "toys", "--offline", "--out", tmp_path / "a", "--store", "s3://bucket/x")
    assert bench(*words) == 2
    assert "--offline allows none" in capsys.readouterr().err


def test_a_manifest_does_not_choose_where_is_written(toys, lab, tmp_path, capsys):
    assert bench("run", "toys", "--store", lab[0], "--out", tmp_path / "x" / "a") == 0
    path = tmp_path / "x" / "a" / "run.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "store": "../../elsewhere"}))
    assert bench("check", tmp_path / "x" / "a", "--store", lab[0]) == 2
    assert "not beside the run" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def test_a_cell_on_this_machine_gets_what_it_reads(lab, world, tmp_path):
    node.shared_at.cache_clear()
    first = world.local(tmp_path / "a")
    record = world.kept(first)
    shared = Shared.at(lab[0])
    shared.given(first, record, replace=False)
    plain = world.local(tmp_path / "b")
    request = {"store": str(plain.root), "keys": [world.KEY], "shared": lab[0]}
    node.pull_used(request)
    assert plain.file(world.KEY, "number.txt").read_text() == "one"
    blob_of(lab[1], record).unlink()
    node.pull_used(request)  # all is here: nothing is asked
    with pytest.raises(StorageError, match="is not whole in"):
        node.pull_used({**request, "store": str(world.local(tmp_path / "c").root)})
