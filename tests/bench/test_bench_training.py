import dataclasses

import pytest
import torch
from torch import nn

from bench.api import BenchError, Invalid
from bench.training import CHECKPOINT, Loop, TrainSettings, load_weights, save_weights, write_curve

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


def trained(folder, stop_after=None, every=4, monkeypatch=None, **loop):
    import bench.training as training

    if monkeypatch:
        monkeypatch.setattr(training, "EVERY", every)
    module = Tiny()

    def progress(done, total):
        if done == stop_after:
            raise KeyboardInterrupt

    loop = Loop(SETTINGS, folder, progress=progress, **loop)
    try:
        loop.train(module, CLEAN, seed=3)
    except KeyboardInterrupt:
        return None, loop
    return module, loop


def test_the_loss_falls_and_the_average_is_left(tmp_path):
    module, loop = trained(tmp_path)
    losses = [loss for _, loss in loop.curve]
    assert len(losses) == 12 and losses[-1] < losses[0]
    assert not module.training


@pytest.mark.parametrize("stop", [4, 5, 11])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(tmp_path, monkeypatch, stop):
    whole, loop = trained(tmp_path / "a", monkeypatch=monkeypatch)
    trained(tmp_path / "b", stop_after=stop, monkeypatch=monkeypatch)
    assert (tmp_path / "b" / CHECKPOINT).exists()
    resumed, again = trained(tmp_path / "b", monkeypatch=monkeypatch)
    assert len(resumed.seen) < 12
    assert again.curve == loop.curve
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_damaged_checkpoint_is_not_used(tmp_path, monkeypatch):
    whole, _ = trained(tmp_path / "a", monkeypatch=monkeypatch)
    trained(tmp_path / "b", stop_after=5, monkeypatch=monkeypatch)
    path = tmp_path / "b" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:100])
    again, _ = trained(tmp_path / "b", monkeypatch=monkeypatch)
    assert len(again.seen) == 12
    assert torch.equal(whole.net[0].weight, again.net[0].weight)


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

    with pytest.raises(Invalid, match=r"update 1; lower train\.learning_rate"):
        Loop(SETTINGS, tmp_path).train(Explodes(), CLEAN, 0)


def test_weights_come_back_and_strangers_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, Tiny(), {"note": "x"})
    module = Tiny()
    nn.init.zeros_(module.net[0].weight)
    load_weights(path, module)
    assert torch.equal(module.net[0].weight, Tiny().net[0].weight)
    with pytest.raises(BenchError, match="another network: it lacks tensor 'bias'"):
        load_weights(path, nn.Linear(2, 2))
    other = Tiny()
    other.net[0] = nn.Conv2d(1, 4, 5)
    with pytest.raises(BenchError, match=r"has shape \(4, 1, 3, 3\), expected \(4, 1, 5, 5\)"):
        load_weights(path, other)
    path.write_bytes(b"not safetensors")
    with pytest.raises(BenchError, match="not a safetensors file"):
        load_weights(path, module)


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
