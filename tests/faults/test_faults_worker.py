"""What plug-ins do to the talk between worker and runner: forks, floods, false answers."""

import threading
import time

import pytest

from bench.pool import Stopped, Worker
from bench.runner import Listener, Runner
from bench.store import Store


@pytest.fixture
def run(toys, plan_of, tmp_path):
    """Return what measures some cells and gives their records."""
    return lambda *cells, **settings: list(
        Runner(Store(tmp_path / "store"), **settings).run(plan_of(*cells)).values()
    )


def test_a_fork_that_returns_does_not_answer_for_other_cells(toys, run):
    first, second, third = run(toys.number(1, "fork"), toys.number(2), toys.number(3))
    assert [r["rows"][0]["value"] for r in (first, second, third)] == [1, 2, 3]


def test_a_crash_is_seen_though_a_fork_keeps_the_pipe_open(toys, run):
    started = time.monotonic()
    crashed, good = run(toys.number(1, "fork-and-crash"), toys.number(2))
    assert crashed["status"] == "crashed" and "SIGSEGV" in crashed["reason"]
    assert good["status"] == "ok"
    assert time.monotonic() - started < 15


def test_the_limit_holds_though_a_fork_left_the_session(toys, run):
    started = time.monotonic()
    (record,) = run(toys.number(1, "fork-away"), limit_s=2)
    assert record["status"] == "timeout"
    assert time.monotonic() - started < 10


def test_what_a_plugin_writes_everywhere_is_no_answer(toys, run):
    false, good = run(toys.number(1, "answer"), toys.number(2))
    assert false["status"] == "crashed"
    assert good["rows"][0]["value"] == 2


def test_what_a_cell_starts_can_be_ended_by_it(toys, run):
    (record,) = run(toys.number(1, "end-a-child"))
    assert record["status"] == "ok", record["reason"]


def test_a_pause_that_comes_before_the_process_is_heard(toys, plan_of, tmp_path):
    """The worker takes a moment to start; Ctrl-C does not wait for that."""
    planned = next(iter(plan_of(toys.steps(50, 0.1))))
    runner = Runner(Store(tmp_path / "store"))
    started = time.monotonic()

    class Asks(Listener):
        def started(self, planned):
            runner.wind_up()

    runner.listener = Asks()
    with pytest.raises(KeyboardInterrupt):
        runner.run(plan_of(planned.cell))
    assert time.monotonic() - started < 4


def test_a_closed_worker_starts_nothing(tmp_path):
    worker = Worker(tmp_path / "log")
    worker.close()
    with pytest.raises(Stopped):
        worker.run({"threads": 1, "limit_bytes": 2**40}, print, limit_s=1)


def test_a_listener_that_fails_loses_no_cell(toys, plan_of, tmp_path):
    class Fails(Listener):
        def started(self, planned):
            raise OSError("the terminal is gone")

        def finished(self, planned, record, measured):
            raise TypeError("a bug in a bar")

    records = Runner(Store(tmp_path / "store"), listener=Fails()).run(plan_of(toys.number(1)))
    assert {record["status"] for record in records.values()} == {"ok"}


def test_a_runner_runs_once(toys, plan_of, tmp_path):
    runner = Runner(Store(tmp_path / "store"))
    runner.run(plan_of(toys.number(1)))
    with pytest.raises(RuntimeError, match="once"):
        runner.run(plan_of(toys.number(1)))


@pytest.mark.slow
def test_a_fresh_run_that_was_interrupted_goes_on(toys, plan_of, tmp_path):
    store = Store(tmp_path / "store")
    plan = plan_of(*(toys.number(i) for i in range(6)))
    Runner(store).run(plan)
    again = []

    class StopsAtThree(Listener):
        def finished(self, planned, record, measured):
            again.append(planned.key)
            if len(again) == 3:
                threading.Thread(target=runner.wind_up).start()
                time.sleep(0.2)

    runner = Runner(store, fresh=True, listener=StopsAtThree())
    with pytest.raises(KeyboardInterrupt):
        runner.run(plan)
    before = len(again)
    assert 3 <= before < 6

    class Counts(Listener):
        def finished(self, planned, record, measured):
            again.extend([planned.key] if measured else [])

    Runner(store, fresh=True, listener=Counts()).run(plan)
    assert sorted(again) == sorted(planned.key for planned in plan)
    Runner(store, fresh=True, listener=Counts()).run(plan)
    assert len(again) == 12
