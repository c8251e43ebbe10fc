"""What the executor `ray` does where its own node dies, or others are not fit; no cluster."""

import contextlib
import socket
import threading
import time

import pytest
from test_executor_ray_parts import SMALL, Pretended, attempts_on

from bench.errors import BenchError, StorageError
from bench.executor import fitness, ray_attempts, ray_node
from bench.executor.board import PAUSE
from bench.executor.needs import Needs, Offer
from bench.executor.ray_cluster import Cluster, Lost
from bench.executor.ray_home import Home
from bench.limits import GIB
from bench.pool import Stopped

OTHER = Offer("o", "other", cpus=2, gpus=0, memory_bytes=4 * GIB, timing=1)


def silent(done, total):
    """Progress that nobody hears."""


@pytest.fixture
def request_(tmp_path):
    return {"key": "ab" * 32, "folder": str(tmp_path / "work"), "device": "cpu"}


# ------------------------------------------------------------------ this machine's node


def test_a_node_is_gone_once_its_port_is_closed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        home = Home(*server.getsockname())
        assert not home.is_gone() and not home.is_gone(now=True)
    assert not home.is_gone()  # asked a moment ago
    assert home.is_gone(now=True) and home.is_gone()


def test_nothing_is_asked_of_ray_once_this_machines_node_is_gone():
    class Method:
        def remote(self, *told):
            raise AssertionError("asked")

    class Dead:
        def cancel(self, task, force):
            raise AssertionError("asked")

        def shutdown(self):
            self.shut = True

    with socket.create_server(("127.0.0.1", 0)) as server:
        home = Home(*server.getsockname())
    cluster = Cluster(dead := Dead(), "", home=home)
    assert cluster.is_cut_off()
    assert cluster.call(Method()) is None
    cluster.tell(Method())
    cluster.cancel("task")
    cluster.leave()
    assert dead.shut


@pytest.mark.parametrize("fate", ["waits", Lost("NodeDiedError")])
def test_a_run_whose_own_node_is_gone_ends_and_records_no_crash(request_, fate):
    cluster = Pretended(fate)
    attempts = attempts_on(cluster)
    cluster.cut_off = True
    with pytest.raises(
        BenchError, match=r"the Ray node of this machine is gone; .* goes on"
    ) as end:
        attempts.measured(request_, Needs(), silent)
    attempts.close()
    assert end.value.exit_code == 69 and len(cluster.begun) == 1


def test_a_run_without_any_node_ends_and_records_no_crash(request_, monkeypatch):
    monkeypatch.setattr(ray_attempts, "PATIENCE_S", 0.0)
    attempts = attempts_on(Pretended())
    attempts.nodes._alive = []
    with pytest.raises(BenchError, match=r"no node of the cluster is left; .* goes on") as end:
        attempts.measured(request_, Needs(), silent)
    attempts.close()
    assert end.value.exit_code == 69


# ------------------------------------------------------------------ nodes that are not fit


def test_a_node_that_is_not_fit_is_left_out_and_its_cell_measured_by_another(request_, capsys):
    good = {"status": "ok"}
    unfit = {"status": ray_node.LOST, ray_node.UNFIT: "it has a bad lock file", "node": "o"}
    cluster = Pretended(unfit, good, offers=[OTHER, SMALL])
    attempts = attempts_on(cluster)
    assert attempts.measured(request_, Needs(), silent) is good
    attempts.close()
    assert [nodes for _, nodes in cluster.begun] == [["o", "s"], ["s"]]
    assert "node other gets no more cells: it has a bad lock file" in capsys.readouterr().err


def test_a_run_ends_where_the_last_node_is_not_fit(request_):
    unfit = {"status": ray_node.LOST, ray_node.UNFIT: "cannot write /x", "node": "s"}
    attempts = attempts_on(Pretended(unfit))
    with pytest.raises(StorageError, match=r"no node .* is left .*node small: cannot write /x"):
        attempts.measured(request_, Needs(), silent)
    attempts.close()


@pytest.fixture
def alone(monkeypatch):
    """A node's part of an attempt, without Ray."""
    monkeypatch.setattr(ray_node.Beats, "beat", lambda self: None)
    monkeypatch.setattr(ray_node, "_node", lambda: "n")
    monkeypatch.setattr(ray_node, "machine_lock", lambda **how: contextlib.nullcontext())
    monkeypatch.setattr(ray_node, "SEEN_S", 0.0)


def test_a_node_that_does_not_see_the_store_makes_none_and_says_so(alone, tmp_path):
    store = tmp_path / "mount" / "out"
    request = {"store": str(store), "folder": str(store / "work" / "k"), "alone": False}
    answer = ray_node.measure(request, "a", None, {})
    assert answer["status"] == ray_node.LOST and answer["node"] == "n"
    assert "does not see the run's folder" in answer[ray_node.UNFIT]
    assert not list(tmp_path.iterdir())


def test_a_cells_folder_that_was_dropped_is_no_fault_of_the_node(alone, tmp_path):
    request = {"store": str(tmp_path), "folder": str(tmp_path / "work" / "k"), "alone": False}
    with pytest.raises(FileNotFoundError):
        ray_node.measure(request, "a", None, {})


def test_a_node_that_joins_late_must_see_the_store(tmp_path, capsys):
    cluster = Pretended()
    nodes = attempts_on(cluster).nodes
    nodes.store, nodes._alive = tmp_path, [SMALL, OTHER, Offer("f", "fine", 1, 0, GIB, 1)]
    asked = []

    def ask(function, node, *told):
        asked.append((function, node))
        if function is fitness.facts:
            return nodes._ours
        return "is not there" if node == "o" else function(*told)

    cluster.ask, cluster.answer = ask, lambda task: task
    nodes._ours = {"python": "3.11", "versions": {}, "code": "a" * 64}
    nodes._look_at_new()
    assert [offer.node for offer in nodes.fit()] == ["s", "f"]
    assert (
        f"node other joined and gets no cells: {tmp_path} is not there" in capsys.readouterr().err
    )
    assert (fitness.store_fault, "f") in asked and not list(tmp_path.iterdir())


# ------------------------------------------------------------------ pausing


def test_cells_that_have_begun_are_not_cancelled_where_the_board_is_silent(request_):
    cluster = Pretended("waits", "waits")
    attempts = attempts_on(cluster)

    def measured():
        with contextlib.suppress(Stopped):
            attempts.measured(request_, Needs(), silent)

    threads = [threading.Thread(target=measured) for _ in range(2)]
    for thread in threads:
        thread.start()
    late = time.monotonic() + 10
    while len(attempts._at_hand) < 2 and time.monotonic() < late:
        time.sleep(0.01)
    first, second = attempts._at_hand.values()
    first.task, second.task = ["begun"], ["waits"]
    cluster.is_there = lambda task, patience_s: time.sleep(0.02)
    cluster.call = lambda method, *told, patience_s=0: None
    first.advance(0, 0)
    attempts.pause()
    assert cluster.cancelled == [["waits"]] and attempts._word == PAUSE
    attempts.close()
    for thread in threads:
        thread.join(10)
