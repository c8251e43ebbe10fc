"""PSNR, SSIM and LPIPS against other implementations and against what they must fulfil."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import Invalid, StorageError
from bench.metrics import alexnet
from bench.metrics.fidelity import mse, psnr
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import ssim


def images(seed, shape):
    """Return smooth random images with a little noise, in [0, 1]."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(*shape[:2], 4, 4, generator=rng, dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    return (smooth + 0.02 * torch.randn(shape, generator=rng, dtype=torch.float64)).clamp(0, 1)


def noisy(x, sigma, seed=9):
    rng = torch.Generator().manual_seed(seed)
    return (x + sigma * torch.randn(x.shape, generator=rng, dtype=x.dtype)).clamp(0, 1)


@pytest.fixture(scope="module")
def lpips():
    return LPIPS()


@pytest.fixture(scope="module")
def lpips_peer():
    """The `lpips` distribution's network with our trunk."""
    from bench.torchvision_compat import import_torchvision

    pytest.importorskip("lpips")
    import_torchvision()
    import lpips

    peer = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    trunk = alexnet.weights()
    for name, tensor in peer.net.state_dict().items():
        _, number, kind = name.split(".")
        tensor.copy_(trunk[f"features.{number}.{kind}"])
    return peer


# ---------------------------------------------------------------------------- PSNR


def test_psnr_of_a_known_error():
    x = torch.full((3, 1, 8, 8), 0.5)
    y = x + torch.tensor([0.1, 0.01, 0.0]).view(3, 1, 1, 1)
    assert mse(x, y).tolist() == pytest.approx([1e-2, 1e-4, 0.0], rel=1e-5)
    assert psnr(x, y).tolist() == pytest.approx([20.0, 40.0, math.inf], rel=1e-6)


def test_psnr_equals_scikit_image():
    peer = pytest.importorskip("skimage.metrics").peak_signal_noise_ratio
    x = images(0, (4, 3, 20, 17))
    y = noisy(x, 0.1)
    expected = [peer(a.numpy(), b.numpy(), data_range=1.0) for a, b in zip(x, y, strict=True)]
    assert psnr(x, y).tolist() == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------------------- SSIM


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    channels=st.sampled_from([1, 3]),
    height=st.integers(11, 40),
    width=st.integers(11, 40),
    sigma=st.floats(0.0, 0.5),
)
def test_ssim_equals_scikit_image(seed, channels, height, width, sigma):
    peer = pytest.importorskip("skimage.metrics").structural_similarity
    x = images(seed, (2, channels, height, width))
    y = noisy(x, sigma)
    expected = [
        peer(
            a.numpy(),
            b.numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=0,
        )
        for a, b in zip(x, y, strict=True)
    ]
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=1e-9)


def test_ssim_equals_torchmetrics_inside_the_border():
    """torchmetrics also averages over windows that reach into a mirrored border."""
    from bench.torchvision_compat import import_torchvision

    import_torchvision()
    peer = pytest.importorskip("torchmetrics.functional.image")
    x = images(3, (5, 3, 32, 24))
    y = noisy(x, 0.2)
    _, pixels = peer.structural_similarity_index_measure(
        x, y, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = pixels[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))
    torch.testing.assert_close(ssim(x, y), inside, atol=1e-9, rtol=0)


def test_ssim_refuses_images_smaller_than_its_window():
    assert ssim(images(0, (1, 1, 11, 11)), images(1, (1, 1, 11, 11))).shape == (1,)
    small = images(0, (1, 1, 10, 30))
    with pytest.raises(Invalid, match="10x30 pixels, expected at least 11x11"):
        ssim(small, small)


def test_ssim_of_a_constant_shift():
    """Without structure only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1)."""
    a, b, c1 = 0.3, 0.6, 1e-4
    x, y = (torch.full((1, 1, 16, 16), v, dtype=torch.float64) for v in (a, b))
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert float(ssim(x, y)) == pytest.approx(expected, rel=1e-9)


