"""PSNR, SSIM and LPIPS against other implementations and against what they must fulfil."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import Invalid, StorageError
from bench.batches import to_bytes, to_float
from bench.metrics import alexnet
from bench.metrics.fidelity import mse, psnr
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import ssim, ssim_authors
from bench.tasks.scoring import HIGHER_IS_BETTER, Scorer, summary


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


@pytest.mark.parametrize("shape", [(4, 3, 20, 17), (1, 1, 1, 1), (1, 3, 11, 11), (2, 1, 7, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_psnr_equals_scikit_image_and_torchmetrics(shape, dtype):
    from bench.torchvision_compat import import_torchvision

    import_torchvision()
    peer = pytest.importorskip("skimage.metrics").peak_signal_noise_ratio
    other = pytest.importorskip("torchmetrics.functional.image").peak_signal_noise_ratio
    x = images(0, shape).to(dtype)
    y = noisy(x, 0.1)
    expected = [peer(a.numpy(), b.numpy(), data_range=1.0) for a, b in zip(x, y, strict=True)]
    assert psnr(x, y).dtype == torch.float64
    assert psnr(x, y).tolist() == pytest.approx(expected, rel=1e-6)
    one_by_one = other(x, y, data_range=1.0, reduction="none", dim=(1, 2, 3))
    assert psnr(x, y).tolist() == pytest.approx(one_by_one.tolist(), rel=1e-6)


def test_an_endless_psnr_is_counted_and_kept_out_of_the_mean():
    """Identical images: infinite, and not a number that somebody chose."""
    x = images(0, (3, 1, 16, 16))
    y = torch.cat([x[:1], noisy(x[1:], 0.1)])
    assert psnr(x, y).isinf().tolist() == [True, False, False]
    said = summary({"psnr": psnr(x, y)}, seed=0)
    assert said["exact"] == 1
    assert said["psnr"] == pytest.approx(float(psnr(x, y)[1:].mean()))
    assert said["mse_per_image"][0] == 0


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


@pytest.mark.parametrize("shape", [(1, 1, 11, 11), (1, 3, 11, 12), (9, 3, 33, 17)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [None, 0.0, 0.4, 1.0])
def test_ssim_at_its_edges_equals_scikit_image(shape, dtype, value):
    """The smallest size, odd sizes, one image, single precision, constant images."""
    peer = pytest.importorskip("skimage.metrics").structural_similarity
    x = images(0, shape).to(dtype) if value is None else torch.full(shape, value, dtype=dtype)
    y = noisy(x, 0.1)
    settings = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 1.0,
        "channel_axis": 0,
    }
    pairs = zip(x.double().numpy(), y.double().numpy(), strict=True)
    expected = [peer(a, b, **settings) for a, b in pairs]
    assert ssim(x, y).dtype == torch.float64
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    channels=st.sampled_from([1, 3]),
    height=st.integers(7, 40),
    width=st.integers(7, 40),
    sigma=st.floats(0.0, 0.5),
    data_range=st.sampled_from([1.0, 2.0]),
)
def test_the_authors_ssim_equals_scikit_images_defaults(
    seed, channels, height, width, sigma, data_range
):
    peer = pytest.importorskip("skimage.metrics").structural_similarity
    x = images(seed, (2, channels, height, width))
    y = noisy(x, sigma)
    expected = [
        peer(a.numpy(), b.numpy(), channel_axis=0, data_range=data_range)
        for a, b in zip(x, y, strict=True)
    ]
    value = ssim_authors(x, y, data_range=data_range)
    assert value.tolist() == pytest.approx(expected, abs=1e-9)


def test_the_authors_ssim_has_a_range_of_2_and_flatters():
    x = images(0, (4, 3, 64, 64))
    y = noisy(x, 0.05)
    assert torch.equal(ssim_authors(x, y), ssim_authors(x, y, data_range=2.0))
    assert (ssim_authors(x, y) > ssim_authors(x, y, data_range=1.0) + 0.05).all()
    with pytest.raises(Invalid, match="6x6 pixels, expected at least 7x7"):
        ssim_authors(x[..., :6, :6], y[..., :6, :6])


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


# ------------------------------------------------------------------ bytes and scores


def test_bytes_are_rounded_and_never_wrap_around():
    values = torch.tensor([-0.02, 0.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.0, 1.004, 1.01, 9.0])
    assert to_bytes(values).tolist() == [0, 0, 0, 1, 255, 255, 255, 255, 255]
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert np.array_equal(to_bytes(to_float(levels)).numpy(), levels)
    assert (float(to_float(levels).min()), float(to_float(levels).max())) == (0.0, 1.0)


def test_scores_are_those_of_the_clipped_estimate():
    clean = images(0, (2, 3, 64, 64)).float()
    estimate = clean + 0.5 * (noisy(clean, 0.3) - 0.5)
    scores = Scorer.on("cpu")(estimate, clean)
    assert scores.keys() == HIGHER_IS_BETTER.keys()
    shown = estimate.clamp(0, 1)
    assert torch.equal(scores["psnr"], psnr(shown, clean))
    assert torch.equal(scores["ssim"], ssim(shown, clean))
    assert all(values.dtype == torch.float64 for values in scores.values())
