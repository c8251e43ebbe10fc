"""Every engine computes what the network computes."""

import copy
import time

import pytest
import torch
from torch import nn

from bench.api import ENTRIES, BenchError, Kind, Skip
from bench.engines.packed import PackedConv
from bench.registry import build, discover

discover(Kind.ENGINE, Kind.BACKBONE)
ENGINES = [name for kind, name in ENTRIES if kind is Kind.ENGINE]
SLOW = {"compiled": pytest.mark.slow}
BFLOAT16 = "+dtype=bfloat16"


def prepared(engine, network, *inputs):
    """Return what the engine makes of a network; the reason for skipping where it cannot."""
    try:
        return build(Kind.ENGINE, engine).prepare(network, *inputs)
    except Skip as reason:
        pytest.skip(str(reason))


def engines(suffix=""):
    return [pytest.param(name + suffix, marks=SLOW.get(name, ())) for name in ENGINES]


def cases(suffix, names, batches):
    """Return engines with networks and batches; a compiler, which takes a minute, gets a few."""
    every = [(e, n, b) for e in ENGINES for n in names for b in batches]
    chosen = [case for case in every if case[0] not in SLOW or case[1:] in FEW]
    return [pytest.param(e + suffix, n, b, marks=SLOW.get(e, ())) for e, n, b in chosen]


FEW = {("unet", 1), ("cunet", 3)}


def network(name):
    torch.manual_seed(0)
    return build(Kind.BACKBONE, name, channels=2, image_size=32, scale=0.25).eval()


def inputs(batch):
    return torch.randn(batch, 2, 32, 32), torch.linspace(3, 900, batch)


def error(found, reference):
    return float((found.double() - reference).norm() / reference.norm())


@pytest.mark.parametrize(
    ("engine", "name", "batch"), cases("", ["unet", "cunet", "cunet-released"], [1, 3])
)
@torch.no_grad()
def test_float32_errs_at_most_twice_as_much_as_the_plain_path(engine, name, batch):
    net, given = network(name), inputs(batch)
    plain = copy.deepcopy(net).double()
    reference = plain(given[0].double(), given[1])
    before = copy.deepcopy(net.state_dict())
    found = prepared(engine, net, *given)(*given)
    assert found.dtype == torch.float32 and found.is_contiguous()
    assert error(found, reference) <= max(2 * error(net(*given), reference), 1e-6)
    assert all(torch.equal(kept, before[key]) for key, kept in net.state_dict().items())


@pytest.mark.parametrize(("engine", "name", "batch"), cases(BFLOAT16, ["unet", "cunet"], [1, 2]))
@torch.no_grad()
def test_bfloat16_products_err_little(engine, name, batch):
    net, given = network(name), inputs(batch)
    reference = net(*given).double()
    found = prepared(engine, net, *given)(*given)
    assert found.dtype == torch.float32
    assert 1e-5 < error(found, reference) < 2e-2


@pytest.mark.parametrize("name", ["cunet", "cunet-released", "cunet-no-residual"])
@torch.no_grad()
def test_the_states_of_odes_stay_in_float32_whatever_the_products_have(name):
    """Else more steps of the solver make it worse: their increments are rounded away."""
    net, given = network(name), inputs(2)
    seen = []
    for block in net.blocks:
        block.register_forward_hook(
            lambda _, inside, out: seen.extend([inside[0].dtype, out.y.dtype])
        )
    prepared("eager" + BFLOAT16, net, *given)(*given)
    assert set(seen) == {torch.float32} and len(seen) >= 2 * len(net.blocks)
    many = build(
        Kind.BACKBONE, f"{name}+solver_steps=16", channels=2, image_size=32, scale=0.25
    ).eval()
    many.load_state_dict(net.state_dict())
    found = prepared("eager" + BFLOAT16, many, *given)(*given)
    assert error(found, many(*given).double()) < 2e-2


@pytest.mark.parametrize("engine", engines())
@torch.no_grad()
def test_a_prepared_network_takes_other_images_of_the_same_shape(engine):
    net, given, other = network("unet"), inputs(2), inputs(2)
    call = prepared(engine, net, *given)
    first = call(*given)
    kept = first.clone()
    torch.testing.assert_close(call(*other), net(*other), rtol=1e-4, atol=1e-5)
    assert torch.equal(first, kept), "a result stays what it was"


