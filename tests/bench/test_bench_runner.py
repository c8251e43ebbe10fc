import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from filelock import FileLock
from rich.console import Console

from bench import runner
from bench.api import BenchError
from bench.budget import load_budget
from bench.locks import machine_lock
from bench.plan import make_plan, study_for
from bench.progress import Display
from bench.runner import Listener, Runner
from bench.store import Store


class Heard(Listener):
    def __init__(self):
        self.measured, self.spans = [], {}

    def started(self, planned):
        self.spans[planned.key] = [time.monotonic()]

    def finished(self, planned, record, measured):
        self.spans.setdefault(planned.key, [0.0]).append(time.monotonic())
        if measured:
            self.measured.append(planned.cell)


@pytest.fixture
def study():
    return study_for(load_budget("smoke"))


def run(plan, root, **settings):
    heard = Heard()
    records = Runner(Store(root), listener=heard, **settings).run(plan)
    return records, heard


def test_cells_get_what_they_use_and_nothing_is_measured_twice(toys, study, tmp_path):
    plan = make_plan(study, ["toys"])
    records, heard = run(plan, tmp_path / "store", workers=2)
    values = {record["label"]: [] for record in records.values()}
    for record in records.values():
        values[record["label"]].append(record["rows"][0]["value"])
    assert sorted(values["toy"]) == [1, 3, 8, 8, 9]
    assert len(heard.measured) == 5
    before = {p.name: p.read_bytes() for p in (tmp_path / "store" / "cells").iterdir()}
    again, heard = run(plan, tmp_path / "store")
    assert heard.measured == []
    assert again == records
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "store" / "cells").iterdir()}
    assert not any((tmp_path / "store" / "partial").iterdir())


def test_one_warm_worker_runs_all_cells(toys, study, tmp_path):
    records, _ = run(make_plan(study, ["toys"]), tmp_path / "store", workers=1)
    assert len({record["rows"][0]["pid"] for record in records.values()}) == 1
    assert os.getpid() not in {record["rows"][0]["pid"] for record in records.values()}


def test_a_timing_cell_runs_when_everything_else_is_done(toys, study, tmp_path):
    plan = make_plan(study, ["toys"])
    _, heard = run(plan, tmp_path / "store", workers=3)
    timing = [planned.key for planned in plan if planned.cell.timing]
    started = heard.spans[timing[0]][0]
    assert all(end <= started for key, (_, end) in heard.spans.items() if key not in timing)


def test_each_fault_ends_its_own_cell_only(toys, study, tmp_path):
    records, _ = run(make_plan(study, ["broken-toys"]), tmp_path / "store", workers=2)
    found = {
        r["spec"]["act"]: (r["status"], r["reason"]) for r in records.values() if r["spec"]["act"]
    }
    assert found["skip"] == ("skipped", "not here")
    assert found["invalid"] == ("invalid", "a NaN in image 3")
    assert found["bench-error"] == ("failed", "the folder is empty")
    assert found["bug"] == ("failed", "KeyError: 'typo'")
    assert found["exit"][0] == "crashed" and "exit code 3" in found["exit"][1]
    assert found["kill"][0] == "crashed" and "SIGKILL" in found["kill"][1]
    assert found["segfault"][0] == "crashed" and "SIGSEGV" in found["segfault"][1]
    assert found["memory"][0] == "oom"
    plain = {r["spec"]["number"]: r for r in records.values() if not r["spec"]["act"]}
    assert plain[100]["status"] == "skipped" and "which is failed" in plain[100]["reason"]
    assert plain[200]["status"] == "ok"


def test_faults_are_tried_again_but_rules_are_not(toys, study, tmp_path):
    plan = make_plan(study, ["broken-toys"])
    run(plan, tmp_path / "store", workers=2)
    _, heard = run(plan, tmp_path / "store", workers=2)
    acts = {cell.spec["act"] for cell in heard.measured}
    assert "bug" in acts and "segfault" in acts
    assert "invalid" not in acts and None not in acts


def test_a_cell_that_hangs_is_stopped_at_its_limit(toys, plan_of, tmp_path):
    plan = plan_of(toys.number(1, "sleep"), toys.number(2))
    started = time.monotonic()
    records, _ = run(plan, tmp_path / "store", workers=1, limit_s=3)
    assert time.monotonic() - started < 30
    found = {r["spec"]["number"]: r["status"] for r in records.values()}
    assert found == {1: "timeout", 2: "ok"}


