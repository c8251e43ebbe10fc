"""Blocks are found in networks that nobody knows, and seen with what they are really given."""

import pytest
import torch
from torch import nn

from bench import registry
from bench.api import Kind, Solution
from bench.metrics.blocks import Block, blocks, first_tensor, watched


class Piece(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, e, y=None, *, times=1.0):
        return times * self.layer(y)


class Stack(nn.Module):
    """Two pieces; the second is given its state by keyword."""

    def __init__(self, width=4):
        super().__init__()
        self.first, self.second = Piece(width), Piece(width)

    def forward(self, y):
        return self.second(y[:, 0], self.first(None, y), times=2.0)


def test_the_networks_of_the_paper_have_the_blocks_that_they_are_made_of():
    small = {"channels": 1, "image_size": 32, "scale": 0.1}
    unet = blocks(registry.build(Kind.BACKBONE, "unet", **small))
    assert {one.type for one in unet} == {"Block"}
    assert len(unet) == 19
    cunet = registry.build(Kind.BACKBONE, "cunet", **small)
    found = blocks(cunet)
    assert [one.name for one in found] == [f"blocks.{n}" for n in range(9)]
    assert [one.field for one in found] == [field for field, _ in cunet.fields()]


def test_the_most_frequent_type_that_holds_half_of_the_parameters_is_the_block():
    class Tiny(Piece):
        pass

    network = nn.Sequential(Piece(9), Piece(9), *(Tiny(1) for _ in range(5)))
    assert [one.name for one in blocks(network)] == ["0", "1"]
    assert {type(one.module) for one in blocks(network)} == {Piece}


@pytest.mark.parametrize("network", [nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), Piece(3)])
def test_a_network_that_repeats_nothing_of_its_own_is_one_block(network):
    (only,) = blocks(network)
    assert only == Block("", network)


def test_fields_that_no_module_holds_are_no_blocks():
    network = Stack()
    network.fields = lambda: iter([(torch.sin, 4)])
    assert {one.type for one in blocks(network)} == {"Piece"}


def test_a_call_is_repeated_with_another_state_and_all_else_as_it_was():
    network, y = Stack(), torch.randn(2, 3, 4)
    seen = watched(blocks(network), lambda: network(y))
    assert [one.block.name for one in seen] == ["first", "second"]
    first, second = (one.call for one in seen)
    torch.testing.assert_close(first.state, y)
    torch.testing.assert_close(second(second.state), network(y))
    torch.testing.assert_close(
        second(0 * second.state), 2 * network.second.layer.bias.expand(2, 3, 4)
    )
    first.state.zero_()
    assert y.abs().sum() > 0, "a copy"


def test_an_ode_block_is_seen_with_every_evaluation_of_its_field():
    torch.manual_seed(0)
    network = registry.build(
        Kind.BACKBONE, "cunet", channels=1, image_size=32, scale=0.1, solver_steps=2
    )
    x, step = torch.randn(2, 1, 32, 32), torch.tensor([3.0, 3.0])
    seen = watched(blocks(network), lambda: network(x, step))
    assert [len(one.field_calls) for one in seen] == [8] * 9
    one = seen[0]
    torch.testing.assert_close(one.field_calls[0].state, one.call.state)
    z, v = one.call.state.chunk(2, dim=1)
    slope = one.field_calls[0](one.call.state)
    torch.testing.assert_close(slope.chunk(2, dim=1)[0], v)
    assert z.shape == v.shape


def test_hooks_are_gone_afterwards_also_when_the_network_fails():
    network = Stack()
    with pytest.raises(TypeError):
        watched(blocks(network), lambda: network(None))
    for module in network.modules():
        assert not module._forward_pre_hooks
        assert not module._forward_hooks


def test_the_tensor_of_an_output_is_found():
    y = torch.ones(1)
    assert all(first_tensor(o) is y for o in (y, (y, 3), [None, y], Solution(y, 4)))
    assert first_tensor("nothing") is None
