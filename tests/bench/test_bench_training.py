import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.api import Invalid, Paused
from bench.parts import Pace, keep, read_kept
from bench.training import CHECKPOINT, Loop, TrainSettings, write_curve

SETTINGS = TrainSettings(
    updates=12, batch=5, learning_rate=1e-2, beta1=0.9, beta2=0.99, ema=0.9, clip=1.0,
    precision="float32", decay="cosine", passes=0.0,
)  # fmt: skip
CLEAN = torch.rand(7, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Tiny(nn.Module):
    """Learns to remove noise; batch norm brings buffers, an integer one among them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)
        )
        self.seen = []

    def loss(self, batch, rng):
        self.seen.append(batch.clone())
        noisy = batch + 0.1 * torch.randn(batch.shape, generator=rng)
        return (self.net(noisy) - batch).square().mean()


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def always_due(monkeypatch):
    """Make a checkpoint after every update, as where updates take long."""
    monkeypatch.setattr(Pace, "due", lambda self: True)


def trained(folder, stop_after=None, pause_after=None, module=None, **loop):
    module = module or Tiny()
    told = []

    def progress(done, total):
        told.append(done)
        if done == stop_after:
            raise Killed

    def pause_wanted():
        return pause_after is not None and len(told) + 1 >= pause_after

    loop = Loop(SETTINGS, folder, progress=progress, pause_wanted=pause_wanted, **loop)
    try:
        loop.train(module, CLEAN, seed=3)
    except (Killed, Paused):
        return None, loop
    return module, loop


def same(one, other):
    return all(torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())


def test_the_loss_falls_and_the_average_is_left(tmp_path):
    module, loop = trained(tmp_path)
    losses = [loss for _, loss in loop.curve]
    assert len(losses) == 12 and losses[-1] < losses[0]
    assert not module.training


@pytest.mark.parametrize("stop", [1, 5, 11, 12])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(tmp_path, always_due, stop):
    whole, loop = trained(tmp_path / "a")
    trained(tmp_path / "b", stop_after=stop)
    torch.manual_seed(stop)
    resumed, again = trained(tmp_path / "b")
    assert len(resumed.seen) == 12 - stop
    assert again.curve == loop.curve
    assert same(whole, resumed)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 6), max_size=5))
def test_a_training_paused_again_and_again_is_the_same(tmp_path_factory, pauses):
    folder = tmp_path_factory.mktemp("paused")
    whole, loop = trained(folder / "a")
    done = 0
    for after in pauses:
        left = 12 - done
        module, part = trained(folder / "b", pause_after=after)
        assert (module is None) == (0 < left and after <= left)
        if module is not None:
            break
        done += after
        assert len(part.curve) == done
    resumed, again = trained(folder / "b")
    assert len(resumed.seen) == 12 - done
    assert again.curve == loop.curve and same(whole, resumed)


def test_a_pause_saves_though_nothing_was_due(tmp_path):
    assert trained(tmp_path, pause_after=2)[0] is None
    assert len(trained(tmp_path)[0].seen) == 10


def test_dropout_draws_the_same_after_a_resume(tmp_path):
    def module():
        tiny = Tiny()
        tiny.net.insert(2, nn.Dropout(0.5))
        return tiny

    whole, _ = trained(tmp_path / "a", module=module())
    trained(tmp_path / "b", pause_after=5, module=module())
    torch.manual_seed(9)
    assert same(whole, trained(tmp_path / "b", module=module())[0])


def test_two_trainings_of_one_plug_in_have_a_checkpoint_each(tmp_path, always_due):
    def both(folder, stop_after=None):
        told = []

        def progress(done, total):
            told.append(done)
            if len(told) == stop_after:
                raise Killed

        loop, first, second = Loop(SETTINGS, folder, progress=progress), Tiny(), Tiny()
        try:
            loop.train(first, CLEAN, seed=3)
            loop.train(second, CLEAN, seed=4)
        except Killed:
            return None
        return first, second, loop.curve

    whole = both(tmp_path / "a")
    assert both(tmp_path / "b", stop_after=17) is None
    again = both(tmp_path / "b")
    assert len(again[1].seen) == 7
    assert same(whole[0], again[0]) and same(whole[1], again[1]) and whole[2] == again[2]


# ------------------------------------------------------------------ checkpoints


def rewritten(change):
    """Return a damage: the checkpoint written anew, whole, with other tensors or facts."""

    def damage(path):
        tensors, facts = read_kept(path, of=path.parent.name)
        tensors = {name: value.clone() for name, value in tensors.items()}
        of = change(tensors, facts) or path.parent.name
        keep(path, tensors, of=of, facts=facts)

    return damage


def flipped(path, at=-2):
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


CANARY = b"cos\nsystem\n(S'touch canary-file'\ntR."
"""A pickle that makes a file when it is unpickled."""


WEIGHT = "net.0.weight"
DAMAGES = {
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "bit": flipped,
    "header bit": lambda path: flipped(path, 40),
    "huge header": lambda path: path.write_bytes(HUGE + path.read_bytes()[8:]),
    "long header": lambda path: path.write_bytes((2**27).to_bytes(8, "little") + b" " * 64),
    "pickle": lambda path: path.write_bytes(CANARY),
    "loop": lambda path: path.unlink() or path.symlink_to(path.name),
    "lacks": rewritten(lambda t, facts: t.pop(f"model/{WEIGHT}") is None),
    "lacks average": rewritten(lambda t, facts: t.pop(f"average/{WEIGHT}") is None),
    "lacks moment": rewritten(lambda t, facts: t.pop(f"adam/exp_avg_sq/{WEIGHT}") is None),
    "lacks step": rewritten(lambda t, facts: t.pop(f"adam/step/{WEIGHT}") is None),
    "lacks curve": rewritten(lambda t, facts: t.pop("curve") is None),
    "extra": rewritten(lambda t, facts: t.update({"model/extra": torch.ones(1)})),
    "shape": rewritten(lambda t, facts: t.update({f"adam/exp_avg/{WEIGHT}": torch.ones(2)})),
    "type": rewritten(
        lambda t, facts: t.update({f"average/{WEIGHT}": t[f"model/{WEIGHT}"].half()})
    ),
    "more updates": rewritten(lambda t, facts: t.update(curve=torch.ones(13, dtype=torch.float64))),
    "seed": rewritten(lambda t, facts: facts.update(seed=4)),
    "settings": rewritten(lambda t, facts: facts["settings"].update(batch=6)),
    "data": rewritten(lambda t, facts: facts.update(images=[8, 1, 4, 4])),
    "no facts": rewritten(lambda t, facts: facts.clear()),
    "foreign": rewritten(lambda t, facts: "another-key"),
}
HUGE = (2**63).to_bytes(8, "little")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_does_not_fit_is_not_used(tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    whole, loop = trained(tmp_path / "a")
    trained(tmp_path / "b", pause_after=5)
    DAMAGES[damage](tmp_path / "b" / CHECKPOINT)
    again, other = trained(tmp_path / "b")
    assert len(again.seen) == 12
    assert other.curve == loop.curve and same(whole, again)
    assert not Path("canary-file").exists()


def test_adams_memory_comes_back_where_and_as_it_was(tmp_path, monkeypatch):
    trained(tmp_path, pause_after=5)
    states = []
    adam = torch.optim.Adam

    def noted(*args, **kwargs):
        states.append(adam(*args, **kwargs))
        return states[-1]

    monkeypatch.setattr(torch.optim, "Adam", noted)
    trained(tmp_path, stop_after=6, module=Tiny())
    for parameter, state in states[0].state.items():
        assert state["step"] == 6 and state["step"].device.type == "cpu"
        assert state["exp_avg"].dtype == parameter.dtype
        assert state["exp_avg_sq"].shape == parameter.shape


def test_every_image_is_seen_once_an_epoch(tmp_path):
    module, _ = trained(tmp_path)
    seen = torch.cat(module.seen)[: 7 * (len(torch.cat(module.seen)) // 7)]
    for epoch in seen.split(7):
        for image in CLEAN:
            assert sum(torch.equal(image, other) for other in epoch) == 1


def test_flips_are_drawn_where_the_data_allow_it(tmp_path):
    plain, _ = trained(tmp_path / "a")
    flipped, _ = trained(tmp_path / "b", mirrors=True)
    pairs = list(zip(torch.cat(plain.seen), torch.cat(flipped.seen), strict=True))
    same = [torch.equal(a, b) for a, b in pairs]
    turned = [torch.equal(a, b.flip(-1)) for a, b in pairs]
    assert any(same) and any(turned) and all(s or t for s, t in zip(same, turned, strict=True))


def test_a_loss_that_is_not_finite_stops_with_what_to_do(tmp_path):
    class Explodes(Tiny):
        def loss(self, batch, rng):
            return super().loss(batch, rng) * float("nan")

    with pytest.raises(Invalid, match="nan before the first update: the network's forward"):
        Loop(SETTINGS, tmp_path).train(Explodes(), CLEAN, 0)


def test_the_curve_is_written_as_csv(tmp_path):
    write_curve(tmp_path / "curve.csv", [(1, 0.5), (2, 0.25)])
    assert (tmp_path / "curve.csv").read_text().split() == ["update,loss", "1,0.5", "2,0.25"]


def test_passes_lengthen_a_training_that_would_see_too_little():
    settings = dataclasses.replace(SETTINGS, passes=3.0)
    assert settings.total(7) == 12
    assert settings.total(1000) == 600


def test_the_rate_falls_along_a_cosine_or_stays():
    rates = [SETTINGS.rate(update, 12) for update in range(12)]
    assert rates[0] == SETTINGS.learning_rate and rates == sorted(rates, reverse=True)
    assert rates[6] == pytest.approx(SETTINGS.learning_rate / 2)
    constant = dataclasses.replace(SETTINGS, decay="none")
    assert {constant.rate(update, 12) for update in range(12)} == {SETTINGS.learning_rate}


def test_weights_that_are_not_finite_are_not_left(tmp_path):
    class Bursts(Tiny):
        def loss(self, batch, rng):
            loss = super().loss(batch, rng)
            # A finite loss whose gradient is not: the root of zero.
            return loss + (loss - loss).sqrt() if len(self.seen) == 12 else loss

    with pytest.raises(Invalid, match=r"the trained 'net.* holds NaN"):
        Loop(SETTINGS, tmp_path).train(Bursts(), CLEAN, 0)
