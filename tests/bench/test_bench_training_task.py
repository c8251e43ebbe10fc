"""The task that trains: what it leaves for denoisers and generators, alone and with peers."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
import torch

from bench import peers, registry
from bench.api import BenchError, Cell, Invalid, Kind, Paused
from bench.context import TaskContext
from bench.imported import CHANGED
from bench.parts import read_tensors
from bench.process_state import Changes, preserved
from bench.registry import HOME
from bench.stopping import SIGNALS
from bench.store import Store
from bench.training import write_curve

TRAINING = {
    "updates": 4, "batch": 10, "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.99, "ema": 0.9,
    "clip": 1.0, "precision": "float32", "decay": "cosine", "passes": 0.0, "validations": 2,
}  # fmt: skip
CLASSIC = {"denoiser": {"name": "conv-ae", "scale": 0.1}, "levels": [50, 150, 400]}
NETWORK = {"denoiser": {"name": "diffusion:unet", "scale": 0.05, "recipe": "authors"}}
GENERATOR = {"generator": {"name": "vae", "scale": 0.1}}


@pytest.fixture
def run(tmp_path):
    """Return what measures a cell and gives its row, its files and what it left in the process."""
    numbers = itertools.count()

    def measure(
        spec, device="cpu", progress=lambda *told: None, pause=bool, planned=None, **training
    ):
        store = Store(tmp_path / "store")
        partial, folder = store.partial("key"), tmp_path / f"made{next(numbers)}"
        partial.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        cell = Cell("train", {
            "dataset": {"name": "digits", "image_size": 16}, "schedule": {"name": "sigmoid"},
            "seed": 1, "training": {**TRAINING, **training}, "levels": [], **spec,
        })  # fmt: skip
        context = TaskContext(
            cell, {}, store, folder, partial, device, progress, pause, planned=planned
        )
        changes = Changes()
        with preserved(changes):
            outcome = registry.find(Kind.TASK, "train").build(cell, context)
        return outcome.rows[0], outcome.files, changes

    registry.find(Kind.TASK, "train")
    return measure


def lines(path):
    return [line.split(",") for line in path.read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("spec", [CLASSIC, NETWORK], ids=["classic", "network"])
def test_a_denoiser_leaves_weights_and_two_curves(run, spec):
    row, files, changes = run(spec)
    assert set(files) == {"weights.safetensors", "curve.csv", "validation.csv"}
    assert [line[0] for line in lines(files["validation.csv"])] == ["update", "2", "4"]
    assert all(0 < float(value) < 10 for value in lines(files["validation.csv"])[1][1:])
    assert row["levels"] == ("50-150-400" if spec is CLASSIC else "all")
    assert changes == Changes()
    _, header = read_tensors(files["weights.safetensors"])
    about = json.loads(header["about"])
    said = {name: about[name] for name in ("prediction", "schedule") if name in about}
    assert said == ({} if spec is CLASSIC else {"prediction": "v", "schedule": "sigmoid"})


def test_a_generator_is_trained_and_not_validated(run):
    spec = {**GENERATOR}
    row, files, _ = run(spec)
    assert set(files) == {"weights.safetensors", "curve.csv"}
    assert row["updates"] == 4 and row["loss_held_out"] == pytest.approx(row["loss_last"], abs=3)
    tensors, header = read_tensors(files["weights.safetensors"])
    assert "generator" in json.loads(header["about"])["spec"] and tensors


def test_no_validation_is_no_file(run):
    assert set(run(CLASSIC, validations=0)[1]) == {"weights.safetensors", "curve.csv"}


def test_processes_need_a_graphics_card_each(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(BenchError, match=r"train\.processes=2: there are 1 graphics cards"):
        run(CLASSIC, device="cuda", processes=2)


# ------------------------------------------------------------------ several processes


@pytest.mark.slow
@pytest.mark.parametrize("spec", [CLASSIC, NETWORK], ids=["classic", "network"])
def test_two_processes_learn_what_one_learns_that_accumulates(run, spec):
    shared, files, changes = run(spec, processes=2)
    alone, expected, _ = run(spec, accumulate=2)
    assert changes == Changes()
    one, _ = read_tensors(files["weights.safetensors"])
    other, _ = read_tensors(expected["weights.safetensors"])
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-6)
    assert lines(files["curve.csv"]) == lines(expected["curve.csv"])
    assert lines(files["validation.csv"]) == lines(expected["validation.csv"])
    assert shared == alone


@pytest.mark.slow
def test_two_processes_follow_the_loss_curve_of_one_with_the_same_batch(run, monkeypatch):
    """Over 40 updates, and before the curve's file rounds them to six digits."""
    curves = []

    def noted(path, curve):
        curves.append(dict(curve))
        write_curve(path, curve)

    task = sys.modules[registry.find(Kind.TASK, "train").build.__module__]
    monkeypatch.setattr(task, "write_curve", noted)
    for how in ({"processes": 2}, {"accumulate": 2}, {"accumulate": 2, "batch": 12}):
        run(NETWORK, updates=40, validations=0, **how)
    shared, alone, other = curves
    off = max(abs(shared[update] / alone[update] - 1) for update in alone)
    assert len(alone) == 40 and off < 1e-4, off
    assert max(abs(other[update] / alone[update] - 1) for update in alone) > 1e-2  # it could fail


