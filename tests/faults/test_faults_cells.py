"""Whatever a cell does to its process ends that cell, with the right word for it, and no other."""

import os
import time

import psutil
import pytest

from bench.limits import GIB, kernel_kills, machine_memory, memory_limit
from bench.runner import Runner
from bench.store import Store

EXPECTED = {
    "exit-at-once": ("crashed", "exit code 0"),
    "abort": ("crashed", "SIGABRT"),
    "segfault": ("crashed", "SIGSEGV"),
    "kill": ("crashed", "SIGKILL"),
    "close-all": ("crashed", ""),
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


def test_the_memory_limit_is_shared_by_the_workers():
    assert memory_limit(None, 2) == pytest.approx(memory_limit(None, 1) / 2, abs=1)
    assert memory_limit(3.0, 4) == 3 * GIB
    assert 0 < machine_memory() <= psutil.virtual_memory().total
    assert kernel_kills() is None or kernel_kills() >= 0