@pytest.mark.parametrize("engine", engines())
def test_an_unknown_precision_is_one_clear_line(engine):
    with pytest.raises(BenchError, match="no precision 'float8' of an engine; known: float32"):
        build(Kind.ENGINE, f"{engine}+dtype=float8")


@pytest.mark.parametrize("engine", ["eager", "packed"])
def test_a_processor_without_bfloat16_does_not_imitate_it(engine, monkeypatch):
    monkeypatch.setattr("bench.engines.precision.has_bfloat16", lambda: False)
    with pytest.raises(Skip, match="no units for bfloat16"):
        build(Kind.ENGINE, f"{engine}{BFLOAT16}").prepare(network("unet"), *inputs(1))


def test_a_graph_needs_a_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(Skip, match="engine 'graph' needs a GPU"):
        build(Kind.ENGINE, "graph").prepare(network("unet"), *inputs(1))


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Skip, match="needs a C\\+\\+ compiler"):
        build(Kind.ENGINE, "compiled").prepare(network("unet"), *inputs(1))


class Layers(nn.Module):
    """Convolutions of every kind, one after the other."""

    def __init__(self):
        super().__init__()
        self.large = nn.Conv2d(2, 8, 3, padding=1)
        self.halving = nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=False)
        self.grouped = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.named = nn.Conv2d(8, 8, 3, padding="same")
        self.reflecting = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.twice = nn.Conv2d(8, 8, 1)
        self.smaller = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x_t, step):
        h = self.grouped(self.halving(self.large(x_t)))
        h = self.twice(self.reflecting(self.named(h)))
        h = self.smaller(self.twice(h[:, :, :12, :12]))
        return nn.functional.interpolate(self.last(h), size=(32, 32))


def packed_in(network):
    return {name for name, module in network.named_modules() if isinstance(module, PackedConv)}


@pytest.mark.parametrize(
    ("batch", "names"), [(1, {"halving", "grouped", "smaller", "last"}), (2, {"smaller", "last"})]
)
@torch.no_grad()
def test_only_small_maps_of_one_shape_are_packed(batch, names, monkeypatch):
    monkeypatch.setattr("bench.engines.packed.PIECES", ())
    torch.manual_seed(0)
    net, given = Layers(), inputs(batch)
    found = prepared("packed", net, *given)
    assert packed_in(found) == names
    torch.testing.assert_close(found(*given), net(*given), rtol=1e-5, atol=1e-5)


class Slow(nn.Module):
    """Takes so many seconds for a batch of a size; may mix images."""

    def __init__(self, seconds, *, mixing=False):
        super().__init__()
        self.seconds, self.mixing = seconds, mixing
        self.layer = nn.Conv2d(2, 2, 1)

    def forward(self, x_t, step):
        time.sleep(self.seconds[len(x_t)])
        return self.layer(x_t - x_t.mean(0) if self.mixing else x_t)


@pytest.mark.parametrize(
    ("seconds", "mixing", "size"),
    [
        ({8: 0.2, 4: 0.04, 2: 0.01, 1: 0.02}, False, 2),
        ({8: 0.05, 4: 0.06, 2: 0.0, 1: 0.0}, False, 8),
        ({8: 0.2, 4: 0.0, 2: 0.0, 1: 0.0}, True, 8),
    ],
)
@torch.no_grad()
def test_a_batch_is_cut_where_that_is_faster_and_the_images_are_independent(seconds, mixing, size):
    given = inputs(8)
    net = Slow(seconds, mixing=mixing)
    found = prepared("packed", net, *given)
    assert getattr(found, "size", 8) == size
    torch.testing.assert_close(found(*given), net(*given), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_batch_of_odd_size_is_cut_evenly_or_not_at_all():
    for batch in (2, 3, 6):
        given = inputs(batch)
        found = prepared("packed", Slow(dict.fromkeys(range(7), 0.0)), *given)
        assert batch % getattr(found, "size", 1) == 0 and len(found(*given)) == batch
