"""Counters against counts by hand, against each other and against the published integers."""

import logging
import sys
import warnings

import pytest
import torch
from torch import nn

from bench.api import Invalid, Missing, Skip
from bench.metrics.cost import (
    authors_macs,
    checkpoint_mib,
    fvcore_macs,
    parameters,
    torch_flops,
    weights_mib,
)

X = torch.zeros(1, 4, 8, 8)


class Attention(nn.Module):
    """One head over all pixels, written with the fused operator."""

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return mixed.transpose(1, 2).reshape(x.shape)


class Bmm(nn.Module):
    """A batched product with an added term."""

    def forward(self, x):
        a = x.flatten(0, 1)
        return torch.baddbmm(a, a, a).view(x.shape)


class Repeated(nn.Module):
    """One layer called several times, as inside an ODE solver."""

    def __init__(self, times):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.times = times

    def forward(self, x):
        for _ in range(self.times):
            x = x + self.layer(x)
        return x


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


CONV = 4 * 4 * 9 * 64
LAYERS = {
    "conv": (nn.Conv2d(4, 4, 3, padding=1), CONV),
    "conv without bias": (nn.Conv2d(4, 4, 3, padding=1, bias=False), CONV),
    "grouped conv": (nn.Conv2d(4, 4, 3, padding=1, groups=2), CONV // 2),
    "transposed conv": (nn.ConvTranspose2d(4, 4, 3, padding=1), CONV),
    "linear": (nn.Linear(8, 8), 8 * 8 * 4 * 8),
    "instance norm": (nn.InstanceNorm2d(4), 2 * 256),
    "affine instance norm": (nn.InstanceNorm2d(4, affine=True), 4 * 256),
    "batch norm": (nn.BatchNorm2d(4), 4 * 256),
    "group norm": (nn.GroupNorm(2, 4), 0),
    "activation": (nn.SiLU(), 0),
    "attention": (Attention(), 0),
    "nearest": (nn.Sequential(nn.Upsample(scale_factor=2), nn.MaxPool2d(2)), 4 * 256),
    "bilinear": (nn.Sequential(nn.Upsample(None, 2, "bilinear"), nn.MaxPool2d(2)), 11 * 1024),
    "repeated": (Repeated(5), 5 * CONV),
}


@pytest.mark.parametrize(("module", "expected"), LAYERS.values(), ids=LAYERS)
def test_the_rule_of_the_authors(module, expected):
    assert authors_macs(module, X) == expected


def test_the_rule_is_linear_in_the_batch_and_works_on_the_meta_device():
    module = Repeated(2)
    assert authors_macs(module, X.repeat(3, 1, 1, 1)) == 3 * authors_macs(module, X)
    assert authors_macs(module.to("meta"), X.to("meta")) == 2 * CONV


PRODUCTS = {
    "conv": (nn.Conv2d(4, 4, 3, padding=1), CONV),
    "grouped conv": (nn.Conv2d(4, 4, 3, padding=1, groups=2), CONV // 2),
    "linear": (nn.Linear(8, 8), 8 * 8 * 4 * 8),
    "attention": (Attention(), 64 * 64 * (4 + 4)),
    "baddbmm": (Bmm(), 4 * 8 * 8 * 8),
    "repeated": (Repeated(5), 5 * CONV),
}


@pytest.mark.parametrize(("module", "macs"), PRODUCTS.values(), ids=PRODUCTS)
def test_fvcore_and_torch_agree_on_products(module, macs):
    counted = fvcore_macs(module, X)
    assert (counted.macs, counted.unlisted) == (macs, ())
    assert torch_flops(module, X) == 2 * macs


def test_an_operator_that_nobody_lists_is_reported():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    assert fvcore_macs(Odd(), X).unlisted == ("aten::special_bessel_j0",)


def test_counting_is_silent_and_leaves_no_trace(caplog):
    module = Repeated(2).train()
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        fvcore_macs(module, X)
        authors_macs(module, X)
        torch_flops(module, X)
    assert not caplog.records
    assert module.training and module.layer.training
    assert not module.layer._forward_hooks


def test_statistics_of_normalisation_are_not_touched():
    module = nn.BatchNorm2d(4)
    authors_macs(module, X + 5)
    assert module.running_mean.tolist() == [0.0] * 4


@pytest.mark.parametrize("counter", [authors_macs, fvcore_macs, torch_flops])
def test_a_broken_network_is_invalid(counter):
    with pytest.raises(Invalid, match=r"Conv2d failed on inputs \[1, 4, 8, 8\]: RuntimeError"):
        counter(nn.Conv2d(3, 3, 1), X)
    with pytest.raises(Invalid, match=r"returned \[1, 4, 4, 4\].*expected the same shape"):
        counter(nn.MaxPool2d(2), X)


def test_without_fvcore_the_person_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fvcore.nn", None)
    with pytest.raises(Missing, match="pip install fvcore"):
        fvcore_macs(nn.Identity(), X)


@pytest.mark.parametrize("error", [Skip("no"), Invalid("NaN"), torch.OutOfMemoryError("full")])
def test_faults_that_mean_something_pass_through(error):
    with pytest.raises(type(error), match=str(error)):
        authors_macs(Failing(error), X)


# ---------------------------------------------------------------------- parameters, files


def partly_frozen():
    module = nn.Sequential(nn.Conv2d(64, 64, 3), nn.Embedding(1000, 64), nn.Conv2d(64, 64, 3))
    module[1].requires_grad_(False)
    return module


def test_parameters_are_told_apart():
    counted = parameters(partly_frozen())
    assert (counted.trained, counted.frozen) == (2 * (64 * 64 * 9 + 64), 64000)
    assert counted.total == counted.trained + counted.frozen


def test_shared_parameters_count_once():
    layer = nn.Linear(300, 300)
    once, twice = nn.Sequential(layer), nn.Sequential(layer, nn.ReLU(), layer)
    assert parameters(once) == parameters(twice)
    assert weights_mib(once) == weights_mib(twice) == 90300 * 4 / 2**20
    assert checkpoint_mib(twice) == pytest.approx(checkpoint_mib(once), abs=0.005)


def test_the_checkpoint_is_what_a_real_file_weighs(tmp_path):
    module = partly_frozen()
    adam = torch.optim.Adam([p for p in module.parameters() if p.requires_grad])
    module[0].weight.grad, module[0].bias.grad = module[0].weight * 1, module[0].bias * 1
    module[2].weight.grad, module[2].bias.grad = module[2].weight * 1, module[2].bias * 1
    adam.step()
    average = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tables = [{i: torch.zeros(1000) for i in range(13)} for _ in range(2)]
    file = tmp_path / "model.pt"
    state = {"model": module.state_dict(), "opt": adam.state_dict(), "ema": average, "more": tables}
    torch.save(state, file)
    assert checkpoint_mib(module) == pytest.approx(file.stat().st_size / 2**20, rel=0.005)


def test_nothing_trained_needs_no_optimiser():
    assert checkpoint_mib(nn.Identity()) < 0.2
    assert checkpoint_mib(partly_frozen().requires_grad_(False)) < checkpoint_mib(partly_frozen())


def test_a_network_on_the_meta_device_has_a_size_too():
    module = partly_frozen()
    assert checkpoint_mib(module) == pytest.approx(checkpoint_mib(module.to("meta")), abs=1e-3)
