"""What is left out, overwritten or fused for speed changes no number beyond rounding."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.api import ENTRIES, Kind
from bench.registry import build, discover
from models.blocks import FiLM, modulated_norm, overwrite
from models.halved import solve_halved
from models.solve import Integrator

discover()
FIXED = [
    name
    for (kind, name), entry in ENTRIES.items()
    if kind is Kind.SOLVER and not entry.build().adaptive
]
HALVED = [
    "cunet", "cunet-relu", "cunet-softplus", "cunet-no-skip", "cunet-no-residual",
    "cunet-no-attention", "discrete-tied", "discrete-untied",
]  # fmt: skip


def swinging(s, y):
    """Return dv/ds of a driven oscillator whose frequency depends on the place."""
    z, v = y.chunk(2, dim=1)
    return torch.sin(3 * s + z) - 4 * z - 0.3 * v


@pytest.mark.parametrize("solver", FIXED)
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("span", [(0.0, 1.0), (0.5, -1.5)])
def test_half_a_slope_is_enough(solver, steps, span):
    y0 = torch.randn(2, 6, 3, 3, dtype=torch.float64)
    before = y0.clone()
    integrator = Integrator(solver, steps)
    whole = integrator(lambda s, y: torch.cat([y[:, 3:], swinging(s, y)], 1), y0, span=span).y
    half = solve_halved(integrator.scheme, steps, swinging, y0, span)
    torch.testing.assert_close(half, whole, rtol=1e-13, atol=1e-13)
    assert torch.equal(y0, before)


def pair(name, dtype, **options):
    """Return a network and the same one on torchdiffeq's path, in float64."""
    torch.manual_seed(0)
    net = build(Kind.BACKBONE, name, channels=2, image_size=32, scale=0.25).to(dtype).eval()
    plain = build(Kind.BACKBONE, name, channels=2, image_size=32, scale=0.25).double().eval()
    plain.load_state_dict(net.state_dict())
    plain.integrator = Integrator(net.integrator.solver, net.integrator.steps, "torchdiffeq")
    return net, plain


def relative(x, y):
    return float((x.detach().double() - y).norm() / y.norm())


@pytest.mark.parametrize("name", HALVED)
def test_networks_equal_the_float64_reference(name):
    net, plain = pair(name, torch.float64)
    x, step = torch.randn(2, 2, 32, 32, dtype=torch.float64), torch.tensor([3.0, 700.0])
    with torch.no_grad():
        fast, reference = net.trace(x, step), plain.trace(x, step)
    assert fast.nfe == reference.nfe
    assert relative(fast.y, reference.y) < 1e-13
    # With gradients nothing is left out and nothing overwritten.
    assert relative(net(x, step), reference.y) < 1e-13


@pytest.mark.parametrize("name", ["unet", "unet-ho2020", *HALVED])
def test_float32_is_as_exact_as_the_plain_path(name):
    """Without gradients at most twice the error of the path with them, which overwrites nothing."""
    net, plain = pair(name, torch.float32) if name in HALVED else same(name)
    x, step = torch.randn(2, 2, 32, 32), torch.tensor([3.0, 700.0])
    with torch.no_grad():
        reference, fast = plain(x.double(), step), net(x, step)
    error, plain_error = relative(fast, reference), relative(net(x, step), reference)
    assert error <= 2 * plain_error and error < 1e-5


def same(name):
    torch.manual_seed(0)
    net = build(Kind.BACKBONE, name, channels=2, image_size=32, scale=0.25).eval()
    plain = build(Kind.BACKBONE, name, channels=2, image_size=32, scale=0.25).double().eval()
    plain.load_state_dict(net.state_dict())
    return net, plain


def test_gradients_are_those_of_torchdiffeqs_path():
    net, plain = pair("cunet", torch.float64)
    x, step = torch.randn(2, 2, 32, 32, dtype=torch.float64), torch.tensor([3.0, 700.0])
    for network in (net, plain):
        network(x, step).square().sum().backward()
    for (name, mine), theirs in zip(net.named_parameters(), plain.parameters(), strict=True):
        scale = float(theirs.grad.abs().max())
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12 * scale, msg=name)


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    groups=st.sampled_from([1, 2, 4]),
    side=st.integers(1, 5),
    last=st.booleans(),
)
def test_one_pass_normalises_scales_and_shifts(batch, groups, side, last):
    norm, film = nn.GroupNorm(groups, 8).double(), FiLM(6, 8).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(batch, 8, side, side, dtype=torch.float64, requires_grad=True)
    e = torch.randn(batch, 6, dtype=torch.float64)
    if last:
        x = x.to(memory_format=torch.channels_last)
    a, b = film.linear(F.silu(e))[:, :, None, None].chunk(2, dim=1)
    expected = norm(x) * (1 + a) + b
    found = modulated_norm(norm, x, *film(norm, e))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("act", [F.silu, F.relu, F.softplus])
def test_only_what_no_gradient_needs_is_overwritten(act):
    x = torch.linspace(-2, 3, 5)
    with torch.no_grad():
        given_away = x.clone()
        torch.testing.assert_close(overwrite(act, given_away), act(x))
        assert torch.equal(given_away, x) == (act is F.softplus)
    kept = x.clone().requires_grad_()
    overwrite(act, kept + 0).sum().backward()
    (expected,) = torch.autograd.grad(act(kept).sum(), kept)
    torch.testing.assert_close(kept.grad, expected)
