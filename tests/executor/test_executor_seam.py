"""Any executor will do: one that measures in threads of this process, and counts what it gives."""

import contextlib
import threading
import time
from pathlib import Path

import pytest

from bench import provenance
from bench.cli import run_command_line
from bench.errors import BenchError
from bench.executor.local import Local
from bench.executor.opened import opened
from bench.pool import Stopped
from bench.runner import Runner
from bench.settling import Limits, Settler
from bench.store import Store


class Threads:
    """Answers at once, with the number of cells that are measured beside."""

    def __init__(self, seats, timing_seats=1, refuses=""):
        self.seats, self.timing_seats, self.refuses = seats, timing_seats, refuses
        self.most = {True: 0, False: 0}
        self.calls = []
        self._now = {True: 0, False: 0}
        self._lock = threading.Lock()

    def prepare(self, plan, store, *, memory_gib=None):
        self.calls.append("prepare")
        if self.refuses:
            raise BenchError(self.refuses)

    @contextlib.contextmanager
    def seat(self, planned, go_on):
        alone = planned.cell.timing
        with self._lock:
            self._now[alone] += 1
            self.most[alone] = max(self.most[alone], self._now[alone])
            assert not (self._now[True] and self._now[False])
        yield self
        with self._lock:
            self._now[alone] -= 1

    def run(self, request, progress):
        time.sleep(0.02)
        value = request["cell"][-1]["spec"]["number"]
        folder = Path(request["folder"]) / "attempt-1"
        folder.mkdir()
        (folder / "made.txt").write_text(str(value))
        return {
            "status": "ok", "reason": "", "rows": [{"value": value}],
            "files": {"made.txt": str(folder / "made.txt")}, "folder": str(folder),
            "made": {**provenance.made("cpu", 7.5), "machine": {"cpu": "elsewhere"}},
        }  # fmt: skip

    def wind_up(self):
        self.calls.append("wind_up")

    def close(self):
        self.calls.append("close")

    def release(self):
        self.calls.append("release")


@pytest.mark.parametrize("seats", [1, 3])
def test_no_more_cells_at_once_than_seats_and_timings_beside_nothing(
    toys, plan_of, seats, tmp_path
):
    place = Threads(seats, timing_seats=2)
    cells = [toys.number(i) for i in range(8)] + [
        toys.number(100 + i, timing=True) for i in range(4)
    ]
    store = Store(tmp_path)
    records = Runner(store, executor=place).run(plan_of(*cells))
    assert {r["status"] for r in records.values()} == {"ok"}
    assert place.most == {False: seats, True: 2}
    assert place.calls[0] == "prepare" and place.calls[-1] == "release"


def test_a_record_says_where_the_cell_was_measured_and_keeps_the_attempts_files(
    toys, plan_of, tmp_path
):
    store = Store(tmp_path)
    plan = plan_of(toys.number(3))
    ((key, record),) = Runner(store, executor=Threads(1)).run(plan).items()
    assert record["made"]["machine"] == {"cpu": "elsewhere"}
    assert record["made"]["seconds"] == 7.5
    assert store.file(key, "made.txt").read_text() == "3"
    assert not store.work(key).exists()


def test_a_plan_that_no_place_can_measure_is_refused_before_anything_begins(
    toys, plan_of, tmp_path
):
    place = Threads(1, refuses="'toy' needs 8 GPUs, the most is 0")
    with pytest.raises(BenchError, match="needs 8 GPUs"):
        Runner(Store(tmp_path), executor=place).run(plan_of(toys.number(1)))
    assert place.calls[-1] == "release"
    assert not any((tmp_path / "cells").iterdir())


def test_what_the_executor_itself_fails_at_ends_the_run_and_frees_it(toys, plan_of, tmp_path):
    class Broken(Threads):
        def run(self, request, progress):
            raise Stopped("closed by somebody else")

    place = Broken(2)
    with pytest.raises(Stopped):
        Runner(Store(tmp_path), executor=place).run(plan_of(toys.number(1)))
    assert place.calls[-2:] == ["close", "release"]


@pytest.mark.parametrize("status", ["crashed", "oom"])
def test_a_worker_that_the_run_ended_is_no_fault_of_the_cell(toys, plan_of, tmp_path, status):
    ended = threading.Event()

    def go_on():
        if ended.is_set():
            raise Stopped("the run is being stopped")

    class Ended(Threads):
        def run(self, request, progress):
            ended.set()
            made = provenance.made("cpu", 1.0)
            fault = {"status": status, "reason": "killed", "rows": [], "files": {}, "made": made}
            return {**fault, "folder": request["folder"]}

    (planned,), place, store = plan_of(toys.number(1)), Ended(1), Store(tmp_path)
    store.prepare()
    settler = Settler(
        store, "cpu", Limits(9.0, None), None, frozenset(), go_on, lambda planned: go_on
    )
    with pytest.raises(Stopped):
        settler.settle(planned, {}, lambda: place.seat(planned, go_on), lambda done, total: None)
    assert store.get(planned.key) is None


def test_an_address_without_a_cluster_is_one_line(capsys, tmp_path):
    words = ["run", "table5", "--address", "10.0.0.1:6379", "--out", str(tmp_path / "out")]
    assert run_command_line(words) == 2
    assert "--address belongs to --executor ray" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_local_is_what_opens_without_a_word():
    with opened("local", None, 3) as place:
        assert isinstance(place, Local)
        assert (place.seats, place.timing_seats) == (3, 1)
        assert place.machine() == provenance.machine()