@pytest.mark.slow
def test_processes_stop_together_and_go_on(run):
    told = []
    with pytest.raises(Paused):
        run(CLASSIC, processes=2, progress=lambda *now: told.append(now), pause=lambda: bool(told))
    _, files, _ = run(CLASSIC, processes=2, progress=lambda *now: told.append(now))
    assert told[:3] == [(1, 4), (3, 4), (4, 4)]
    assert lines(files["curve.csv"]) == lines(run(CLASSIC, accumulate=2)[1]["curve.csv"])


def children():
    return psutil.Process().children(recursive=True)


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_and_no_other_is_left(run):
    def kill(done, total):
        if done == 3:
            children()[0].kill()

    with pytest.raises(BenchError, match="process 2 of 2 of the training: it ended with exit code"):
        run(CLASSIC, processes=2, updates=10**6, progress=kill)
    assert children() == []


@pytest.mark.slow
def test_a_signal_to_every_process_is_the_runs_to_answer(run, monkeypatch):
    """A scheduler sends it to the other processes of a training, too, whatever they are at."""
    start = subprocess.Popen

    def struck(*words, **how):
        child = start(*words, **how)
        child.send_signal(signal.SIGTERM)
        return child

    def strike(done, total):
        for child in children():
            for number in SIGNALS:
                child.send_signal(number)

    monkeypatch.setattr(peers.subprocess, "Popen", struck)
    row, _, _ = run(CLASSIC, processes=2, progress=strike)
    assert row["updates"] == 4 and children() == []


@pytest.mark.slow
def test_a_process_that_imports_other_code_than_was_planned_does_not_train(run):
    planned = {"modules": ["bench.tasks.train"], "code": "0" * 64, "data": None}
    with pytest.raises(BenchError, match=f"process 2 of 2 of the training: {CHANGED}"):
        run(CLASSIC, processes=2, planned=planned)


@pytest.mark.slow
def test_a_process_that_waits_for_a_dead_one_ends_with_one_line():
    """A graphics card waits for ever; here the first waits so for what it never hears."""
    order = """
import sys, threading
from bench import peers
peers.LOST_S = 1.0
dead = peers.subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(7)"])
alive = peers.subprocess.Popen(
    [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=peers.subprocess.PIPE)
with peers._watched([alive, dead]):
    threading.Event().wait()
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", order], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(HOME)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "bench: process 3 of 3 of the training ended with exit code 7, and the first waits for it "
        "in vain; run again"
    )


@pytest.mark.slow
def test_the_others_end_with_the_first(tmp_path):
    """Killed, it can tell them nothing; they see that nobody holds their input any more."""
    order = f"""
import sys; sys.path.insert(0, {str(HOME / "tests" / "bench")!r})
from pathlib import Path
from bench import peers, registry
from bench.api import Cell, Kind
from bench.context import TaskContext
from bench.imported import CHANGED
from bench.store import Store
spec = {CLASSIC!r} | {{"dataset": {{"name": "digits", "image_size": 16}}, "seed": 1,
    "schedule": {{"name": "sigmoid"}},
    "training": {TRAINING!r} | {{"updates": 10**6, "processes": 3, "validations": 0}}}}
place = Path({str(tmp_path)!r})
cell = Cell("train", spec)
context = TaskContext(cell, {{}}, Store(place), place, place, "cpu",
    lambda done, total: print(done, flush=True) if done == 3 else None, lambda: False)
registry.find(Kind.TASK, "train").build(cell, context)
"""
    first = subprocess.Popen(
        [sys.executable, "-P", "-c", order], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HOME)},
    )  # fmt: skip
    with first:
        watch = threading.Timer(120, first.kill)
        watch.start()
        assert first.stdout.readline() == b"3\n"
        others = psutil.Process(first.pid).children(recursive=True)
        assert len(others) == 2
        os.kill(first.pid, signal.SIGKILL)
        watch.cancel()
    gone, alive = psutil.wait_procs(others, timeout=30)
    for process in alive:
        process.kill()
    assert not alive and len(gone) == 2


def learns_nothing(self, clean, levels, trainer, seed):
    """Forget the trainer."""


def learns_elsewhere(self, clean, levels, trainer, seed):
    self.learnt = clean.mean()
    self.levels = tuple(levels)
    trainer.train(self, clean, seed)


@pytest.mark.parametrize(
    ("fit", "told"),
    [
        (learns_nothing, r"\.fit trained nothing though it has a `loss`.*trainer\.train\(self"),
        (learns_elsewhere, r"cannot denoise with its weights alone \(AttributeError: .*learnt"),
    ],
)
def test_a_fit_that_leaves_nothing_for_other_cells_is_invalid(run, monkeypatch, fit, told):
    made = registry.find(Kind.DENOISER, "conv-ae").build
    denoise = made.denoise
    monkeypatch.setattr(made, "fit", fit)
    if fit is learns_elsewhere:
        monkeypatch.setattr(
            made,
            "denoise",
            lambda self, y, level, noise: denoise(self, y, level, noise) + self.learnt,
        )
    with pytest.raises(Invalid, match=told):
        run(CLASSIC)
