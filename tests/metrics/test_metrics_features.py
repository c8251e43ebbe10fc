"""The feature extractors that need no download."""

import pytest
import torch

from bench.api import Invalid
from bench.registry import build, find


@pytest.fixture(scope="module", params=["alexnet", "pixels"])
def extractor(request):
    return build("features", request.param)


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_keeps_the_contract(extractor):
    entry = find("features", extractor.name)
    assert entry.source
    features = extractor(images(3, 3, 32, 32))
    assert features.shape == (3, extractor.dimension)
    assert features.dtype == torch.float32
    assert len(extractor.weights_sha) == 64
    assert extractor.resize


def test_grey_equals_three_equal_channels(extractor):
    grey = images(2, 1, 64, 64)
    torch.testing.assert_close(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))


def test_an_image_does_not_depend_on_its_batch(extractor):
    batch = images(5, 3, 64, 64)
    torch.testing.assert_close(extractor(batch)[3:4], extractor(batch[3:4]), atol=1e-5, rtol=1e-5)


def test_it_tells_images_apart(extractor):
    features = extractor(images(4, 3, 64, 64) * torch.linspace(0.2, 1, 4).view(4, 1, 1, 1))
    distances = torch.cdist(features, features)
    assert (distances[~torch.eye(4, dtype=torch.bool)] > 0.05).all()


def test_it_is_frozen_and_deterministic(extractor):
    x = images(2, 3, 64, 64)
    assert torch.equal(extractor(x), extractor(x))
    assert not extractor(x).requires_grad
    assert not any(p.requires_grad for p in extractor.parameters())


def test_it_refuses_what_is_no_image(extractor):
    with pytest.raises(Invalid, match="expected"):
        extractor(images(2, 3, 64, 64) * 2)
    with pytest.raises(Invalid):
        extractor(torch.full((1, 3, 64, 64), torch.nan))


def test_alexnet_enlarges_small_images_only():
    extractor = build("features", "alexnet")
    small = images(1, 3, 32, 32)
    enlarged = torch.nn.functional.interpolate(small, (64, 64), mode="bilinear")
    torch.testing.assert_close(extractor(small), extractor(enlarged), atol=1e-5, rtol=1e-5)
    large = images(1, 3, 128, 128)
    halved = torch.nn.functional.interpolate(large, (64, 64), mode="bilinear")
    assert not torch.allclose(extractor(large), extractor(halved), atol=1e-2)


def test_alexnet_equals_torchvision():
    from bench.metrics import alexnet
    from bench.torchvision_compat import import_torchvision

    torchvision = import_torchvision()
    peer = torchvision.models.alexnet(weights=None).features[:12].eval()
    trunk = {k.removeprefix("features."): v for k, v in alexnet.weights().items() if k[0] == "f"}
    peer.load_state_dict(trunk)
    x = images(2, 3, 64, 64)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    with torch.no_grad():
        expected = peer((x - mean) / std).mean(dim=(2, 3))
    torch.testing.assert_close(build("features", "alexnet")(x), expected)


def test_pixels_are_the_averages_of_cells():
    x = torch.arange(32.0).view(1, 1, 1, 32).expand(1, 3, 32, 32) / 31
    features = build("features", "pixels")(x).view(16, 16)
    torch.testing.assert_close(features[5], (torch.arange(16.0) * 2 + 0.5) / 31)
    with pytest.raises(Invalid, match="16 or more"):
        build("features", "pixels")(images(1, 1, 8, 8))
