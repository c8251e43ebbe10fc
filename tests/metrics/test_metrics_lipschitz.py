"""Power iteration against exact singular values, and what it says where it cannot know."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.api import Invalid
from bench.metrics.lipschitz import LEAST, Linearised, largest_singular_value, lengths, unit

OFTEN = {"tolerance": 1e-6, "iterations": 2000}


def start(shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def stretch(function, x, **how):
    return largest_singular_value(
        Linearised(function, x, "map"), start(x.shape, 1, x.dtype), **(OFTEN | how)
    )


def with_singular_values(values, seed=0):
    """Return a square matrix that has them."""
    n = len(values)
    left, right = (torch.linalg.qr(start((n, n), seed + k))[0] for k in (0, 1))
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.T, right


def test_a_linear_map_has_its_known_singular_value_and_direction():
    matrix, right = with_singular_values([3.0, 2.0, 0.5, 0.0])
    found = stretch(lambda x: x @ matrix.T, start((2, 4)))
    torch.testing.assert_close(found.sigma, torch.full((2,), 3.0, dtype=torch.float64))
    overlap = (found.direction @ right[:, 0]).abs()
    torch.testing.assert_close(overlap, torch.ones(2, dtype=torch.float64))
    assert found.converged.all()
    assert LEAST <= found.iterations < 100


def test_a_convolution_has_the_largest_singular_value_of_its_matrix():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    x = start((1, 2, 6, 6))
    matrix = torch.autograd.functional.jacobian(layer, x).reshape(3 * 36, 2 * 36)
    exact = torch.linalg.matrix_norm(matrix, 2)
    assert stretch(layer, x).sigma.item() == pytest.approx(exact.item(), rel=1e-9)


class Net(nn.Module):
    """A tiny network with normalisation and attention."""

    def __init__(self):
        super().__init__()
        self.inside, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        y = F.silu(self.norm(self.inside(x)))
        tokens = y.flatten(2).transpose(1, 2)
        y = y + ((tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens).transpose(1, 2).view_as(y)
        return self.out(y)


def test_every_image_of_a_batch_has_the_exact_value_of_its_own_jacobian():
    torch.manual_seed(3)
    net, x = Net().double().requires_grad_(False), start((3, 1, 4, 4), 5)
    found = stretch(net, x)
    for n in range(3):
        jacobian = torch.autograd.functional.jacobian(net, x[n : n + 1]).reshape(16, 16)
        exact = torch.linalg.svdvals(jacobian)[0].item()
        assert found.sigma[n].item() == pytest.approx(exact, rel=1e-6)


def test_both_products_are_those_of_the_jacobian():
    torch.manual_seed(4)
    net, x = Net().double(), start((1, 1, 4, 4), 6)
    jacobian = torch.autograd.functional.jacobian(net, x).reshape(16, 16)
    near, v = Linearised(net, x, "net"), start((1, 1, 4, 4), 7)
    torch.testing.assert_close(near.times(v).flatten(), jacobian @ v.flatten())
    torch.testing.assert_close(near.transposed(v).flatten(), jacobian.T @ v.flatten())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=2, max_size=6), st.integers(0, 99), st.integers(1, 30))
def test_no_iterate_exceeds_the_largest_singular_value_and_none_falls(values, seed, iterations):
    matrix, _ = with_singular_values(values, seed)
    x = start((1, len(values)), seed)
    few, more = (
        stretch(lambda x: x @ matrix.T, x, tolerance=0.0, iterations=n).sigma.item()
        for n in (iterations, iterations + 3)
    )
    assert few <= more * (1 + 1e-9) + 1e-12
    assert more <= max(values) * (1 + 1e-9) + 1e-12


def test_an_iteration_that_did_not_converge_says_so_and_is_a_lower_bound():
    matrix, _ = with_singular_values([3.0, *[2.7] * 9])
    found = stretch(lambda x: x @ matrix.T, start((2, 10)), tolerance=1e-3, iterations=2)
    assert found.iterations == 2
    assert not found.converged.any()
    assert (found.residual > 1e-3).all()
    assert (found.sigma < 3).all()


def test_what_is_nearly_the_identity_is_not_believed_at_first_sight():
    """A start that hardly sees the one stretched direction has a small residual at once."""
    n = 400
    weights = torch.ones(n, dtype=torch.float64)
    weights[0] = 1.6
    near = Linearised(lambda x: x * weights, torch.zeros(1, n, dtype=torch.float64), "map")
    first = torch.ones(1, n, dtype=torch.float64)
    once = largest_singular_value(near, first, tolerance=0.1, iterations=1)
    assert once.converged.all()
    assert once.sigma.item() < 1.01
    assert largest_singular_value(near, first, tolerance=0.1, iterations=99).sigma > 1.59


def test_a_map_that_stretches_nothing_has_zero():
    found = stretch(lambda x: 0 * x, start((2, 3)))
    assert found.sigma.tolist() == [0, 0]
    assert found.converged.all()


def test_lengths_and_directions_are_by_image():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert lengths(x).tolist() == [5, 0]
    assert unit(x).flatten().tolist() == pytest.approx([0.6, 0.8, 0, 0])


class Once(torch.autograd.Function):
    """Has a first derivative and no second."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return 2 * slope


FAULTS = {
    "numpy": (lambda x: torch.from_numpy(2 * x.detach().numpy()), "no derivative by its input"),
    "no_grad": (torch.no_grad()(lambda x: 2 * x), "no derivative by its input"),
    "elsewhere": (
        lambda x: x.detach() * torch.ones(3, dtype=x.dtype, requires_grad=True),
        "no derivative by its input",
    ),
    "once": (Once.apply, "cannot be differentiated again"),
    "nan": (lambda x: x * torch.nan, r"output of 'strange' holds NaN .* 2 of 2 inputs"),
    "steep": (lambda x: (x - x.detach()).sqrt(), "Jacobian of 'strange' holds NaN or infinity"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_has_no_jacobian_is_one_clear_line_that_names_it(name):
    function, words = FAULTS[name]
    with pytest.raises(Invalid, match=words) as told:
        Linearised(function, start((2, 3)), "strange").times(start((2, 3)))
    assert "'strange'" in str(told.value)


def test_it_works_where_inference_mode_is_on():
    x = start((1, 3))
    with torch.inference_mode():
        assert stretch(lambda x: 2 * x, x).sigma.item() == pytest.approx(2)