def test_a_lost_file_is_made_again(toys, study, tmp_path):
    plan = make_plan(study, ["toys"])
    records, _ = run(plan, tmp_path / "store")
    key = next(key for key, record in records.items() if record["files"])
    (tmp_path / "store" / "files" / key / "number.txt").unlink()
    _, heard = run(plan, tmp_path / "store")
    assert len(heard.measured) == 1


def test_fresh_measures_everything_again(toys, study, tmp_path):
    plan = make_plan(study, ["toys"])
    run(plan, tmp_path / "store")
    _, heard = run(plan, tmp_path / "store", fresh=True)
    assert len(heard.measured) == len(plan)


def test_two_runs_over_one_store_share_the_work(toys, study, tmp_path):
    plan = make_plan(study, ["toys"])
    counts, results = [], []

    def one():
        records, heard = run(plan, tmp_path / "store", workers=1)
        results.append(records)
        counts.append(len(heard.measured))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == len(plan)
    assert results[0] == results[1]


def test_a_plan_of_nothing_is_refused(toys, study):
    with pytest.raises(BenchError, match="matches no cell"):
        make_plan(study, ["toys"], only="*no-such*")


def test_an_interrupted_run_leaves_no_process_and_no_false_record(toys, study, tmp_path):
    class Interrupts(Listener):
        def finished(self, planned, record, measured):
            raise KeyboardInterrupt

    plan = make_plan(study, ["toys"])
    store = Store(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        Runner(store, workers=2, listener=Interrupts()).run(plan)
    assert not psutil.Process().children(recursive=True)
    kept = [store.get(planned.key) for planned in plan]
    assert {record["status"] for record in kept if record} <= {"ok"}
    records, _ = run(plan, tmp_path / "store")
    assert {record["status"] for record in records.values()} == {"ok"}


def test_a_cell_that_waits_for_the_machine_can_be_called_off(toys, plan_of, tmp_path):
    plan = plan_of(toys.number(1))
    runner = Runner(Store(tmp_path / "store"))
    with machine_lock(alone=True), pytest.raises(KeyboardInterrupt):
        threading.Timer(0.5, runner.wind_up).start()
        runner.run(plan)


@pytest.mark.parametrize(
    ("timing", "alone", "said"),
    [
        (True, False, "until nothing else is measured on this machine, to go on with toy"),
        (False, True, "until another run's timing ends, to go on with toy"),
    ],
)
def test_who_waits_for_another_run_is_told_once(
    toys, plan_of, tmp_path, monkeypatch, timing, alone, said
):
    monkeypatch.setattr(runner, "TOLD_AFTER_S", 0.2)
    plan = plan_of(*[toys.number(number, timing=timing) for number in (1, 2)])
    screen = io.StringIO()
    with ThreadPoolExecutor() as threads, Display(Console(file=screen), plan) as display:
        with machine_lock(alone=alone):
            measuring = Runner(Store(tmp_path / "store"), workers=2, listener=display)
            future = threads.submit(measuring.run, plan)
            while "waiting" not in screen.getvalue():
                assert not future.done()
                time.sleep(0.05)
        records = future.result()
    assert {record["status"] for record in records.values()} == {"ok"}
    assert screen.getvalue().count("waiting") == 1
    assert screen.getvalue().startswith(f"waiting {said}")


def test_who_waits_for_a_cell_of_another_run_is_told_which(toys, plan_of, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "TOLD_AFTER_S", 0.2)
    plan, store, screen = plan_of(toys.number(1)), Store(tmp_path / "store"), io.StringIO()
    store.prepare()
    (planned,) = plan
    with ThreadPoolExecutor() as threads, Display(Console(file=screen), plan) as display:
        with FileLock(store.lock(planned.key)):
            future = threads.submit(Runner(store, listener=display).run, plan)
            while "waiting" not in screen.getvalue():
                assert not future.done()
                time.sleep(0.05)
        assert future.result()[planned.key]["status"] == "ok"
    assert screen.getvalue().count("waiting") == 1
    assert screen.getvalue().startswith("waiting for toy")
    assert "which another run is measuring here" in screen.getvalue()


def test_who_has_the_machine_hears_of_no_waiting(toys, plan_of, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "TOLD_AFTER_S", 0.0)
    plan, screen = plan_of(toys.number(1, timing=True)), io.StringIO()
    with Display(Console(file=screen), plan) as display:
        Runner(Store(tmp_path / "store"), listener=display).run(plan)
    assert "waiting" not in screen.getvalue()
