"""Whatever a cell does to its process ends that cell, with the right word for it, and no other."""

import os
import subprocess
import threading
import time

import psutil
import pytest
import torch

from bench import leftovers, limits, process_state
from bench.limits import GIB, MIB, Watch, machine_memory, memory_limit
from bench.process_state import Changes, preserved
from bench.runner import Runner
from bench.store import Store

EXPECTED = {
    "exit-at-once": ("crashed", "exit code 0"),
    "abort": ("crashed", "SIGABRT"),
    "segfault": ("crashed", "SIGSEGV"),
    "kill": ("crashed", "SIGKILL"),
    "close-all": ("crashed", "the worker ended with exit code"),
    "interrupt": ("failed", "KeyboardInterrupt"),
    "pause": ("failed", "nobody had asked"),
    "remove-directory": ("ok", ""),
    "change-everything": ("ok", ""),
    "leave-a-thread": ("ok", ""),
    "read-orders": ("ok", ""),
    "escape": ("failed", "red"),
}


@pytest.fixture
def run(toys, plan_of, tmp_path):
    """Return what measures some cells and gives their records."""
    return lambda *cells, **settings: list(
        Runner(Store(tmp_path / "store"), **settings).run(plan_of(*cells)).values()
    )


def test_every_fault_has_its_word_and_the_next_cell_runs(toys, run):
    cells = []
    for i, act in enumerate(EXPECTED):
        cells += [toys.number(i, act), toys.number(100 + i)]
    records = run(*cells, workers=2)
    found = {r["spec"]["act"]: r for r in records if r["spec"]["act"]}
    for act, (status, words) in EXPECTED.items():
        assert found[act]["status"] == status, (act, found[act]["reason"])
        assert words in found[act]["reason"], act
        assert found[act]["reason"].isprintable()
    assert {r["status"] for r in records if not r["spec"]["act"]} == {"ok"}


def test_what_a_cell_changes_is_put_back_and_told(toys, run):
    records = run(toys.number(1, "change-everything"), toys.number(2, "read-orders"))
    changed = next(r for r in records if r["spec"]["act"] == "change-everything")
    assert changed["side_effects"] == [
        "environment", "import path", "recursion limit", "signal handlers", "standard streams",
        "umask", "working directory",
    ]  # fmt: skip


def test_a_clean_cell_tells_no_side_effects(toys, run):
    (record,) = run(toys.number(1))
    assert "side_effects" not in record


LEFT_BEHIND = {
    "set-timers": ["signal mask", "timers"],
    "close-output": ["standard files"],
    "replace-output": ["standard files"],
    "break-names": ["environment", "import path"],
    "set-limits": ["resource limits"],
    "be-nice": ["priority"],
    "choose-cores": ["processor cores"],
    "change-torch": ["default device", "default dtype"],
    "keep-a-child": ["running children"],
    "keep-a-daemon": ["running threads"],
}
LASTING = {
    "standard files", "priority", "processor cores", "running children", "running threads",
}  # fmt: skip


@pytest.mark.slow
def test_what_a_cell_leaves_behind_does_not_reach_the_next(toys, run):
    acts = dict(LEFT_BEHIND)
    if len(os.sched_getaffinity(0)) < 2:
        del acts["choose-cores"]
    cells = []
    for i, act in enumerate(acts):
        rest = "rest" if act == "set-timers" else None  # long enough to be struck
        cells += [toys.number(i, act), toys.number(100 + i, rest)]
    records = run(*cells)
    for (act, told), culprit, victim in zip(acts.items(), records[::2], records[1::2], strict=True):
        assert (culprit["spec"]["act"], culprit["status"]) == (act, "ok"), culprit["reason"]
        assert culprit["side_effects"] == told
        assert victim["status"] == "ok" and "side_effects" not in victim, (act, victim)
        goes_on = culprit["rows"][0]["pid"] == victim["rows"][0]["pid"]
        assert goes_on is not bool(LASTING & set(told)), act


def test_memory_that_a_cell_keeps_is_told_and_what_it_lets_go_is_not():
    leftovers.kept_bytes(0, 0)  # give back what earlier tests freed: the cells would reuse it
    process_state._bytes_at_first_cell.cache_clear()
    kept, freed = Changes(), Changes()
    with preserved(freed, spare_bytes=64 * MIB):
        ring = [b"x" * (128 * MIB)]
        ring.append(ring)  # only the garbage collector frees it
        del ring
    with preserved(kept, spare_bytes=64 * MIB):
        held = b"x" * (128 * MIB)
    assert (freed.lasting, kept.lasting) == ([], ["memory"])
    del held
    process_state._bytes_at_first_cell.cache_clear()


def test_a_child_of_an_earlier_cell_is_no_news_and_neither_is_one_that_ended():
    with subprocess.Popen(["sleep", "600"]) as warm:
        changes = Changes()
        with preserved(changes):
            ended = subprocess.Popen(["true"])
            os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        warm.kill()
    ended.wait()
    assert (changes.restored, changes.lasting) == ([], [])


