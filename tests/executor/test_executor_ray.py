"""The executor `ray` on a real cluster: two nodes of this machine, and one that a run starts."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
import ray_places

from bench.executor.local import Local
from bench.registry import HOME
from bench.runner import Listener, Runner
from bench.store import Store


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Refuse what leaves this machine; Ray's nodes meet at its own address, which it looks up."""
    connect = socket.socket.connect

    def guarded(self, address):
        own = {found.address for each in psutil.net_if_addrs().values() for found in each}
        if self.type & socket.SOCK_DGRAM or self.family == socket.AF_UNIX or address[0] in own:
            return connect(self, address)
        raise AssertionError(f"a test opened a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with ray_places.places(1, 1, folder=tmp_path_factory.mktemp("ray")) as cluster:
        yield cluster


def connected(cluster):
    from bench.executor.ray import Ray

    return Ray.connected(cluster.address, 1)


def plain(records):
    """Return what must not depend on where a cell was measured."""
    return {
        key: (record["status"], record["files"], [row.get("value") for row in record["rows"]])
        for key, record in records.items()
    }


class Heard(Listener):
    def __init__(self):
        self.places, self.begun = [], threading.Event()

    def advanced(self, planned, done, total):
        self.places.append((planned.key, done, total))
        self.begun.set()


def test_two_nodes_measure_what_this_machine_does_and_bring_logs_home(
    toys, plan_of, cluster, tmp_path
):
    first = toys.number(1)
    cells = [first, toys.number(2, uses=[first]), toys.number(3, "bug"), toys.number(4, "segfault")]
    cells += [toys.number(5, "memory"), toys.number(9, timing=True)]
    here = Runner(Store(tmp_path / "here"), executor=Local(2)).run(plan_of(*cells))
    place = connected(cluster)
    assert place.seats == 2 and place.timing_seats == 2
    (line,) = place.words()
    assert line.startswith("--executor ray: 2 nodes, 2 CPUs, 0 GPUs, dashboard off; timings on 2")
    store = Store(tmp_path / "there")
    there = Runner(store, executor=place).run(plan_of(*cells))
    assert plain(there) == plain(here)
    for record in there.values():
        assert record["made"]["node"] == socket.gethostname()
        assert record["made"]["machine"] == here[record["key"]]["made"]["machine"]
    (bug,) = (record for record in there.values() if record["status"] == "failed")
    name = re.fullmatch(r"KeyError: 'typo'; see logs/(\w{12}\.log)", bug["reason"])[1]
    assert "KeyError: 'typo'" in (store.root / "logs" / name).read_text()
    (crash,) = (record for record in there.values() if record["status"] == "crashed")
    assert "SIGSEGV" in crash["reason"] and "bench-" not in crash["reason"]
    assert not list((store.root / "work").iterdir())


@pytest.mark.slow
def test_a_run_that_winds_up_keeps_the_place_of_cells_on_nodes(toys, plan_of, cluster, tmp_path):
    store, heard = Store(tmp_path), Heard()
    plan = plan_of(*(toys.steps(100, 0.1 + i / 1e4) for i in range(3)))
    runner = Runner(store, executor=connected(cluster), listener=heard)
    threading.Thread(target=lambda: (heard.begun.wait(60), runner.wind_up()), daemon=True).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        runner.run(plan)
    assert time.monotonic() - started < 30
    assert not list((store.root / "cells").iterdir())
    kept = [len(path.read_text()) for path in (store.root / "partial").glob("*/steps.txt")]
    assert len(kept) == 2 and all(0 < steps < 100 for steps in kept)
    assert not workers_of(store)


def workers_of(store):
    """Return the processes of a run that live on."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                if str(store.root) in " ".join(process.environ().values()):
                    found.append(process)
        except psutil.Error:
            continue
    return found


def command(tmp_path, *words):
    ray_places.prepare_environment()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ray_places.PLUGIN),
        "MARK": str(tmp_path),
        "BENCH_TOY_LEDGER": str(tmp_path / "ledger"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "run", *words, "--out", str(tmp_path / "out"), "--executor",
         "ray"],
        cwd=HOME, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def until(condition, patience_s=120.0):
    late = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < late
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_a_run_that_started_its_own_ray(toys, tmp_path, how):
    pytest.importorskip("ray", reason="Ray is not installed")
    process = command(tmp_path, "hanging-toys" if how == signal.SIGKILL else "long-toys")
    store = Store(tmp_path)

    def measures():
        return any("bench.worker" in found.cmdline() for found in workers_of(store))

    until(measures)
    time.sleep(1.5)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as Ctrl-C in a terminal
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 130, said
        partial = list((tmp_path / "out" / "partial").glob("*/steps.txt"))
        assert partial and all(len(path.read_text()) for path in partial)
    else:
        process.kill()
        process.wait()
    late = time.monotonic() + 40
    while left := workers_of(store):
        assert time.monotonic() < late, [found.cmdline() for found in left]
        time.sleep(0.2)


@pytest.mark.slow
def test_a_run_survives_the_death_of_a_node(toys, plan_of, tmp_path, capfd):
    with ray_places.places(1, 1, folder=tmp_path / "ray") as cluster:
        store, heard = Store(tmp_path / "store"), Heard()
        plan = plan_of(*(toys.steps(10, 0.1 + i / 1e4) for i in range(16)))

        def kill():
            heard.begun.wait(60)
            time.sleep(2)
            cluster.kill(1)

        threading.Thread(target=kill, daemon=True).start()
        records = Runner(store, executor=connected(cluster), listener=heard).run(plan)
    assert {record["status"] for record in records.values()} == {"ok"}
    assert {path.stem for path in (store.root / "cells").iterdir()} == {p.key for p in plan}
    assert not list((store.root / "work").iterdir())
    assert not list((store.root / "partial").iterdir())
    said = capfd.readouterr()
    assert said.out == "" and "is gone; its cells begin again on another" in said.err


@pytest.mark.slow
@pytest.mark.parametrize("alone", [True, False])
def test_a_run_ends_soon_where_the_node_that_it_is_attached_to_dies(toys, tmp_path, alone):
    with ray_places.places(2, folder=tmp_path / "ray") as cluster:
        process = command(tmp_path, "hanging-toys", "--address", cluster.address)
        until(lambda: process.poll() is not None or list(tmp_path.glob("out/work/*/*")))
        time.sleep(3)
        cluster.kill(0, alone=alone)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 69 and "Traceback" not in said, said
    (line,) = (line for line in said.splitlines() if "the Ray node of this machine is gone" in line)
    assert line.endswith("the same command goes on")
    assert not list((tmp_path / "out" / "cells").glob("*"))


@pytest.mark.slow
def test_a_node_that_cannot_see_the_store_or_has_another_token_is_refused(
    toys, plan_of, cluster, tmp_path
):
    process = command(tmp_path, "toys", "--address", cluster.address)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    os.environ["RAY_AUTH_TOKEN"], right = "0" * 64, os.environ["RAY_AUTH_TOKEN"]
    try:
        process = command(tmp_path, "toys", "--address", cluster.address)
    finally:
        os.environ["RAY_AUTH_TOKEN"] = right
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 2 and "RAY_AUTH_TOKEN" in said, said
    assert "Traceback" not in said