# --------------------------------------------------------------------------- LPIPS


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (2, 3, 96, 80), (3, 1, 64, 64)])
def test_lpips_equals_the_reference(lpips, lpips_peer, shape):
    x = images(0, shape).float()
    y = noisy(x, 0.15)
    with torch.no_grad():
        expected = lpips_peer(x, y, normalize=True).flatten()
    assert lpips(x, y).shape == (shape[0],)
    torch.testing.assert_close(lpips(x, y), expected, atol=1e-6, rtol=1e-5)


def test_lpips_heads_are_those_of_the_distribution(lpips, lpips_peer):
    for layer, head in enumerate(lpips_peer.lins):
        assert torch.equal(lpips.get_buffer(f"lin{layer}"), head.model[-1].weight)


def test_lpips_enlarges_small_images_and_says_so(lpips):
    x = images(0, (1, 3, 32, 48)).float()
    y = noisy(x, 0.2)
    large = [
        torch.nn.functional.interpolate(z, (64, 96), mode="bilinear").clamp(0, 1) for z in (x, y)
    ]
    torch.testing.assert_close(lpips(x, y), lpips(*large), atol=1e-6, rtol=1e-5)
    assert lpips.resize_of(x) == lpips.resize == "bilinear-64"
    assert lpips.resize_of(large[0]) == "none"


def test_lpips_repeats_grey(lpips):
    x = images(0, (2, 1, 28, 28)).float()
    y = noisy(x, 0.1)
    colour = lpips(x.repeat(1, 3, 1, 1), y.repeat(1, 3, 1, 1))
    torch.testing.assert_close(lpips(x, y), colour)
    with pytest.raises(Invalid, match="2 channels"):
        lpips(x.repeat(1, 2, 1, 1), y.repeat(1, 2, 1, 1))


def test_lpips_takes_double_precision_images_and_trains_nothing(lpips):
    x = images(0, (1, 3, 64, 64))
    assert lpips(x, noisy(x, 0.1)).dtype == torch.float32
    assert not any(p.requires_grad for p in lpips.parameters())


def test_changed_weights_are_refused(monkeypatch):
    monkeypatch.setattr(alexnet, "WEIGHTS_SHA", "0" * 64)
    with pytest.raises(StorageError, match="expected 000000000000; reinstall"):
        alexnet.weights.__wrapped__()
    monkeypatch.setattr(alexnet, "WEIGHTS", "absent.safetensors")
    with pytest.raises(StorageError, match="cannot read"):
        alexnet.weights.__wrapped__()


# ------------------------------------------------------------------ common properties

METRICS = {"psnr": (psnr, math.inf, -1), "ssim": (ssim, 1.0, -1), "lpips": (LPIPS(), 0.0, 1)}


@pytest.mark.parametrize(("metric", "same", "direction"), METRICS.values(), ids=METRICS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 100))
def test_identity_symmetry_order_and_noise(metric, same, direction, seed):
    x = images(seed, (3, 3, 24, 24))
    y = noisy(x, 0.1, seed)
    value = metric(x, y).double()
    assert metric(x, x).tolist() == pytest.approx([same] * 3, abs=1e-12)
    torch.testing.assert_close(metric(y, x).double(), value, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(metric(x.flip(0), y.flip(0)).double().flip(0), value)
    one_by_one = torch.cat([metric(x[i : i + 1], y[i : i + 1]) for i in range(3)]).double()
    torch.testing.assert_close(one_by_one, value, atol=1e-6, rtol=1e-5)
    means = [float(metric(x, noisy(x, s, seed)).double().mean()) for s in (0.05, 0.1, 0.2, 0.4)]
    assert np.all(np.diff(means) * direction > 0)


def test_ssim_of_an_image_does_not_depend_on_its_batch_at_all():
    x = images(1, (7, 3, 32, 32)).float()
    y = noisy(x, 0.1)
    assert torch.equal(ssim(x, y)[2:3], ssim(x[2:3], y[2:3]))
