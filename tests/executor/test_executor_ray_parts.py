"""What the executor `ray` decides without Ray: needs, refusals, attempts, logs, the board."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import provenance, recovery
from bench.api import Cell
from bench.errors import BenchError, Missing, StorageError
from bench.executor import fitness, logs, ray_attempts, ray_cluster, ray_joined, ray_node
from bench.executor.board import END, GO_ON, PAUSE, Board
from bench.executor.needs import BESIDE_OTHERS, Needs, Offer, lacking
from bench.executor.ray import Ray
from bench.executor.ray_attempts import Attempts
from bench.executor.ray_cluster import Lost
from bench.executor.ray_nodes import Nodes
from bench.limits import GIB
from bench.pool import Stopped
from bench.store import Store

BIG = Offer("b", "big", cpus=16, gpus=4, memory_bytes=64 * GIB, timing=1)
SMALL = Offer("s", "small", cpus=2, gpus=0, memory_bytes=4 * GIB, timing=1)


# ------------------------------------------------------------------ needs


def test_a_timing_cell_needs_the_whole_node_and_a_quality_cell_next_to_none():
    cell = Cell("toy", {"number": 1})
    assert Needs.of(cell, device="cpu") == Needs(1, 0, 0, BESIDE_OTHERS)
    timing = Needs.of(Cell("toy", {"number": 1}, timing=True), device="cuda", memory_gib=2)
    assert timing == Needs(1, 1, 2 * GIB, 1.0)


def test_training_in_processes_needs_a_gpu_or_a_processor_for_each():
    cell = Cell("train", {"training": {"processes": 8}})
    assert Needs.of(cell, device="cuda") == Needs(8, 8, 0, BESIDE_OTHERS)
    assert Needs.of(cell, device="cpu") == Needs(8, 0, 0, BESIDE_OTHERS)
    taken = Cell("train", {**cell.spec, "checkpoint": {"name": "a/b", "sha256": "0" * 64}})
    assert Needs.of(taken, device="cuda") == Needs(1, 1, 0, BESIDE_OTHERS), "it is not trained"


def test_room_is_what_the_scarcest_need_leaves():
    assert BIG.room(Needs()) == 16
    assert BIG.room(Needs(gpus=1)) == 4
    assert BIG.room(Needs(memory_bytes=20 * GIB)) == 3
    assert BIG.room(Needs(timing=1.0)) == 1
    assert SMALL.room(Needs(gpus=1)) == 0
    assert Offer("x", "x", 4000, 0, 0, 1).room(Needs()) == 1000


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (Needs(), ""),
        (Needs(gpus=8), "needs 8 GPUs on one node, the most is 4"),
        (Needs(cpus=17), "needs 17 CPUs on one node, the most is 16"),
        (Needs(memory_bytes=65 * GIB), "needs 65.00 GiB of memory on one node, the most is 64.00"),
    ],
)
def test_what_no_node_has_is_named_with_the_most_that_there_is(needs, words):
    assert lacking(needs, [SMALL, BIG]).startswith(words)
    assert bool(lacking(needs, [SMALL, BIG])) == bool(words)


def test_needs_that_are_met_but_by_no_single_node_are_told_apart():
    gpu = Offer("g", "g", cpus=2, gpus=1, memory_bytes=GIB, timing=1)
    cpu = Offer("c", "c", cpus=8, gpus=0, memory_bytes=GIB, timing=1)
    assert lacking(Needs(cpus=4, gpus=1), [gpu, cpu]) == (
        "needs 4 CPUs, 1 GPU on one node, and no node has all of that"
    )


def test_a_cluster_without_the_resource_timing_says_how_to_offer_it():
    assert """--resources='{"timing": 1}'""" in lacking(Needs(), [Offer("x", "x", 4, 0, 0, 0)])


# ------------------------------------------------------------------ board and logs


def test_the_board_tells_an_attempt_that_nobody_waits_for_to_end():
    board = Board()
    assert board.beat("a", 0, 0) == GO_ON
    assert board.say(PAUSE) == {"a": (0, 0)}
    assert board.beat("b", 3, 9) == PAUSE
    board.end("a")
    assert board.beat("a", 1, 9) == END
    assert board.say(GO_ON) == {"b": (3, 9)}


@pytest.fixture
def beats(monkeypatch, tmp_path):
    """Return what begins to tell a board of an attempt, and what the board says: a list of one."""
    said = [GO_ON]
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda word, timeout: word))
    monkeypatch.setattr(ray_node, "_log_folder", lambda: tmp_path)
    monkeypatch.setattr(ray_node._Held, "worker", None)
    board = SimpleNamespace(beat=SimpleNamespace(remote=lambda *told: said[0]))
    return lambda attempt: ray_node.Beats(board, attempt), said


def test_a_late_beat_does_not_close_the_worker_of_the_next_cell(beats):
    begin, said = beats
    with begin("a") as first, ray_node._warm(1, first) as worker:
        pass
    said[0] = END  # nobody waits for that attempt any more, and its last beat hears so only now
    first.beat()
    assert not worker.is_closed
    said[0] = GO_ON
    with begin("b") as second, ray_node._warm(1, second) as warm:
        assert warm is worker


def test_a_worker_that_was_closed_is_replaced(beats):
    begin, _ = beats
    with begin("a") as first, ray_node._warm(1, first) as worker:
        worker.close()
    with begin("b") as second, ray_node._warm(1, second) as other:
        assert other is not worker and not other.is_closed


def test_a_log_comes_home_from_where_the_cell_began(tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("earlier cell\n")
    begun = logs.length(log)
    with log.open("a") as file:
        file.writelines(f"line {i}\n" for i in range(1000))
    told = logs.tail(log, begun).splitlines()
    assert told[-1] == "line 999" and len(told) == logs.MOST_LINES
    assert logs.tail(log, logs.length(log)) == ""
    log.write_text("begun anew\n")
    assert logs.tail(log, begun) == "begun anew\n"
    log.write_bytes(b"\xff" * 2**18 + b"\nend\n")
    assert logs.tail(log, 0) == "end\n"
    assert logs.tail(tmp_path / "none.log", 0) == ""


def test_the_reason_of_a_failed_cell_names_the_log_that_came_home(tmp_path):
    request = {"key": "ab" * 32, "store": str(tmp_path)}
    answer = {
        "status": "crashed", "reason": "the worker ended with SIGSEGV; see bench-1.log",
        "log": "Traceback\nboom\n", "log_name": "bench-1.log",
    }  # fmt: skip
    told = logs.brought_home(answer, request)
    assert told == {
        "status": "crashed",
        "reason": "the worker ended with SIGSEGV; see logs/abababababab.log",
    }
    assert (tmp_path / "logs" / "abababababab.log").read_text() == "Traceback\nboom\n"
    assert logs.brought_home({"status": "ok", "reason": ""}, request)["reason"] == ""


# ------------------------------------------------------------------ is a node fit?


def test_a_node_differs_where_code_or_deciding_versions_do():
    ours = {"python": "3.11", "versions": {"torch": "2.13", "numpy": "2.4"}, "code": "a" * 64}
    assert fitness.difference(ours, dict(ours)) == ""
    older = {**ours, "versions": {"torch": "2.12", "numpy": "2.4"}}
    assert fitness.difference(ours, older) == "it has torch 2.12, here is 2.13"
    assert "numpy not installed" in fitness.difference(
        ours, {**ours, "versions": {"torch": "2.13"}}
    )
    assert "digest bbbbbbbb, not aaaaaaaa" in fitness.difference(ours, {**ours, "code": "b" * 64})
    assert "Python 3.12" in fitness.difference(ours, {**ours, "python": "3.12"})


def test_a_clock_is_worth_a_word_beyond_what_the_way_explains():
    assert fitness.clock_note("n", 104.0, 100.0, 100.2) == ""
    assert fitness.clock_note("n", 111.0, 100.0, 114.0) == ""
    assert "is 10 s ahead of" in fitness.clock_note("n", 110.1, 100.0, 100.2)
    assert "is 60 s behind" in fitness.clock_note("n", 40.0, 100.0, 100.0)


def test_a_node_sees_the_store_by_its_token(tmp_path, monkeypatch):
    path, token = fitness.token_file(tmp_path)
    assert fitness.store_fault(str(path), token) == ""
    assert list(tmp_path.iterdir()) == [path]
    assert fitness.store_fault(str(path), "other") == "is another folder there"
    assert fitness.store_fault(str(tmp_path / "no" / path.name), token) == "is not there"

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert fitness.store_fault(str(path), token) == "cannot be written (No space left on device)"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_stale_is_judged_by_the_file_systems_clock(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.prepare()
    fresh = store.root / "cells" / ".0123456789abcdef.tmp"
    fresh.write_text("another run writes this now")
    old = store.root / "cells" / ".old.tmp"
    old.write_text("left behind")
    os.utime(old, (time.time() - 2 * recovery.STALE_S,) * 2)
    ahead = time.time() + 10 * recovery.STALE_S
    monkeypatch.setattr(time, "time", lambda: ahead)
    store.prepare()
    assert fresh.exists() and not old.exists()


# ------------------------------------------------------------------ refusals


def test_addresses_are_refused_in_one_line():
    with pytest.raises(BenchError, match="expected auto or HOST:PORT"):
        ray_joined.joined("nonsense")
    with pytest.raises(BenchError, match="expected auto or HOST:PORT"):
        ray_joined.joined("ray://127.0.0.1:10001")
    with pytest.raises(Missing, match=r"nothing answers at --address 127\.0\.0\.1:1 "):
        ray_joined.joined("127.0.0.1:1")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in (*ray_joined.OURS, *ray_joined.ALONE, "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    with pytest.raises(Missing, match=r"pip install 'missing-u-bench\[ray\]'") as refused:
        Ray.connected(None, 1)
    assert refused.value.exit_code == 69


def test_what_ray_refuses_is_told_in_one_line():
    versions = RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.52.0\n")
    told = ray_joined.refusal(versions, "the Ray cluster at h:1")
    assert "another version" in str(told) and "Ray: 2.52.0" in str(told) and told.exit_code == 2
    token = type("AuthenticationError", (Exception,), {})("no")
    assert "RAY_AUTH_TOKEN" in str(ray_joined.refusal(token, "it"))
    none = ConnectionError("Could not find any running Ray instance.")
    assert ray_joined.refusal(none, "it").exit_code == 69
    mute = ray_joined.refusal(ConnectionError("Failed to connect to Ray cluster at h:1"), "it")
    assert mute.exit_code == 2 and "RAY_AUTH_TOKEN" in str(mute)
    assert "\n" not in str(ray_joined.refusal(ValueError("a\nb"), "it"))


# ------------------------------------------------------------------ attempts, no cluster


class Pretended:
    """A cluster whose tasks end as they are told: an answer, or an exception."""

    own = True
    dashboard = ""
    cut_off = False

    def __init__(self, *outcomes, offers=(SMALL,)):
        self.outcomes, self.listed = list(outcomes), list(offers)
        self.begun, self.cancelled, self.ended = [], [], []

    def offers(self):
        return self.listed

    def is_cut_off(self, *, now=False):
        return self.cut_off

    def actor(self, kind):
        board = kind()
        board.end = self.ended.append
        return board

    def call(self, method, *told, patience_s=0):
        return method(*told)

    def tell(self, method, *told):
        method(*told)

    def begin(self, function, told, needs, nodes):
        self.begun.append((told[1], nodes))
        return self.outcomes.pop(0)

    def is_there(self, task, patience_s):
        if task == "waits":
            time.sleep(0.02)
        return task != "waits"

    def outcome(self, task):
        if isinstance(task, Exception):
            raise task
        return task

    def cancel(self, task):
        self.cancelled.append(task)

    def leave(self):
        pass


def attempts_on(cluster):
    attempts = Attempts(cluster, Nodes.of(cluster))
    attempts.begin()
    return attempts


@pytest.fixture
def request_(tmp_path):
    return {"key": "ab" * 32, "folder": str(tmp_path / "work"), "device": "cpu"}


def test_a_lost_task_is_begun_again_under_another_name_and_folder(request_):
    good = {"status": "ok", "reason": ""}
    cluster = Pretended(Lost("node died"), Lost("node died"), {"status": "lost"}, good)
    attempts = attempts_on(cluster)
    assert attempts.measured(request_, Needs(), lambda done, total: None) is good
    attempts.close()
    names = [name for name, _ in cluster.begun]
    assert len(set(names)) == 4 and names == cluster.ended
    assert {path.name for path in Path(request_["folder"]).iterdir()} == set(names)


def test_a_task_that_is_always_lost_is_a_crash_with_its_reason(request_):
    cluster = Pretended(*[Lost("NodeDiedError: n2")] * ray_attempts.ATTEMPTS)
    attempts = attempts_on(cluster)
    answer = attempts.measured(request_, Needs(), lambda done, total: None)
    attempts.close()
    assert answer["status"] == "crashed"
    assert answer["reason"].startswith("lost 4 times") and "NodeDiedError: n2" in answer["reason"]


def test_a_waiting_task_whose_nodes_are_gone_is_begun_on_those_that_are_left(request_):
    good = {"status": "ok"}
    cluster = Pretended("waits", good)
    attempts = attempts_on(cluster)
    attempts.nodes._facts["n"] = attempts.nodes._facts["s"]
    other = Offer("n", "new", 2, 0, GIB, 1)
    threading.Timer(0.1, lambda: setattr(attempts.nodes, "_alive", [other])).start()
    assert attempts.measured(request_, Needs(), lambda done, total: None) is good
    attempts.close()
    assert cluster.cancelled == ["waits"]
    assert [nodes for _, nodes in cluster.begun] == [["s"], ["n"]]


def test_a_run_that_is_being_stopped_begins_nothing_again(request_):
    cluster = Pretended(Lost("killed by us"))
    attempts = attempts_on(cluster)
    attempts.pause()
    with pytest.raises(Stopped):
        attempts.measured(request_, Needs(), lambda done, total: None)
    attempts.close()
    assert not cluster.begun


def test_a_cell_for_which_no_node_is_left_is_said_to_be_so(request_, monkeypatch):
    monkeypatch.setattr(ray_attempts, "PATIENCE_S", 0.0)
    attempts = attempts_on(Pretended())
    gpu = Needs(gpus=1)
    answer = attempts.measured(request_, gpu, lambda done, total: None)
    attempts.close()
    assert answer["status"] == "crashed" and "no node is left for it" in answer["reason"]


def test_a_plan_is_refused_for_a_cell_that_no_node_could_measure(toys, plan_of, tmp_path):
    place = Ray(cluster := Pretended(), Nodes.of(cluster))
    plan = plan_of(toys.number(1), Cell("toy", {"number": 2, "training": {"processes": 8}}))
    store = Store(tmp_path)
    store.prepare()
    with pytest.raises(BenchError, match=r"'toy.*' needs 8 CPUs on one node, the most is 2"):
        place.prepare(plan, store)
    with pytest.raises(
        BenchError, match=r"needs 5\.00 GiB of memory on one node, the most is 4\.00"
    ):
        place.prepare(plan_of(toys.number(1)), store, memory_gib=5)
    with pytest.raises(BenchError, match="no node of the cluster has a GPU"):
        place.device("cuda")
    assert place.device("auto") == "cpu" and place.seats == 2 and place.timing_seats == 1
    place.release()


def test_a_store_that_a_node_cannot_use_is_refused(toys, plan_of, tmp_path):
    cluster = Pretended()
    place = Ray(cluster, Nodes.of(cluster))
    cluster.own = False
    place._nodes.asked = lambda function, *told: [("small", "is not there")]
    store = Store(tmp_path)
    store.prepare()
    with pytest.raises(StorageError, match="is not there, on node small") as refused:
        place.prepare(plan_of(toys.number(1)), store)
    assert refused.value.exit_code == 74
    assert not list(tmp_path.glob(".*.tmp"))
    place.release()


def test_timings_go_to_machines_like_this_one_or_else_to_the_first_kind(monkeypatch):
    ours, other = provenance.machine(), {"cpu": "A", "gpu": ["H"]}
    cluster = Pretended(offers=[SMALL, BIG])
    nodes = Nodes.of(cluster)
    nodes._facts = {"s": {"machine": {"cpu": "B"}}, "b": {"machine": ours}}
    assert nodes.timed_on(Needs(timing=1.0)) == ours
    assert [offer.node for offer in nodes.for_timing(Needs(timing=1.0))] == ["b"]
    nodes = Nodes.of(cluster)
    nodes._facts = {"s": {"machine": {"cpu": "B"}}, "b": {"machine": other}}
    assert nodes.timed_on(Needs(timing=1.0)) == other
    assert [offer.node for offer in nodes.for_timing(Needs(timing=1.0))] == ["b"]


def test_local_runs_and_a_node_before_its_cells_import_neither_ray_nor_torch():
    code = (
        "import sys, bench.runner, bench.executor.local, bench.executor.ray, "
        "bench.executor.ray_node, bench.executor.fitness;"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    node = "import sys, bench.executor.ray_node; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", node], check=True, timeout=60)
    home = Path(ray_cluster.__file__).parent
    named = {path.name for path in home.glob("*.py") if "import ray\n" in path.read_text()}
    assert named == {"ray_joined.py", "ray_node.py"}
