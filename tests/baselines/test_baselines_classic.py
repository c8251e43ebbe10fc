"""identity, wiener and bm3d: nothing is trained."""

import os
import signal

import numpy as np
import pytest
import torch

from baselines import _bm3d_child
from bench.api import BenchError, Denoiser, Level
from bench.registry import build

LEVEL = Level(sigma=0.1)


def no_noise(like):
    raise AssertionError("a classic denoiser draws no noise")


def digits(image_size, count=12):
    data = build("dataset", "digits", image_size=image_size)
    train, test = (torch.from_numpy(data.images(s)) / 255 for s in ("train", "test"))
    clean = test[:count]
    eps = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return train, clean, clean + LEVEL.sigma * eps


def psnr(a, b):
    return float(-10 * (a - b).double().square().mean().log10())


@pytest.fixture(scope="module")
def bm3d():
    pytest.importorskip("bm3d")
    return build("denoiser", "bm3d", channels=1, image_size=8)


def test_identity_returns_its_input():
    y = torch.randn(2, 3, 8, 8)
    denoiser = build("denoiser", "identity")
    assert isinstance(denoiser, Denoiser)
    assert torch.equal(denoiser.denoise(y, LEVEL, no_noise), y)


@pytest.mark.parametrize(("image_size", "gain"), [(8, 2.0), (16, 7.0), (40, 5.0)])
def test_wiener_gains_on_digits(image_size, gain):
    """8 and 16 use the whole covariance; 40 is the stationary form."""
    train, clean, y = digits(image_size)
    wiener = build("denoiser", "wiener", channels=1, image_size=image_size)
    wiener.fit(train, [LEVEL], None, 0)
    assert psnr(wiener.denoise(y, LEVEL, no_noise), clean) > psnr(y, clean) + gain


def test_wiener_is_the_posterior_mean_of_gaussian_data():
    random = torch.Generator().manual_seed(1)
    root = torch.randn(16, 16, generator=random, dtype=torch.float64) / 4
    x = torch.randn(500, 16, generator=random, dtype=torch.float64) @ root.T + 0.5
    y = x[:5] + 0.3 * torch.randn(5, 16, generator=random, dtype=torch.float64)
    wiener = build("denoiser", "wiener", channels=1, image_size=4)
    wiener.fit(x.reshape(-1, 1, 4, 4), [LEVEL], None, 0)
    found = wiener.denoise(y.reshape(-1, 1, 4, 4), Level(0.3), no_noise).flatten(1)
    S, mean = torch.cov(x.T), x.mean(0)
    gain = S @ torch.linalg.inv(S + 0.09 * torch.eye(16))
    assert torch.allclose(found, mean + (y - mean) @ gain.T, atol=1e-10)


def test_stationary_wiener_is_exact_for_periodic_noise_fields():
    """On periodic stationary data with two dependent channels it equals the full-covariance form.

    All cyclic shifts of each image are in the training set, so its covariance is block circulant.
    """
    random = torch.Generator().manual_seed(2)
    base = torch.rand(6, 2, 4, 4, generator=random, dtype=torch.float64)
    base[:, 1] = 0.5 * base[:, 1] + 0.5 * base[:, 0]
    x = torch.cat([base.roll((i, j), (2, 3)) for i in range(4) for j in range(4)])
    y = x[:3] + 0.2 * torch.randn(3, 2, 4, 4, generator=random, dtype=torch.float64)
    full = build("denoiser", "wiener", channels=2, image_size=4)
    import baselines.wiener as module

    limit, module.FULL_UP_TO = module.FULL_UP_TO, 0
    stationary = build("denoiser", "wiener", channels=2, image_size=4)
    module.FULL_UP_TO = limit
    assert full.full
    assert not stationary.full
    results = []
    for wiener in (full, stationary):
        wiener.fit(x, [LEVEL], None, 0)
        results.append(wiener.denoise(y, Level(0.2), no_noise))
    assert torch.allclose(*results, atol=1e-10)


def test_wiener_keeps_everything_without_noise_and_the_mean_under_much():
    train, clean, _ = digits(8)
    wiener = build("denoiser", "wiener", channels=1, image_size=8)
    with pytest.raises(BenchError, match="not fitted"):
        wiener.denoise(clean, LEVEL, no_noise)
    with pytest.raises(BenchError, match="at least 2"):
        wiener.fit(train[:1], [LEVEL], None, 0)
    wiener.fit(train, [LEVEL], None, 0)
    blurred = wiener.denoise(clean, Level(1e6), no_noise)
    assert torch.allclose(blurred, train.mean(0).expand_as(clean), atol=1e-6)
    other = build("denoiser", "wiener", channels=1, image_size=8)
    other.load_state_dict(wiener.state_dict())
    assert torch.equal(
        other.denoise(clean, LEVEL, no_noise), wiener.denoise(clean, LEVEL, no_noise)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("image_size", "gain"), [(8, 0.3), (32, 7.0)])
def test_bm3d_gains_on_digits(bm3d, image_size, gain):
    _, clean, y = digits(image_size, count=3)
    restored = bm3d.denoise(y, LEVEL, no_noise)
    assert restored.shape == y.shape
    assert restored.dtype == y.dtype
    assert psnr(restored, clean) > psnr(y, clean) + gain


@pytest.mark.slow
def test_bm3d_on_colour_and_alone(bm3d):
    pytest.importorskip("bm3d")
    colour = build("denoiser", "bm3d", channels=3)
    x = torch.linspace(0, 1, 16).expand(2, 3, 16, 16) * torch.tensor([1.0, 0.5, 0.2])[:, None, None]
    y = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    restored = colour.denoise(y, LEVEL, no_noise)
    assert psnr(restored, x) > psnr(y, x) + 5
    assert torch.equal(colour.denoise(y[1:], LEVEL, no_noise), restored[1:])


def test_bm3d_refuses_two_channels():
    pytest.importorskip("bm3d")
    with pytest.raises(BenchError, match="got 2 channels"):
        build("denoiser", "bm3d", channels=2)


def test_a_dead_bm3d_process_is_named_and_replaced(bm3d):
    _, _, y = digits(8, count=1)
    expected = bm3d.denoise(y, LEVEL, no_noise)
    process = bm3d._worker._process
    os.kill(process.pid, signal.SIGSEGV)
    process.wait()
    with pytest.raises(BenchError, match=r"bm3d's process died \(exit code -11.*image 0"):
        bm3d.denoise(y, LEVEL, no_noise)
    assert torch.equal(bm3d.denoise(y, LEVEL, no_noise), expected)


@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (8, 8, 3), (16, 40), (15, 17)])
def test_small_images_are_mirrored_and_found_again(shape):
    image = np.random.default_rng(0).random(shape)
    larger, inside = _bm3d_child.padded(image)
    assert min(larger.shape[:2]) >= 16
    assert np.array_equal(larger[inside], image)
    assert set(larger.ravel()) <= set(image.ravel())
