"""The two networks whose weights are fetched, against independent definitions of them."""

import pytest
import torch
from torch import nn

from bench.api import BenchError
from bench.metrics import efficientnet
from bench.metrics.inception import DIMENSION, Inception, average, maximum
from bench.torchvision_compat import import_torchvision


def shaken(network, seed=0):
    """Give a network random weights under which values keep their size from layer to layer."""
    rng = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=rng))
        elif value.is_floating_point():
            spread = (2 / value[0].numel()) ** 0.5 if value.ndim == 4 else 0.1
            value.copy_(spread * torch.randn(value.shape, generator=rng) + (value.ndim == 1) * 0.5)
    return network.eval()


@pytest.fixture
def stranger(monkeypatch):
    """Return torch-fidelity's definition of the network, with random weights."""
    import_torchvision()  # which the other package imports without help
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda url, progress: {})
    kind = module.FeatureExtractorInceptionV3
    monkeypatch.setattr(kind, "load_state_dict", lambda self, given: None)
    network = kind("inception-v3-compat", ["2048"])
    monkeypatch.undo()
    return shaken(network)


@torch.no_grad()
def test_inception_equals_torch_fidelitys_definition(stranger):
    mine = Inception({k: v for k, v in stranger.state_dict().items() if v.is_floating_point()})
    images = torch.randint(0, 256, (2, 3, 299, 299), generator=torch.Generator().manual_seed(1))
    (theirs,) = stranger(images.to(torch.uint8))
    ours = mine((images - 128) / 128)
    assert ours.shape == (2, DIMENSION)
    assert float(theirs.std()) > 1e-3, "the features differ from one another"
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_inception_has_the_published_number_of_parameters():
    # 23.8 million with a classifier of 1,008 classes, less that classifier.
    assert sum(p.numel() for p in Inception(None).parameters()) == 21_785_568


def test_averages_leave_the_padding_out_and_the_last_block_takes_the_maximum():
    assert torch.equal(average(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert average(x)[0, 0, 0, 0] == (0 + 1 + 3 + 4) / 4
    network = Inception(None)
    assert network.Mixed_7b.pool is average
    assert network.Mixed_7c.pool is maximum


@pytest.mark.slow
def test_weights_of_another_network_are_refused_in_one_line():
    state = {k: v for k, v in Inception(None).state_dict().items() if v.is_floating_point()}
    state["fc.bias"] = torch.zeros(1008)
    Inception(state)
    removed = state.pop("Mixed_6b.branch7x7_1.conv.weight")
    with pytest.raises(BenchError, match=r"1 tensors are missing.*Mixed_6b\.branch7x7_1") as caught:
        Inception(state)
    assert "\n" not in str(caught.value)
    with pytest.raises(BenchError, match=r"another network.*size mismatch"):
        Inception({**state, "Mixed_6b.branch7x7_1.conv.weight": removed[:1]})


def test_efficientnet_has_the_published_size():
    network = efficientnet.EfficientNetLite0(None)
    # 4,652,008 parameters as published, of which the classifier holds 1,281,000.
    assert sum(p.numel() for p in network.parameters()) == 4_652_008 - 1_281_000
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 1 + 1 + 15 * 3 + 2


@pytest.mark.parametrize(("side", "kernel", "stride"), [(224, 3, 2), (7, 5, 1), (15, 5, 2)])
def test_same_padding_is_tensorflows(side, kernel, stride):
    layer = efficientnet.SameConv(1, 1, kernel, stride=stride, bias=False)
    nn.init.ones_(layer.weight)
    counts = layer(torch.ones(1, 1, side, side))[0, 0].detach()
    out = -(-side // stride)
    assert counts.shape == (out, out)
    whole = max((out - 1) * stride + kernel - side, 0)
    inside = [
        sum(0 <= i * stride - whole // 2 + k < side for k in range(kernel)) for i in range(out)
    ]
    expected = torch.tensor(inside, dtype=torch.float32)
    assert torch.equal(counts, expected[:, None] * expected[None])


@torch.no_grad()
def test_a_block_has_a_shortcut_only_where_nothing_changes_size():
    stage = efficientnet.Stage(1, 3, 1, 6, 8)
    for before, stride, shortcut in ((8, 1, True), (8, 2, False), (4, 1, False)):
        block = efficientnet.Block(before, stage, stride).eval()
        nn.init.zeros_(block._project_conv.weight)
        x = torch.rand(1, before, 6, 6)
        assert bool(block(x).any()) == shortcut
        if shortcut:
            assert torch.equal(block(x), x)
