"""What every backbone must do, and what some declare that they do not."""

import pytest
import torch
from torch import Tensor, nn

from bench.api import ENTRIES, BenchError, Entry, Kind, Property
from bench.registry import entries
from models.continuous import ContinuousUNet
from models.cunet import cunet

OURS = [e for e in entries(Kind.BACKBONE) if e.build.__module__.startswith("models.")]
CONTINUOUS = [e for e in OURS if "cunet" in e.name or "discrete" in e.name]
SIZE, CHANNELS = 32, 2


def by_name(entry: Entry) -> str:
    return entry.name


def small(entry: Entry, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return entry.build(channels=CHANNELS, image_size=SIZE, scale=0.125, **options)


def images(count: int = 2, seed: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, CHANNELS, SIZE, SIZE, generator=rng)


def outputs_at(net: nn.Module, steps: list[float]) -> list[Tensor]:
    x = images(1)
    with torch.no_grad():
        return [net(x, torch.tensor([step])) for step in steps]


@pytest.mark.parametrize("entry", OURS, ids=by_name)
def test_every_trainable_parameter_gets_a_finite_gradient(entry: Entry) -> None:
    net = small(entry)
    out = net(images(), torch.tensor([3.0, 700.0]))
    assert out.shape == images().shape
    out.square().mean().backward()
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("entry", OURS, ids=by_name)
def test_the_step_matters_exactly_where_declared(entry: Entry) -> None:
    first, *rest = outputs_at(small(entry), [0.0, 10.0, 999.0])
    dead = Property.STEP_DEPENDENCE in entry.lacks
    for other in rest:
        assert torch.equal(first, other) == dead


@pytest.mark.parametrize("entry", OURS, ids=by_name)
def test_images_do_not_see_each_other(entry: Entry) -> None:
    net = small(entry).double()
    x, step = images(3).double(), torch.tensor([5.0, 50.0, 500.0])
    with torch.no_grad():
        together, alone = net(x, step), net(x[1:2], step[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("entry", CONTINUOUS, ids=by_name)
def test_the_field_is_of_second_order_exactly_where_declared(entry: Entry) -> None:
    net = small(entry)
    assert isinstance(net, ContinuousUNet)
    e = net.time(torch.tensor([7.0]))
    for field, width in net.fields():
        y = torch.randn(1, width, 4, 4)
        velocity = field(0.5, y, e)[:, : width // 2]
        holds = torch.equal(velocity, y[:, width // 2 :])
        assert holds == (Property.SECOND_ORDER not in entry.lacks)


@pytest.mark.parametrize("entry", CONTINUOUS, ids=by_name)
def test_a_forward_pass_takes_36_evaluations(entry: Entry) -> None:
    net = small(entry)
    with torch.no_grad():
        solution = net.trace(images(1), torch.tensor([7.0]))
        assert torch.equal(solution.y, net(images(1), torch.tensor([7.0])))
    assert solution.nfe == 36


@pytest.mark.parametrize("entry", OURS, ids=by_name)
@pytest.mark.parametrize("scale", [0.2, 0.37])
def test_every_scale_gives_a_network(entry: Entry, scale: float) -> None:
    net = entry.build(channels=1, image_size=SIZE, scale=scale)
    with torch.no_grad():
        assert net(torch.zeros(2, 1, SIZE, SIZE), torch.zeros(2)).shape == (2, 1, SIZE, SIZE)


@pytest.mark.parametrize("entry", OURS, ids=by_name)
def test_a_wrong_size_is_one_clear_line(entry: Entry) -> None:
    with pytest.raises(BenchError, match=r"28x28.* multiple of (8|16) .*to 32x32"):
        entry.build(channels=CHANNELS, image_size=28, scale=0.125)
    net = small(entry)
    with pytest.raises(BenchError, match=r"multiple of (8|16)"):
        net(torch.zeros(1, CHANNELS, SIZE, SIZE - 4), torch.zeros(1))


def test_released_networks_refuse_a_bottleneck_of_one_pixel() -> None:
    with pytest.raises(BenchError, match=r"16x16.*at least 32"):
        ENTRIES[Kind.BACKBONE, "cunet-released"].build(image_size=16)


def test_released_network_is_blind_to_gain_and_offset() -> None:
    entry = ENTRIES[Kind.BACKBONE, "cunet-released"]
    net, x, step = small(entry), images(1), torch.zeros(1)
    with torch.no_grad():
        plain, changed = net(x, step), net(3 * x + 0.7, step)
    assert (plain - changed).abs().max() < 1e-3 * plain.abs().max()


def test_described_network_sees_gain_and_offset() -> None:
    net, x, step = small(ENTRIES[Kind.BACKBONE, "cunet"]), images(1), torch.zeros(1)
    with torch.no_grad():
        plain = net(x, step)
        assert (plain - net(3 * x, step)).abs().max() > 0.01 * plain.abs().max()
        assert (plain - net(x + 0.7, step)).abs().max() > 0.01 * plain.abs().max()


def test_no_skip_changes_the_field_and_nothing_else() -> None:
    whole = small(ENTRIES[Kind.BACKBONE, "cunet"])
    bare = small(ENTRIES[Kind.BACKBONE, "cunet-no-skip"])
    bare.load_state_dict(whole.state_dict())
    (field, width), (field_bare, _) = next(whole.fields()), next(bare.fields())
    y, e = torch.randn(1, width, 4, 4), whole.time(torch.tensor([3.0]))
    difference = (field(0.0, y, e) - field_bare(0.0, y, e))[:, width // 2 :]
    kernel = field.out.weight
    torch.testing.assert_close(difference, torch.nn.functional.conv2d(y, kernel))


def test_untied_steps_with_equal_weights_are_the_tied_ones() -> None:
    tied = small(ENTRIES[Kind.BACKBONE, "discrete-tied"])
    untied = small(ENTRIES[Kind.BACKBONE, "discrete-untied"])
    untied.load_state_dict({k: tied.state_dict()[_without_step(k)] for k in untied.state_dict()})
    x, step = images(1), torch.tensor([3.0])
    with torch.no_grad():
        torch.testing.assert_close(untied(x, step), tied(x, step))
        untied.blocks[0].dynamics.fields[3].conv1.weight.zero_()
        assert not torch.allclose(untied(x, step), tied(x, step))


def _without_step(key: str) -> str:
    before, found, after = key.partition(".dynamics.fields.")
    return f"{before}.dynamics.{after.partition('.')[2]}" if found else key


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_levels_decide_the_evaluations_and_the_sizes(levels: int) -> None:
    net = cunet(channels=1, image_size=16, scale=0.125, levels=levels)
    solution = net.trace(torch.zeros(1, 1, 16, 16), torch.zeros(1))
    assert solution.y.shape == (1, 1, 16, 16)
    assert solution.nfe == 4 * (2 * levels - 1)


def test_torchdiffeq_and_its_adjoint_agree_with_our_path() -> None:
    x, step = images(1).double(), torch.tensor([9.0])
    grads, results = [], []
    for options in ({}, {"solver_path": "torchdiffeq"}, {"adjoint": True}):
        torch.manual_seed(0)
        net = cunet(channels=2, image_size=32, scale=0.125, levels=3, **options).double()
        solution = net.trace(x, step)
        solution.y.square().sum().backward()
        assert solution.nfe == 20
        results.append(solution.y)
        grads.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    torch.testing.assert_close(results[0], results[1], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(grads[0], grads[1], atol=1e-12, rtol=1e-9)
    # The adjoint ODE is solved with one step, so it agrees in direction and not in digits.
    cosine = torch.nn.functional.cosine_similarity(grads[0], grads[2], dim=0)
    assert cosine > 0.99
    assert grads[2].count_nonzero() == grads[0].count_nonzero()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tanh"}, "no activation named 'tanh'; expected one of softplus"),
        ({"solver": "rk5"}, "no solver named 'rk5'; known: .*rk4"),
        ({"solver_path": "mine"}, "no solver path 'mine'"),
        ({"solver_steps": 0}, "0 steps, expected 1 or more"),
        ({"solver": "rk4-classic", "adjoint": True}, "torchdiffeq has no method like"),
        ({"levels": 1}, "levels is 1, expected 2"),
        ({"scale": 0.0}, "scale is 0.0, expected a positive"),
    ],
)
def test_wrong_options_are_one_clear_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        cunet(**options)
