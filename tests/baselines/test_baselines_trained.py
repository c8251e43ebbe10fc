"""dncnn and conv-ae."""

import pytest
import torch

from bench.api import BenchError, Denoiser, Level
from bench.registry import build

TRAINED = ["dncnn", "conv-ae"]
ONE = [Level(0.1)]
RANGE = [Level(0.3), Level(0.1), Level(0.2)]


class Adam:
    """The smallest trainer that satisfies the protocol."""

    def __init__(self, steps=1, rate=1e-3, batch=16):
        self.steps, self.rate, self.batch = steps, rate, batch

    def train(self, module, clean, seed):
        rng = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.Adam(module.parameters(), lr=self.rate)
        module.train()
        for _ in range(self.steps):
            chosen = torch.randint(len(clean), (self.batch,), generator=rng)
            optimiser.zero_grad()
            module.loss(clean[chosen], rng).backward()
            optimiser.step()


def network(name, seed=0, **settings):
    torch.manual_seed(seed)
    return build("denoiser", name, **{"channels": 1, "image_size": 16, "scale": 0.125, **settings})


def images(count=4, channels=1, size=16):
    random = torch.Generator().manual_seed(5)
    return torch.rand(count, channels, size, size, generator=random)


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("dncnn", 3, 669_312),  # as the authors'
        ("dncnn", 1, 667_008),
        ("conv-ae", 3, 4_307_011),
    ],
)
def test_parameter_counts(name, channels, parameters):
    module = build("denoiser", name, channels=channels, image_size=64)
    assert sum(p.numel() for p in module.parameters()) == parameters


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_is_kept_on_unclipped_input(name, channels):
    module = network(name, channels=channels)
    assert isinstance(module, Denoiser)
    y = images(channels=channels) + 5 * torch.randn(4, channels, 16, 16)
    restored = module.denoise(y, Level(5.0), None)
    assert restored.shape == y.shape
    assert restored.isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_receives_a_gradient(name):
    module = network(name)
    module.levels = tuple(ONE)
    module.loss(images(), torch.Generator().manual_seed(0)).backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", TRAINED)
def test_an_image_does_not_depend_on_its_neighbours(name):
    module = network(name)
    module.fit(images(), ONE, Adam(steps=2), seed=0)  # leaves training mode on
    y = images(count=4)
    alone = module.denoise(y[:1], ONE[0], None)
    assert torch.allclose(module.denoise(y, ONE[0], None)[:1], alone, atol=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_training_is_repeatable(name):
    def restored(seed):
        module = network(name)
        module.fit(images(), RANGE, Adam(steps=2), seed=seed)
        return module.denoise(images(), ONE[0], None)

    assert torch.equal(restored(1), restored(1))
    assert not torch.equal(restored(1), restored(2))


@pytest.mark.parametrize("name", TRAINED)
def test_levels_are_those_of_fit(name):
    module = network(name)
    rng = torch.Generator().manual_seed(0)
    with pytest.raises(BenchError, match="no noise levels yet"):
        module.loss(images(), rng)
    with pytest.raises(BenchError, match="no noise level"):
        module.fit(images(), [], Adam(), seed=0)
    module.fit(images(), ONE, Adam(steps=0), seed=0)
    assert torch.equal(module.draw_sigma(50, rng), torch.full((50, 1, 1, 1), 0.1))
    module.fit(images(), RANGE, Adam(steps=0), seed=0)
    assert module.levels == tuple(RANGE)
    sigma = module.draw_sigma(2000, rng)
    assert sigma.min() >= 0.1
    assert sigma.max() <= 0.3
    assert float(sigma.mean()) == pytest.approx(0.2, abs=0.01)


def test_the_loss_is_the_error_at_that_level():
    """A network whose last layer is zero leaves the noise: its loss is sigma squared."""
    module = network("dncnn")
    torch.nn.init.zeros_(module.noise[-1].weight)
    module.levels = (Level(0.25),)
    loss = module.loss(images(count=64), torch.Generator().manual_seed(0))
    values = 64 * 16 * 16
    assert loss.item() == pytest.approx(0.25**2, rel=4 * (2 / values) ** 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "image_size", "steps", "least"),
    [
        ("dncnn", 16, 60, 2.0),  # from random weights alone it gains 0.7 dB, and stays there
        ("conv-ae", 16, 100, 6.0),
    ],
)
def test_a_little_training_gains(name, image_size, steps, least):
    """At sigma 0.5, where the bottleneck of the autoencoder costs less than the noise."""
    data = build("dataset", "digits", image_size=image_size)
    train, test = (torch.from_numpy(data.images(s)) / 255 for s in ("train", "test"))
    level = Level(0.5)
    module = network(name, image_size=image_size, scale=0.25)
    rate, batch = (1e-2, 16) if name == "dncnn" else (3e-3, 32)
    module.fit(train, [level], Adam(steps, rate=rate, batch=batch), seed=0)
    noise = torch.randn(test.shape, generator=torch.Generator().manual_seed(9))
    restored = module.denoise(test + level.sigma * noise, level, None)
    gain = 10 * torch.log10(level.sigma**2 / (restored - test).square().mean())
    assert gain > least


def test_conv_ae_says_which_sizes_it_takes():
    with pytest.raises(BenchError, match="multiple of 16"):
        build("denoiser", "conv-ae", image_size=28)


def test_dncnn_begins_near_the_identity():
    """A hidden layer's first weights: 1 from each channel to itself, and 0.3 of torch's own."""
    module = network("dncnn", scale=1.0)
    hidden = [layer for layer in module.noise if isinstance(layer, torch.nn.Conv2d)][1:-1]
    assert len(hidden) == 18
    for layer in hidden:
        rest = layer.weight - torch.nn.init.dirac_(torch.empty_like(layer.weight))
        # torch draws uniformly between +-1 / sqrt(fan in)
        assert float(rest.detach().abs().max()) <= 0.3 / (64 * 9) ** 0.5 * (1 + 1e-5)
        assert float(rest.detach().std()) == pytest.approx(0.3 / (3 * 64 * 9) ** 0.5, rel=0.02)


def test_nothing_vanishes_in_the_first_autoencoder():
    """He et al.'s condition: the second moment stays of one size from layer to layer."""
    module, x = (
        network("conv-ae", channels=3, image_size=64, scale=1.0),
        images(channels=3, size=64),
    )
    moments = []
    with torch.no_grad():
        for layer in [*module.encoder, *module.decoder]:
            x = layer(x)
            if isinstance(layer, torch.nn.ReLU):
                moments.append(float(x.square().mean()))
    assert len(moments) == 7
    assert max(moments) < 4 * min(moments)
