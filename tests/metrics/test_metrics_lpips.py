"""LPIPS on VGG16, against the `lpips` distribution with the same weights."""

import functools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench import weight_files, weights
from bench.api import BenchError, Missing
from bench.metrics import vgg16
from bench.metrics.lpips import LPIPS
from bench.torchvision_compat import import_torchvision


def published(seed=0):
    """Return random weights under the published names."""
    rng = torch.Generator().manual_seed(seed)
    found, number, before = {}, 0, 3
    for widths in vgg16.STAGES:
        for width in widths:
            spread = (2 / (9 * before)) ** 0.5
            kernel = spread * torch.randn(width, before, 3, 3, generator=rng)
            found[f"VGG16_0/Conv_{number}/kernel"] = kernel
            found[f"VGG16_0/Conv_{number}/bias"] = 0.1 * torch.randn(width, generator=rng)
            number, before = number + 1, width
    for head, width in enumerate(vgg16.CHANNELS):
        found[f"NetLinLayer_{head}/Conv_0/kernel"] = torch.rand(1, width, 1, 1, generator=rng)
    return found


def pair(side, channels=3):
    rng = torch.Generator().manual_seed(side)
    x = torch.rand(2, channels, side, side, generator=rng)
    return x, (x + 0.2 * torch.randn(x.shape, generator=rng)).clamp(0, 1)


@pytest.fixture(scope="module")
def random():
    """Return LPIPS on random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "read", lambda name: published())
        built = LPIPS("vgg")
    return built


@pytest.fixture
def peer_of(monkeypatch):
    """Return what makes the `lpips` distribution's network with given weights and heads."""
    return functools.partial(_peer_of, monkeypatch=monkeypatch)


def _peer_of(mine, monkeypatch):
    torchvision = import_torchvision()
    lpips = pytest.importorskip("lpips")
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    monkeypatch.setattr(  # without the classifier, which takes seconds to make
        torchvision.models, "vgg16", lambda **given: SimpleNamespace(features=layers)
    )
    peer = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    ours = mine.trunk.features.state_dict()
    with torch.no_grad():
        for name, tensor in peer.net.state_dict().items():
            _, number, kind = name.split(".")
            tensor.copy_(ours[f"{number}.{kind}"])
        for layer, head in enumerate(peer.lins):
            head.model[-1].weight.copy_(mine.get_buffer(f"lin{layer}"))
    return peer.eval()


@torch.no_grad()
def test_it_equals_the_reference_with_random_weights(random, peer_of):
    x, y = pair(72)
    expected = peer_of(random)(2 * x - 1, 2 * y - 1).view(-1)
    assert float(expected.min()) > 0.01
    torch.testing.assert_close(random(x, y), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_it_equals_the_reference_with_the_published_weights(peer_of):
    if not weights.is_here("vgg16"):
        pytest.skip("needs the fetched weights: python -m bench fetch vgg16")
    mine = LPIPS("vgg")
    import_torchvision()
    folder = Path(pytest.importorskip("lpips").__file__).parent
    heads = torch.load(folder / "weights" / "v0.1" / "vgg.pth", "cpu", weights_only=True)
    for layer, head in enumerate(heads.values()):
        assert torch.equal(head, mine.get_buffer(f"lin{layer}"))
    x, y = pair(64)
    expected = peer_of(mine)(2 * x - 1, 2 * y - 1).view(-1)
    torch.testing.assert_close(mine(x, y), expected, atol=1e-5, rtol=1e-5)


def test_an_image_has_no_distance_to_itself_and_grey_is_repeated(random):
    x, y = pair(64, channels=1)
    assert random(x, x).tolist() == [0.0, 0.0]
    colour = random(x.repeat(1, 3, 1, 1), y.repeat(1, 3, 1, 1))
    torch.testing.assert_close(random(x, y), colour)


def test_small_images_are_enlarged_alike_for_both_trunks(random):
    x, y = pair(16)
    large = [torch.nn.functional.interpolate(z, (64, 64), mode="bilinear") for z in (x, y)]
    torch.testing.assert_close(random(x, y), random(*large), atol=1e-6, rtol=1e-5)
    assert random.resize_of(x) == LPIPS.resize_of(x) == "bilinear-64"
    assert random.resize_of(large[0]) == "none"


def test_each_trunk_says_which_it_is(random):
    assert (random.name, random.weights_sha) == ("lpips-vgg", vgg16.WEIGHTS_SHA)
    assert LPIPS().name == "lpips-alex" != random.name
    assert LPIPS().weights_sha != random.weights_sha


def test_an_unknown_trunk_and_missing_weights_are_one_line(tmp_path, monkeypatch):
    with pytest.raises(BenchError, match="expected alex or vgg"):
        LPIPS("squeeze")
    for name in ("BENCH_CACHE_DIR", "BENCH_DATA_DIR", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(Missing, match="python -m bench fetch vgg16"):
        LPIPS("vgg")
