"""Ctrl-C, SIGTERM and kill -9, as a person's shell or a cluster sends them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench import canonical
from bench.store import Store

HERE = Path(__file__).parent


@pytest.fixture
def start(tmp_path, toys, monkeypatch):
    """Return what starts a run of toys in a process of its own; ends what is left."""
    monkeypatch.setenv("PYTHONPATH", f"{HERE.parent / 'plugin'}:{HERE.parent.parent}")
    running = []

    def begin(experiment="long-toys"):
        command = [sys.executable, "-P", str(HERE / "driver.py"), experiment, str(tmp_path / "s")]
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


def steps_kept(root):
    return {path: len(path.read_text()) for path in (root / "s" / "partial").glob("*/steps.txt")}


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(processes):
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_asked_once_cells_save_their_place_and_the_next_run_goes_on(start, tmp_path, number):
    process = start()
    wait_for(lambda: len(steps_kept(tmp_path)) == 2)
    children = family(process)
    process.send_signal(number)
    assert process.wait(3) == 130
    wait_for(lambda: all_gone(children), 5)
    kept = steps_kept(tmp_path)
    assert len(kept) == 2 and all(kept.values())
    assert start().wait(30) == 0
    store = Store(tmp_path / "s")
    for path in store.root.glob("cells/*.json"):
        (row,) = store.get(path.stem)["rows"]
        assert row["taken"] == row["steps"] - kept[store.partial(path.stem) / "steps.txt"]


@pytest.mark.slow
def test_asked_twice_it_stops_at_once(start, toys, tmp_path):
    process = start("hanging-toys")
    wait_for(lambda: len(list((tmp_path / "s" / "partial").glob("*"))) == 2)
    children = family(process)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)  # a cell that cannot save its place is waited for
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    wait_for(lambda: all_gone(children), 5)


def test_killed_outright_nothing_is_left_running(start, tmp_path):
    process = start("hanging-toys")
    wait_for(lambda: len(list((tmp_path / "s" / "partial").glob("*"))) == 2)
    children = family(process)
    assert len(children) >= 4  # two workers, each with its guard
    process.kill()
    process.wait()
    wait_for(lambda: all_gone(children), 5)


def test_a_signal_to_the_whole_group_is_the_runs_to_answer(start, tmp_path):
    """A cluster's scheduler sends SIGTERM to every process of a job."""
    process = start()
    wait_for(lambda: len(steps_kept(tmp_path)) == 2)
    for child in family(process):
        os.kill(child.pid, signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(3) == 130
    for path in (tmp_path / "s" / "cells").glob("*.json"):
        assert canonical.loads(path.read_bytes())["status"] == "ok"


@pytest.mark.slow
def test_the_command_says_how_to_go_on(toys, tmp_path):
    command = [sys.executable, "-m", "bench", "run", "long-toys", "--out", str(tmp_path / "o o")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: list((tmp_path / "o o" / "partial").glob("*/steps.txt")), 60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"go on with: python -m bench run long-toys --out '{tmp_path}/o o'" in err
    assert "stopping: 2 cells at hand" in out
    assert "Traceback" not in err
