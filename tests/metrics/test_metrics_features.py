"""The feature extractors; those whose weights are fetched, with random ones."""

import functools

import pytest
import torch

from bench import weight_files
from bench.api import BenchError, Invalid, Missing
from bench.metrics import trunk, vgg16
from bench.metrics.efficientnet import EfficientNetLite0
from bench.metrics.features import digit_classifier
from bench.metrics.features.inception import RESIZES
from bench.metrics.inception import Inception
from bench.registry import build, find

FETCHED = {"efficientnet-lite0": EfficientNetLite0, "inception": Inception}


@functools.cache
def random_weights(name):
    """Return weights under the published names, of a size that keeps features apart."""
    rng = torch.Generator().manual_seed(0)

    def kernel(shape):
        return (2 / shape[1:].numel()) ** 0.5 * torch.randn(shape, generator=rng)

    if name in FETCHED:
        state = FETCHED[name](None).state_dict()
        return {
            key: kernel(value.shape) if value.ndim == 4 else value
            for key, value in state.items()
            if value.is_floating_point()
        }
    found, before = {}, 3
    for number, width in enumerate(width for stage in vgg16.STAGES for width in stage):
        found[f"VGG16_0/Conv_{number}/kernel"] = kernel(torch.Size((width, before, 3, 3)))
        found[f"VGG16_0/Conv_{number}/bias"] = torch.zeros(width)
        before = width
    for head, width in enumerate(vgg16.CHANNELS):
        found[f"NetLinLayer_{head}/Conv_0/kernel"] = torch.ones(1, width, 1, 1)
    return found


@pytest.fixture
def fetched(monkeypatch):
    monkeypatch.setattr(weight_files, "read", random_weights)


@pytest.fixture(
    scope="module",
    params=["alexnet", "pixels", "digit-classifier", "vgg16", "efficientnet-lite0", "inception"],
)
def extractor(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "read", random_weights)
        built = build("features", request.param)
    return built


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_keeps_the_contract(extractor):
    entry = find("features", extractor.name)
    assert entry.source
    features = extractor(images(2, 3, 32, 32))
    assert features.shape == (2, extractor.dimension)
    assert features.dtype == torch.float32
    assert len(extractor.weights_sha) == 64
    assert extractor.resize


def test_grey_equals_three_equal_channels(extractor):
    grey = images(1, 1, 64, 64)
    colour = extractor(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(
        extractor(grey), colour, atol=1e-5 * float(colour.abs().max()), rtol=1e-4
    )


def test_an_image_does_not_depend_on_its_batch(extractor):
    batch = images(3, 3, 64, 64)
    whole, alone = extractor(batch)[2:], extractor(batch[2:])
    torch.testing.assert_close(whole, alone, atol=1e-5 * float(alone.abs().max()), rtol=1e-4)


def test_it_tells_images_apart(extractor):
    features = extractor(images(3, 3, 64, 64) * torch.linspace(0.2, 1, 3).view(3, 1, 1, 1))
    distances = torch.cdist(features, features)
    assert (distances[~torch.eye(3, dtype=torch.bool)] > 0.05).all()


def test_it_is_frozen_and_deterministic(extractor):
    x = images(1, 3, 64, 64)
    features = extractor(x)
    assert torch.equal(features, extractor(x))
    assert not features.requires_grad
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


# ------------------------------------------------------------------ precision and resize


def test_arithmetic_is_single_precision_unless_asked_and_supported(fetched, monkeypatch):
    x = images(2, 3, 64, 64)
    usual = build("features", "alexnet")
    assert usual.precision == "float32"
    if trunk.has_bfloat16():
        coarse = build("features", "alexnet", precision="bfloat16")
        assert coarse.precision == "bfloat16"
        assert coarse(x).dtype == torch.float32
        apart = float((coarse(x) - usual(x)).norm() / usual(x).norm())
        assert 1e-5 < apart < 0.02
    monkeypatch.setattr(trunk, "has_bfloat16", lambda: False)
    for name in ("alexnet", "vgg16", "efficientnet-lite0", "inception"):
        with pytest.raises(BenchError, match="no bfloat16 arithmetic; choose precision = float32"):
            build("features", name, precision="bfloat16")
    with pytest.raises(BenchError, match="expected one of float32, bfloat16"):
        build("features", "alexnet", precision="float16")


def test_inception_has_two_named_ways_to_resize(fetched):
    small, large = images(1, 3, 64, 64), images(1, 3, 400, 400)
    ours, theirs = (build("features", "inception", resize=name) for name in RESIZES)
    assert [ours.resize, theirs.resize] == ["bilinear-299", "pytorch-fid-299"]
    torch.testing.assert_close(ours.resized(small), theirs.resized(small))  # enlarged alike
    assert not torch.allclose(ours.resized(large), theirs.resized(large), atol=0.05)
    plain = torch.nn.functional.interpolate(large, (299, 299), mode="bilinear")
    assert torch.equal(theirs.resized(large), plain)
    with pytest.raises(BenchError, match="expected one of bilinear-299, pytorch-fid-299"):
        build("features", "inception", resize="nearest")


def test_each_network_sees_the_values_it_was_trained_on(fetched):
    grey = torch.tensor([0.0, 127 / 255, 128 / 255, 1.0]).view(4, 1, 1, 1)
    levels = {
        "efficientnet-lite0": (255 * grey - 127) / 128,
        "inception": (255 * grey - 128) / 128,
    }
    for name, expected in levels.items():
        built = build("features", name)
        torch.testing.assert_close((grey - built.mean) / built.std, expected.expand(4, 3, 1, 1))
    other = build("features", "inception", resize="pytorch-fid-299")
    seen = (grey - other.mean) / other.std
    torch.testing.assert_close(seen, (2 * grey - 1).expand(4, 3, 1, 1))


@pytest.mark.parametrize("name", ["vgg16", "efficientnet-lite0", "inception"])
def test_without_its_weights_an_extractor_names_the_command(name, tmp_path, monkeypatch):
    for variable in ("BENCH_CACHE_DIR", "BENCH_DATA_DIR", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(Missing, match=f"python -m bench fetch {name}"):
        build("features", name)


# ------------------------------------------------------------------ the network of digits


def test_the_digit_network_tells_held_out_digits_apart():
    network, _ = digit_classifier.trained()
    pictures, digits = digit_classifier.labelled("test")
    assert len(digits) == 397
    right = float((network(pictures).argmax(1) == digits).float().mean())
    assert right > 0.97


def test_training_is_repeatable_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(digit_classifier, "EPOCHS", 1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    shas = []
    for _ in range(2):
        with torch.inference_mode():
            network, sha = digit_classifier.trained.__wrapped__()
        torch.rand(7)
        shas.append((sha, network.training))
    assert shas[0] == shas[1] and not shas[0][1]
    torch.set_rng_state(state)
    digit_classifier.trained.__wrapped__()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_changed_labels_are_refused(monkeypatch):
    monkeypatch.setattr("bench.data.digits.LABELS_SHA256", "0" * 64)
    with pytest.raises(BenchError, match="install the package again"):
        digit_classifier.labelled("train")
