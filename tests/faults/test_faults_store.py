"""Full disks, two runs at once, attempts that fail, kills at random: no record is lost."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bench.runner import Runner
from bench.store import Store

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture
def environment(toys, tmp_path):
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent / "plugin"), str(ROOT)]),
        "BENCH_TOY_LEDGER": str(tmp_path / "ledger.txt"),
    }


def driver(*words):
    return [sys.executable, "-P", str(HERE / "driver.py"), *words]


def test_two_runs_over_one_store_measure_each_cell_once(environment, tmp_path):
    command = driver("many-toys", str(tmp_path / "store"))
    runs = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    measured = (tmp_path / "ledger.txt").read_text().split()
    assert sorted(measured, key=int) == [str(i) for i in range(40)]
    assert len(list((tmp_path / "store" / "cells").iterdir())) == 40


def test_a_full_disk_ends_the_run_with_74_and_it_goes_on_when_there_is_room(environment, tmp_path):
    out = tmp_path / "out"
    command = driver("many-toys", str(out))

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))  # less than a record needs

    full = subprocess.run(
        command, env=environment, preexec_fn=fill, capture_output=True, text=True, timeout=60
    )
    assert full.returncode == 74
    assert full.stderr.startswith("bench: cannot write") and len(full.stderr.splitlines()) == 1
    assert not list((out / "cells").iterdir())
    roomy = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert roomy.returncode == 0, roomy.stderr
    assert len(list((out / "cells").iterdir())) == 40


@pytest.mark.parametrize("name", ["x" * 300, ("y" * 100 + "/") * 50], ids=["name", "path"])
def test_a_path_that_is_too_long_is_one_clear_line(environment, tmp_path, name):
    command = driver("toys", str(tmp_path / name))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 74
    assert "File name too long" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["with space", "-dash", "naïve ✓", "new\nline", "'quote\""])
def test_any_folder_name_will_do(toys, plan_of, tmp_path, name):
    store = Store(tmp_path / name)
    records = Runner(store).run(plan_of(toys.number(1), toys.number(2)))
    assert {record["status"] for record in records.values()} == {"ok"}
    assert all(store.file(key, "number.txt").is_file() for key in records)


def test_an_attempt_that_fails_does_not_replace_what_is_whole(toys, plan_of, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    plan = plan_of(toys.number(1, "fail-if-asked"))
    (first,) = Runner(store).run(plan).values()
    monkeypatch.setenv("BENCH_TOY_FAIL", "1")
    runner = Runner(store, fresh=True)
    (second,) = runner.run(plan).values()
    assert second == first == store.get(first["key"])
    assert store.file(first["key"], "number.txt").read_text() == "1"
    assert [record["reason"] for record in runner.failed_again] == ["ValueError: as asked"]


def test_random_kills_lose_nothing(environment):
    command = [sys.executable, "-P", str(HERE / "kill_at_random.py"), "--kills", "6"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 faults" in done.stdout
