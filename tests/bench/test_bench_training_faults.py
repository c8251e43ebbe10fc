"""A training that is killed, diverges or finds no room on disk: what is kept, and what is told."""

import dataclasses
import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.api import Invalid, Paused, StorageError
from bench.parts import Pace, read_kept
from bench.registry import HOME
from bench.training import CHECKPOINT, Loop

sys.path.insert(0, str(Path(__file__).parent))
from training_child import CLEAN, SETTINGS, Net, train

CHILD = Path(__file__).parent / "training_child.py"


@pytest.fixture
def always_due(monkeypatch):
    """Make a checkpoint after every update, as where updates take long."""
    monkeypatch.setattr(Pace, "due", lambda self: True)


def same(one, other):
    return all(torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())


def kept_updates(folder):
    tensors, _ = read_kept(folder / CHECKPOINT, of=folder.name)
    return len(tensors["curve"])


@pytest.mark.parametrize("accumulate", [pytest.param(3, marks=pytest.mark.slow), 1])
def test_killed_in_the_middle_it_goes_on_bit_for_bit(tmp_path, accumulate):
    """N updates at once are k updates, kill -9, and N - k more: weights, curves, validation."""
    folder = tmp_path / "killed"
    child = subprocess.run(
        [sys.executable, "-P", str(CHILD), str(folder), str(accumulate)],
        env={**os.environ, "PYTHONPATH": str(HOME)}, check=False,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL
    done = kept_updates(folder)
    assert 12 <= done < SETTINGS.updates
    resumed, again = train(folder, accumulate)
    assert len(resumed.modes) == accumulate * (SETTINGS.updates - done)
    whole, loop = train(tmp_path / "whole", accumulate)
    assert same(whole, resumed)
    assert again.curve == loop.curve and again.validation == loop.validation
    assert [update for update, _ in loop.validation] == [5, 10, 15, 20, 25, 30, 35, 40]


class Explodes(Net):
    """Its loss is no number at one update."""

    def loss(self, batch, rng):
        loss = super().loss(batch, rng)
        return loss * float("nan") if len(self.modes) == 8 else loss


def test_a_diverged_training_names_the_update_the_rate_and_the_checkpoint(tmp_path, always_due):
    module = Explodes()
    settings = dataclasses.replace(SETTINGS, warmup=20)
    message = (
        r"the loss is nan at update 8; lower train\.learning_rate \(0\.01, 0\.004 at that "
        r"update\) or train\.clip \(1\); the checkpoint of update 7 is kept"
    )
    with pytest.raises(Invalid, match=message):
        Loop(settings, tmp_path).train(module, CLEAN, 3)
    assert kept_updates(tmp_path) == 7


def test_a_state_that_is_not_finite_does_not_replace_one_that_is(tmp_path, always_due):
    class Bursts(Net):
        def loss(self, batch, rng):
            loss = super().loss(batch, rng)
            # A finite loss whose gradient is not: the root of zero.
            return loss + (loss - loss).sqrt() if len(self.modes) == 8 else loss

    with pytest.raises(Invalid, match=r"at update 9; .* the checkpoint of update 7 is kept"):
        Loop(SETTINGS, tmp_path).train(Bursts(), CLEAN, 3)
    assert kept_updates(tmp_path) == 7


def paused(folder, update):
    told = []
    with pytest.raises(Paused):
        train(
            folder,
            progress=lambda done, total: told.append(done),
            pause_wanted=lambda: len(told) + 1 >= update,
        )


def test_without_room_on_disk_the_old_checkpoint_stays(tmp_path, always_due):
    """The system cuts the file short in the middle of writing it."""
    folder = tmp_path / "a"
    paused(folder, 7)
    before = (folder / CHECKPOINT).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(StorageError, match="earlier results are untouched; free space") as told:
            train(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert told.value.exit_code == 74 and "\n" not in str(told.value)
    assert (folder / CHECKPOINT).read_bytes() == before
    assert [path.name for path in folder.iterdir()] == [CHECKPOINT]
    assert same(train(folder)[0], train(tmp_path / "b")[0])


def test_a_full_disk_is_called_by_its_name(tmp_path, always_due, monkeypatch):
    def fills(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    paused(tmp_path, 7)
    before = (tmp_path / CHECKPOINT).read_bytes()
    monkeypatch.setattr("bench.parts.save_file", fills)
    with pytest.raises(StorageError, match=r"No space left on device"):
        train(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
