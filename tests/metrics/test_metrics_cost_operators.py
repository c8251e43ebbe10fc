"""Operators as two counters see them: products of all shapes, look-ups, strangers' functions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.metrics.cost import fvcore_macs
from bench.metrics.cost.ledger import keep_books
from bench.metrics.cost.operators import costs_nothing
from bench.metrics.cost.products import einsum_macs

X = torch.zeros(1, 8, 16, 16)
F = nn.functional


class Computing(nn.Module):
    """A network that is one function of its input."""

    def __init__(self, compute):
        super().__init__()
        self.compute = compute

    def forward(self, x):
        return self.compute(x)


def attend(x, **how):
    q = x.flatten(2).transpose(1, 2)[:, None].contiguous()  # or no fused kernel would take it
    return F.scaled_dot_product_attention(q, q, q, **how)[:, 0].transpose(1, 2).reshape(x.shape)


class Filtered(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        assert ctx.needs_input_grad == (False, False)
        return F.conv2d(x, weight, padding=1)


class Modern(torch.autograd.Function):
    """Written in two halves."""

    @staticmethod
    def forward(x, weight):
        return F.conv2d(x, weight, padding=1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)


WEIGHT = torch.zeros(8, 8, 3, 3)
PRODUCTS = {
    "broadcast on the left": (lambda x: torch.zeros(16, 16) @ x, 8 * 16**3),
    "broadcast on the right": (lambda x: x @ torch.zeros(16, 16), 8 * 16**3),
    "both broadcast": (lambda x: (torch.zeros(3, 1, 16, 16) @ x).mean(0, True), 3 * 8 * 16**3),
    "elementwise einsum": (lambda x: torch.einsum("bchw,c->bchw", x, torch.ones(8)), 0),
    "einsum of five digits": (
        lambda x: x + torch.einsum("bchw,ckl->bhwkl", x, torch.zeros(8, 37, 3)).mean(),
        256 * 8 * 37 * 3,
    ),
    "attention": (attend, 2 * 256**2 * 8),
    "causal attention": (lambda x: attend(x, is_causal=True), 2 * 256**2 * 8),
    "masked attention": (
        lambda x: attend(x, attn_mask=torch.ones(256, 256, dtype=torch.bool)),
        2 * 256**2 * 8,
    ),
    "a function": (lambda x: Filtered.apply(x, WEIGHT), 256 * 8 * 8 * 9),
    "a modern function": (lambda x: Modern.apply(x, WEIGHT), 256 * 8 * 8 * 9),
}


@pytest.mark.parametrize(("compute", "macs"), PRODUCTS.values(), ids=PRODUCTS)
def test_two_counters_agree_with_a_count_by_hand(compute, macs):
    traced, books = fvcore_macs(Computing(compute), X), keep_books(Computing(compute), X)
    assert (traced.unlisted, books.unlisted) == ((), ())
    assert traced.macs - traced.rest == books.total.macs == macs


def test_functions_are_what_they_were_after_counting():
    before = torch.autograd.Function.__dict__["apply"]
    fvcore_macs(Computing(lambda x: Filtered.apply(x, WEIGHT)), X)
    assert torch.autograd.Function.__dict__["apply"] is before


SIZES = dict(zip("abcd", (1, 2, 3, 5), strict=True))
TERM = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(TERM, min_size=2, max_size=3), st.data())
def test_an_einstein_sum_costs_what_torch_runs(terms, data):
    letters = sorted(set("".join(terms)))
    kept = "".join(data.draw(st.lists(st.sampled_from(letters), max_size=3, unique=True)))
    check_einsum(f"{','.join(terms)}->{kept}", [[SIZES[letter] for letter in t] for t in terms])


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk", [(3, 4), (4, 5)]),
        ("...ij, ...jk -> ...ik", [(2, 1, 3, 4), (5, 4, 6)]),
        ("b...,b...->...", [(2, 3, 4), (2, 3, 4)]),
        ("ij,...j", [(3, 4), (2, 4)]),
        ("bij,bjk->bik", [(1, 3, 4), (7, 4, 5)]),
        ("ij,kj->ik", [(3, 4), (1, 4)]),
    ],
)
def test_dots_and_broadcasting_in_einstein_sums(equation, shapes):
    check_einsum(equation, shapes)


def check_einsum(equation, shapes):
    with FlopCounterMode(display=False) as counter:
        torch.einsum(equation, *(torch.zeros(*shape) for shape in shapes))
    assert 2 * einsum_macs(equation, shapes) == counter.get_total_flops()


def test_a_path_of_an_einstein_sum_decides_on_its_cost():
    shapes = [(2, 3), (3, 50), (50, 4)]
    left, right = 2 * 3 * 50 + 2 * 50 * 4, 3 * 50 * 4 + 2 * 3 * 4
    for path, macs in ((None, left), ([0, 1, 0, 1], left), ([1, 2, 0, 1], right)):
        assert einsum_macs("ij,jk,kl->il", shapes, path) == macs


FREE = {
    "complex": lambda x: torch.view_as_real(torch.view_as_complex(x.view(8, 128, 2)) * 1j),
    "triangles": lambda x: x.tril() + x.triu(),
    "in place": lambda x: x.clone().transpose_(2, 3) @ torch.eye(16),
    "pooling": lambda x: F.avg_pool3d(x, 3, 1, 1),
    "shrinking": lambda x: F.hardshrink(F.softshrink(F.rrelu(x))),
}


@pytest.mark.parametrize("compute", FREE.values(), ids=FREE)
def test_operators_without_products_are_known(compute):
    module = Computing(lambda x: compute(x).reshape(x.shape))
    assert (fvcore_macs(module, X).unlisted, keep_books(module, X).unlisted) == ((), ())


def test_weight_norm_is_known():
    module = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1))
    assert (fvcore_macs(module, X).unlisted, keep_books(module, X).unlisted) == ((), ())


@torch.library.custom_op("tests_cost::double", mutates_args=())
def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_an_operator_of_a_stranger_can_be_listed(monkeypatch):
    name = "tests_cost::double"
    module = Computing(torch.ops.tests_cost.double)
    assert keep_books(module, X).unlisted == fvcore_macs(module, X).unlisted == (name,)
    for place in ("operators", "traced"):
        target = f"bench.metrics.cost.{place}.FREE"
        monkeypatch.setattr(target, frozenset({name}))
    assert keep_books(module, X).unlisted == fvcore_macs(module, X).unlisted == ()
    assert not costs_nothing("other::double")


# -------------------------------------------------------------------------- bytes that move


def account(compute):
    return keep_books(Computing(compute), X).total


TABLE = torch.zeros(1000, 256)
PLACES = torch.tensor([3, 5])
LOOKUPS = {
    "embedding": lambda x: F.embedding(PLACES, TABLE),
    "index": lambda x: TABLE[PLACES],
    "index_select": lambda x: TABLE.index_select(0, PLACES),
    "gather": lambda x: TABLE.gather(0, torch.zeros(2, 256, dtype=torch.long)),
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_look_up_reads_what_it_takes(name):
    taken = 2 * 256 * 4
    places = 2 * 256 * 8 if name == "gather" else 2 * 8
    made = 2 * 256 * 8 if name == "gather" else 0  # the places themselves

    def compute(x):
        LOOKUPS[name](x)
        return x

    assert account(compute).bytes_moved == 2 * taken + places + made


def test_memory_that_is_only_claimed_moves_nothing():
    def compute(x):
        torch.empty(1000), x.new_empty(10), torch.empty_like(x)
        return x

    found = account(compute)
    assert (found.bytes_moved, found.elementwise) == (0, 0)
    assert found.activation_bytes == (1010 + X.numel()) * 4
