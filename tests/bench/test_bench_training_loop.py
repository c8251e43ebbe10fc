"""What a training can be told: warm-up, accumulation, precision, validation; and its neighbours."""

import dataclasses
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.accelerated import Team, team
from bench.api import BenchError, Level, Paused
from bench.budget import BUDGETS, load_budget
from bench.parts import keep, read_kept
from bench.process_state import Changes, preserved
from bench.seeds import seed_of
from bench.training import CHECKPOINT, Loop, _Training
from bench.validation import ends, middles, one_step_errors, points, write_validation
from models.schedule import schedule

sys.path.insert(0, str(Path(__file__).parent))
from training_child import CLEAN, SETTINGS, Net, error, train


class Plain(nn.Module):
    """A denoiser whose loss is a mean over images of what each alone decides, without noise."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Conv2d(1, 1, 3, padding=1).double()
        self.unused = nn.Parameter(torch.ones(2))
        self.sizes = []

    def loss(self, batch, rng):
        self.sizes.append(len(batch))
        return (self.net(batch.double()) - batch).square().mean()


def same(one, other):
    return all(torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())


def plain(folder, **settings):
    module = Plain()
    loop = Loop(dataclasses.replace(SETTINGS, **settings), folder, mirrors=True)
    loop.train(module, CLEAN, seed=3)
    return module, loop


# ------------------------------------------------------------------ rate, accumulation


@pytest.mark.parametrize("decay", ["none", "cosine"])
def test_the_rate_rises_and_then_does_as_it_does_without(decay):
    chosen = dataclasses.replace(SETTINGS, warmup=4, decay=decay, learning_rate=0.8)
    rates = [chosen.rate(update, 24) for update in range(24)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    rest = dataclasses.replace(chosen, warmup=0)
    assert rates[4:] == [rest.rate(update, 20) for update in range(20)]
    assert [chosen.rate(update, 3) for update in range(3)] == pytest.approx([0.2, 0.4, 0.6])


@pytest.mark.parametrize("accumulate", [2, 4, 6])
def test_a_batch_in_parts_teaches_what_it_teaches_whole(tmp_path, accumulate):
    """Parts of different size too: 6 images in 4 parts are 1, 2, 1 and 2."""
    whole, one = plain(tmp_path / "a")
    parts, several = plain(tmp_path / "b", accumulate=accumulate)
    assert sum(parts.sizes[:accumulate]) == 6 and len(set(parts.sizes)) <= 2
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-9, atol=1e-11)
    assert [loss for _, loss in several.curve] == pytest.approx([loss for _, loss in one.curve])


@given(st.integers(0, 30), st.integers(1, 6))
def test_parts_are_the_batch_whoever_asks_for_them(update, count):
    loop = Loop(SETTINGS, Path("nowhere"), mirrors=True)
    training = _Training(loop, None, CLEAN, 3, None, {}, Path("nowhere"))
    parts = [training._chunk(update, number, count) for number in range(count)]
    assert torch.equal(torch.cat(parts), training._chunk(update, 0, 1))


def test_parts_draw_noise_of_their_own(tmp_path):
    seeds = []

    class Noted(Plain):
        def loss(self, batch, rng):
            seeds.append(rng.initial_seed())
            return super().loss(batch, rng)

    for accumulate in (1, 2):
        chosen = dataclasses.replace(SETTINGS, updates=1, accumulate=accumulate)
        Loop(chosen, tmp_path / str(accumulate)).train(Noted(), CLEAN, seed=3)
    expected = [("train-noise", 3, 0), ("train-noise", 3, 0, 0), ("train-noise", 3, 0, 1)]
    assert seeds == [seed_of(*parts) for parts in expected]


def test_more_parts_than_images_are_refused():
    assert load_budget("smoke", ["train.accumulate=4", "train.processes=2"]).train.accumulate == 4
    with pytest.raises(BenchError, match="20 parts of a batch of 8, expected an image in each"):
        load_budget("smoke", ["train.accumulate=10", "train.processes=2"])
    warmups = {name: budget.train.warmup for name, budget in BUDGETS.items()}
    assert warmups == {"smoke": 0, "small": 200, "paper": 0}
    assert {budget.train.accumulate for budget in BUDGETS.values()} == {1}


# ------------------------------------------------------------------ neighbours


def test_one_training_does_not_reach_the_next(tmp_path):
    """accelerate keeps its state, precision for one, for the life of the process."""

    class Noted(Net):
        def __init__(self):
            super().__init__()
            self.types = set()
            self.net[0].register_forward_hook(lambda part, x, out: self.types.add(out.dtype))

    half = Noted()
    alone = train(tmp_path / "a")[0]
    chosen = dataclasses.replace(SETTINGS, precision="bfloat16", updates=3)
    Loop(chosen, tmp_path / "b").train(half, CLEAN, seed=3)
    assert half.types == {torch.bfloat16}
    assert half.net[0].weight.dtype == torch.float32
    assert same(alone, train(tmp_path / "c")[0])


def test_variables_of_a_launcher_decide_nothing(tmp_path, monkeypatch):
    alone = train(tmp_path / "a")[0]
    theirs = {"WORLD_SIZE": "4", "LOCAL_RANK": "3", "PMI_SIZE": "2", "ACCELERATE_USE_CPU": "no",
              "ACCELERATE_MIXED_PRECISION": "fp16"}  # fmt: skip
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    before, changes = dict(os.environ), Changes()
    with preserved(changes):
        assert same(alone, train(tmp_path / "b")[0])
    assert changes == Changes() and dict(os.environ) == before


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_equal_buffers_stay_what_they_are(count):
    """A table that no process changes must not drift, or a resumed training begins elsewhere."""
    accelerator = SimpleNamespace(
        num_processes=count, reduce=lambda value, reduction: sum([value] * count)
    )
    module = torch.nn.BatchNorm1d(1000)
    before = torch.rand(1000, generator=torch.Generator().manual_seed(count))
    module.running_mean.copy_(before)
    Team(accelerator).average_buffers(module)
    assert torch.equal(module.running_mean, before)


def test_a_device_that_cannot_is_one_line(monkeypatch):
    monkeypatch.setattr("accelerate.accelerator.is_bf16_available", lambda *ignored: False)
    with pytest.raises(BenchError, match=r"train\.precision=bfloat16: meta cannot .*float32"):
        with team("meta", "bfloat16"):
            pass


# ------------------------------------------------------------------ validation


@given(st.integers(1, 300), st.integers(1, 400))
def test_points_are_evenly_spaced_up_to_the_last_update(total, count):
    found = sorted(points(total, count))
    assert found[-1] == total and found[0] >= 1
    assert len(found) == min(total, count)
    gaps = {later - earlier for earlier, later in zip([0, *found], found, strict=False)}
    assert max(gaps) - min(gaps) <= 1
    assert points(total, 0) == set()


def test_validation_leaves_the_training_alone(tmp_path):
    """Though it draws from the global generators, as `error` does, and changes the mode."""
    seen, (watched, loop) = Net(), train(tmp_path / "a")
    settings = dataclasses.replace(SETTINGS, validations=0)
    unwatched = Loop(settings, tmp_path / "b", validate=error)
    unwatched.train(seen, CLEAN, seed=3)
    assert same(seen, watched) and unwatched.curve == loop.curve
    assert unwatched.validation == [] and len(loop.validation) == 8
    assert all(watched.modes)


def test_the_average_is_validated_and_not_the_module(tmp_path):
    found = []

    def note(module):
        found.append({name: value.clone() for name, value in module.state_dict().items()})
        return (0.5,)

    module = Net()
    Loop(SETTINGS, tmp_path, validate=note).train(module, CLEAN, seed=3)
    assert all(torch.equal(found[-1][name], value) for name, value in module.state_dict().items())
    assert not torch.equal(found[0]["net.0.weight"], found[1]["net.0.weight"])


@pytest.mark.parametrize("damage", ["gone", "one less", "another update", "type"])
def test_a_checkpoint_with_another_validation_is_not_used(tmp_path, damage):
    told = []
    with pytest.raises(Paused):
        train(
            tmp_path,
            progress=lambda done, total: told.append(done),
            pause_wanted=lambda: len(told) == 11,
        )
    tensors, facts = read_kept(tmp_path / CHECKPOINT, of=tmp_path.name)
    tensors = {name: value.clone() for name, value in tensors.items()}
    rows = tensors.pop("validation")
    assert rows[:, 0].tolist() == [5, 10]
    changed = {"one less": rows[:1], "another update": rows + 1, "type": rows.float()}
    if damage in changed:
        tensors["validation"] = changed[damage]
    keep(tmp_path / CHECKPOINT, tensors, of=tmp_path.name, facts=facts)
    assert len(train(tmp_path)[0].modes) == SETTINGS.updates


class Returns(nn.Module):
    """Returns what it is given, or the clean image."""

    def __init__(self, clean=None):
        super().__init__()
        self.clean = clean

    def denoise(self, y, level, noise):
        return y if self.clean is None else self.clean


class WritesIntoIt(Returns):
    def denoise(self, y, level, noise):
        return y.mul_(0.5)


def test_the_error_is_that_of_one_step():
    images = torch.rand(8, 1, 32, 32)
    levels = middles(schedule("sigmoid"))
    assert [level.t for level in levels] == [167, 500, 833]
    measure = one_step_errors(images, levels, seed=1)
    found = measure(Returns())
    assert found == pytest.approx([level.sigma**2 for level in levels], rel=0.05)
    assert measure(Returns()) == found == one_step_errors(images, levels, seed=1)(Returns())
    assert measure(Returns(images)) == (0.0, 0.0, 0.0)
    assert one_step_errors(images, levels, seed=2)(Returns()) != found
    assert measure(WritesIntoIt()) == measure(WritesIntoIt()) != found
    assert measure(Returns()) == found, "whoever comes next sees the same images"


def test_a_range_of_levels_has_two_ends_and_a_middle():
    levels = [Level(sigma) for sigma in (0.3, 0.1, 0.9)]
    assert [level.sigma for level in ends(levels)] == [0.1, 0.3, 0.9]
    assert len(ends(levels[:1])) == 3


def test_a_validation_curve_is_written_as_csv(tmp_path):
    write_validation(tmp_path / "v.csv", [(5, (0.25, 0.5, 1 / 3))])
    assert (tmp_path / "v.csv").read_text().split() == [
        "update,low,middle,high", "5,0.25,0.5,0.333333",
    ]  # fmt: skip
