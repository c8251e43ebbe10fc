"""Generators: the contract of each that is registered, and the variational autoencoder."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from baselines.blurred_train import blurred
from bench.api import BenchError, Generator, Kind
from bench.registry import build, entries
from bench.seeds import ImageNoise, generator

GENERATORS = [pytest.param(entry.name, id=entry.name) for entry in entries(Kind.GENERATOR)]


class Adam:
    """The smallest trainer that satisfies the protocol."""

    def __init__(self, updates=2, rate=3e-3):
        self.updates, self.rate, self.losses = updates, rate, []

    def train(self, module, clean, seed):
        optimiser = torch.optim.Adam(module.parameters(), lr=self.rate)
        module.train()
        for update in range(self.updates):
            rng = generator(seed, update)
            chosen = torch.randint(len(clean), (16,), generator=rng)
            optimiser.zero_grad()
            loss = module.loss(clean[chosen], rng)
            loss.backward()
            optimiser.step()
            self.losses.append(float(loss.detach()))


def network(name, seed=0, **settings):
    torch.manual_seed(seed)
    return build("generator", name, **{"channels": 1, "image_size": 16, "scale": 0.125, **settings})


def images(count=20, channels=1, size=16):
    return torch.rand(count, channels, size, size, generator=generator("images"))


def streams(*numbers):
    return ImageNoise("draw", images=numbers)


# ------------------------------------------------------------------ all generators


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(("channels", "size", "scale"), [(1, 16, 0.25), (3, 16, 0.1), (3, 24, 1)])
def test_draws_are_images(name, channels, size, scale):
    made = network(name, channels=channels, image_size=size, scale=scale)
    assert isinstance(made, Generator) and isinstance(made.leaks, bool)
    made.fit(images(channels=channels, size=size), [], Adam(), seed=0)
    drawn = made.draw(streams(*range(5)), 5)
    assert drawn.shape == (5, channels, size, size) and drawn.dtype == torch.float32
    assert 0 <= float(drawn.min()) < float(drawn.max()) <= 1
    assert not drawn.requires_grad


@pytest.mark.parametrize("name", GENERATORS)
def test_an_image_depends_on_its_own_noise_alone(name):
    made = network(name)
    made.fit(images(), [], Adam(), seed=0)
    drawn = made.draw(streams(4, 7, 9), 3)
    assert torch.equal(drawn, made.draw(streams(4, 7, 9), 3))
    alone = made.draw(streams(7), 1)
    torch.testing.assert_close(drawn[1:2], alone, atol=1e-6, rtol=0)
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-3)


@pytest.mark.parametrize("name", GENERATORS)
def test_what_is_learnt_depends_on_the_seed_alone(name):
    def drawn(seed):
        made = network(name)
        made.fit(images(), [], Adam(), seed=seed)
        return made.draw(streams(1, 2), 2)

    assert torch.equal(drawn(1), drawn(1))
    learns = hasattr(network(name), "loss")
    assert torch.equal(drawn(1), drawn(2)) != learns


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_that_leaks_says_so(name):
    """Its draws are nearer to what it was fitted to than to other images of the kind."""
    kinds = build("dataset", "digits", image_size=16)
    ours, others = (
        torch.from_numpy(kinds.images("train")[part].copy()).float() / 255
        for part in (slice(0, 600), slice(600, 1200))
    )
    made = network(name)
    made.fit(ours, [], Adam(100), seed=0)
    drawn = made.draw(streams(*range(40)), 40)
    # Rough images are compared with equally rough ones.
    rough = [blurred(x, 4.0).flatten(1) for x in (drawn, ours, others)]
    nearest = [float(torch.cdist(rough[0], x).amin(1).mean()) for x in rough[1:]]
    assert (nearest[0] < 0.85 * nearest[1]) == made.leaks


# ------------------------------------------------------------------ the autoencoder


def test_the_autoencoder_refuses_sizes_that_it_cannot_halve():
    for size in (30, 4, 0):
        with pytest.raises(BenchError, match=rf"image_size is {size}, expected a multiple of 8"):
            build("generator", "vae", image_size=size)


def test_its_loss_is_the_negative_elbo():
    made, batch = network("vae").double(), images(6).double()
    code = made.encode(batch)
    normal = Normal(code.mean, (0.5 * code.log_variance).exp())
    kl = kl_divergence(normal, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(code.kl(), kl)
    assert bool((kl > 0).all())

    eps = torch.randn(code.mean.shape, generator=generator(3)).to(batch)
    decoded = made.decoder(normal.mean + normal.stddev * eps)

    def bound(variance):
        surprise = -Normal(decoded, math.sqrt(variance)).log_prob(batch).flatten(1).sum(1)
        return float((surprise + kl).mean().detach()) / batch[0].numel()

    best = float((decoded - batch).square().mean().detach())
    loss = float(made.loss(batch, generator(3)).detach())
    assert loss == pytest.approx(bound(best), rel=1e-5)
    assert loss < min(bound(1.1 * best), bound(0.9 * best)), "no variance is better"


def test_its_gradient_is_that_of_the_elbo_at_the_best_variance():
    """The variance is at its best, so that it may as well be held: a check on `clamp` and `log`."""
    made, batch = network("vae").double(), images(6).double()
    made.loss(batch, generator(3)).backward()
    found = [p.grad.clone() for p in made.parameters()]
    assert all(bool(grad.any()) for grad in found)
    made.zero_grad()
    code = made.encode(batch)
    eps = torch.randn(code.mean.shape, generator=generator(3)).to(batch)
    square = (made.decoder(code.mean + (0.5 * code.log_variance).exp() * eps) - batch) ** 2
    variance = float(square.mean().detach())
    (square.mean() / (2 * variance) + code.kl().mean() / batch[0].numel()).backward()
    for one, parameter in zip(found, made.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-3, atol=1e-7)


def test_its_codes_are_drawn_as_those_of_the_training_images_lie():
    made, clean = network("vae"), images(300)
    assert torch.equal(made.code_root, torch.eye(made.latent)), "before, as the prior"
    made.fit(clean, [], Adam(5), seed=0)
    with torch.no_grad():
        code = made.encode(clean)
        rng = generator("codes")
        drawn = torch.randn(200, *code.mean.shape, generator=rng)
        codes = (code.mean + (0.5 * code.log_variance).exp() * drawn).flatten(0, 1)
    torch.testing.assert_close(made.code_mean, codes.mean(0), atol=0.03, rtol=0)
    root = made.code_root
    torch.testing.assert_close(root @ root.T, torch.cov(codes.T), atol=0.03, rtol=0.02)


def test_a_checkpoint_is_all_that_draws_need():
    made, other = network("vae"), network("vae", seed=1)
    made.fit(images(), [], Adam(), seed=0)
    other.load_state_dict(made.state_dict())
    assert torch.equal(made.draw(streams(1, 2), 2), other.draw(streams(1, 2), 2))


@pytest.mark.slow
def test_a_little_training_gives_draws_like_digits():
    data = build("dataset", "digits", image_size=16).images("train")
    clean = torch.from_numpy(data.copy()).float() / 255
    made, trainer = network("vae", scale=0.25), Adam(200, rate=4e-3)
    made.fit(clean, [], trainer, seed=0)
    assert sum(trainer.losses[-20:]) / 20 < trainer.losses[0] - 0.8
    drawn = made.draw(streams(*range(256)), 256)
    mean, spread = clean.mean(0), clean.std(0)
    # Where the digits' own mean and deviation are these far from flat: 0.24 and 0.11.
    assert float((drawn.mean(0) - mean).abs().mean()) < 0.03
    assert float((drawn.std(0) - spread).abs().mean()) < 0.07
    together = torch.corrcoef(torch.stack([drawn.std(0).flatten(), spread.flatten()]))
    assert float(together[0, 1]) > 0.9