def test_a_part_that_cannot_be_put_back_stops_no_other(monkeypatch):
    def refuses(value):
        raise OSError("no")

    state = {"a": 1, "b": 1, "c": 1}
    parts = {
        "a": (lambda: state["a"], refuses),
        "b": (lambda: 1 / state["b"], lambda value: None),
        "c": (lambda: state["c"], lambda value: state.update(c=value)),
    }
    monkeypatch.setattr(process_state, "_parts", lambda: parts)
    changes = Changes()
    with preserved(changes):
        state.update(a=2, b=0, c=2)
    assert (changes.restored, changes.lasting) == (["c"], ["a", "b"])
    assert state["c"] == 1


def test_looking_at_the_process_takes_no_time():
    def seconds():
        begun = time.perf_counter()
        with preserved(Changes()):
            pass
        return time.perf_counter() - begun

    assert min(seconds() for _ in range(20)) < 0.005


def test_training_a_network_leaves_nothing_behind():
    changes = Changes()
    with preserved(changes):
        network = torch.nn.Conv2d(3, 8, 3)
        step = torch.optim.Adam(network.parameters())
        network(torch.rand(8, 3, 32, 32)).square().mean().backward()
        step.step()
    assert changes == Changes()


@pytest.mark.slow
def test_shared_generators_give_the_same_numbers_cold_and_warm(toys, plan_of, tmp_path):
    """Cold: the cell itself imports torch. Warm: an earlier cell did."""

    def rows(place, *cells):
        records = Runner(Store(tmp_path / place)).run(plan_of(*cells)).values()
        return [record["rows"][0] for record in records]

    (cold,) = rows("cold", toys.draws(1))
    other, warm = rows("warm", toys.draws(2), toys.draws(1))
    assert (cold["warm"], other["warm"], warm["warm"]) == (False, False, True)
    assert cold["drawn"] == warm["drawn"]
    assert all(a != b for a, b in zip(warm["drawn"], other["drawn"], strict=True))


def test_a_thread_that_stays_costs_the_worker_its_place(toys, run):
    records = run(toys.number(1), toys.number(2, "leave-a-thread"), toys.number(3))
    one, two, three = (record["rows"][0]["pid"] for record in records)
    assert one == two != three


def test_a_cell_that_ignores_every_request_to_end_is_ended(toys, run):
    started = time.monotonic()
    records = run(toys.number(1, "hang"), limit_s=2)
    assert {r["status"] for r in records} == {"timeout"}
    assert time.monotonic() - started < 10


def test_a_cell_that_holds_too_much_is_ended_and_told_how_much(toys, run):
    (record,) = run(toys.number(1, "hoard"), memory_gib=0.5)
    assert record["status"] == "oom"
    assert "its limit is 0.50 GiB" in record["reason"]
    assert record["made"]["peak_rss_mib"] > 500


@pytest.mark.slow
def test_memory_that_processes_share_counts_once(toys, run):
    (record,) = run(toys.number(1, "share-memory"), memory_gib=0.8)
    assert record["status"] == "ok", record["reason"]
    assert 300 < record["made"]["peak_rss_mib"] < 800


@pytest.mark.parametrize(
    ("kills", "status", "words"),
    [([7, 8], "oom", "want of memory"), ([7, 7], "crashed", "SIGKILL")],
)
def test_a_kill_is_for_memory_where_the_kernel_says_so(
    toys, run, monkeypatch, kills, status, words
):
    counts = iter(kills)
    monkeypatch.setattr(limits, "kernel_kills", lambda: next(counts))
    (record,) = run(toys.number(1, "kill"))
    assert record["status"] == status
    assert words in record["reason"]


def test_the_kernels_count_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "KILLS", tmp_path / "vmstat")
    assert limits.kernel_kills() is None
    limits.KILLS.write_text("pgfault 12\noom_kill 3\nother 4\n")
    assert limits.kernel_kills() == 3
    limits.KILLS.write_text("pgfault 12\n")
    assert limits.kernel_kills() is None


def test_a_process_that_ended_unnoticed_is_noticed():
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    noticed = threading.Event()
    with Watch(process.pid, noticed.set, limit_s=60, limit_bytes=GIB) as watch:
        assert noticed.wait(5)
    process.wait()
    assert watch.verdict is None


def test_what_a_cell_started_ends_with_its_worker(toys, run):
    before = {p.pid for p in psutil.process_iter()}
    run(toys.number(1, "leave-a-child"))
    deadline = time.monotonic() + 5
    while (left := _sleepers() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, 9)
    assert not left


def _sleepers():
    return {
        p.pid for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "600"]
    }


def test_the_memory_limit_is_shared_by_the_workers(monkeypatch):
    assert memory_limit(None, 2) == pytest.approx(memory_limit(None, 1) / 2, abs=1)
    assert memory_limit(3.0, 4) == 3 * GIB
    monkeypatch.setattr(limits, "memory_quota", lambda: None)
    assert machine_memory() == psutil.virtual_memory().total
    monkeypatch.setattr(limits, "memory_quota", lambda: MIB)
    assert machine_memory() == MIB
