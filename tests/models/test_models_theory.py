"""The checks of the theory find what is known, and their tools are what they say."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch

from bench import registry
from bench.api import Checked, Holds, Kind
from models.solve import integrate
from models.theory.adjoint import gradient, weights_like
from models.theory.block import halves, relative, second_order
from models.theory.distance import sliced_wasserstein
from models.theory.mixture import T_END, ring
from models.theory.partial_transport import Line, least_costs
from models.theory.perception import Point, bound, problem
from models.theory.reverse import CALLS, NEAR, _crossing, _needed
from models.theory.second_adjoint import second_order_adjoint
from models.theory.slopes import falling, order

KNOWN = {
    "second-order": [Holds.YES, Holds.NO, Holds.YES],
    "adjoint": [Holds.YES, Holds.YES, Holds.YES],
    "reverse-sde": [Holds.YES, Holds.PARTLY, Holds.PARTLY],
    "local-error": [Holds.YES, Holds.YES],
    "perception-distortion": [Holds.YES, Holds.NO, Holds.YES, Holds.YES],
    "crossing": [Holds.YES],
}


LONG = ("adjoint", "local-error")
"""Ten seconds of a core each."""
LONGEST = ("reverse-sde", "crossing")


@functools.cache
def found(name: str) -> Checked:
    """Return what a check finds, run once."""
    return registry.build(Kind.CHECK, name, effort=1, seed=0)


def numbers(checked: Checked) -> dict[str, float]:
    return {name: value for claim in checked.claims for name, value in claim.numbers.items()}


def agrees(name: str, checked: Checked) -> None:
    assert [claim.holds for claim in checked.claims] == KNOWN[name], name
    for claim in checked.claims:
        assert claim.place
        assert claim.text.endswith(".")
        assert claim.found.endswith(".")
        assert all(math.isfinite(value) for value in claim.numbers.values())
    for curve in checked.curves:
        assert len(curve.x) == len(curve.y) > 1
        assert all(map(math.isfinite, curve.y)), (name, curve.label)


def test_every_check_is_known() -> None:
    assert set(registry.names(Kind.CHECK)) == KNOWN.keys()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in LONG else [])
        for name in KNOWN
        if name not in LONGEST
    ],
)
def test_a_check_finds_what_is_known_and_says_where_its_claims_stand(name: str) -> None:
    agrees(name, found(name))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", LONGEST)
def test_what_takes_longer_agrees_whatever_the_seed(name: str, seed: int) -> None:
    agrees(name, registry.build(Kind.CHECK, name, effort=1, seed=seed))


@pytest.mark.parametrize("seed", [2, 4, 6, 15])
def test_a_theorem_does_not_hang_on_the_draw(seed: int) -> None:
    agrees(
        "perception-distortion",
        registry.build(Kind.CHECK, "perception-distortion", effort=1, seed=seed),
    )


def test_the_calls_to_a_distance_are_read_between_those_measured() -> None:
    halving = [NEAR * 16 / calls for calls in CALLS]
    assert _needed(halving) == pytest.approx(16)
    assert _needed([NEAR * 20 / calls for calls in CALLS]) == pytest.approx(20)
    assert _needed([1.0] * len(CALLS)) == math.inf
    assert _needed([NEAR / 2] * len(CALLS)) == CALLS[0]


def test_where_two_curves_cross_is_read_between_those_measured() -> None:
    level = [1.0] * len(CALLS)
    falling_ = [20 / calls for calls in CALLS]
    assert _crossing(falling_, level, 1e-3) == pytest.approx(20)
    assert _crossing(level, falling_, 1e-3) == pytest.approx(20)
    assert _crossing(falling_, [one / 2 for one in falling_], 1e-3) == math.inf
    # What lies below the distance of two exact samples crosses by chance.
    assert _crossing(falling_, level, 10.0) == math.inf


@pytest.mark.slow
def test_gradients_by_the_adjoint_meet_their_target() -> None:
    seen = numbers(found("adjoint"))
    assert seen["relative error at 1e-6"] < 1e-4
    assert abs(seen["growth with the adjoint, share of that without"]) < 0.02
    assert seen["operations, second over first"] > 1


@pytest.mark.slow
def test_orders_are_within_their_target() -> None:
    seen = numbers(found("local-error"))
    for name, p in {
        "euler": 1,
        "midpoint": 2,
        "rk4": 4,
        "rk4-classic": 4,
        "heun": 2,
        "ddim": 1,
    }.items():
        assert abs(seen[f"local order of {name}"] - p - 1) < 0.15
        assert abs(seen[f"global order of {name}"] - p) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", ["second-order", "perception-distortion"])
def test_a_check_depends_on_its_seed_alone(name: str) -> None:
    assert registry.build(Kind.CHECK, name, effort=1, seed=0) == found(name)


# ------------------------------------------------------------------------- the tools


def test_the_slope_of_a_power_is_the_power() -> None:
    assert order((1, 2, 4, 8), falling((1, 2, 4, 8), 3.0, 2.5)) == pytest.approx(2.5)


def test_the_first_half_of_the_field_is_the_velocity() -> None:
    block = second_order(0)
    z, v = halves(block.y0)
    assert torch.equal(torch.cat([z, v], dim=1), block.y0)
    assert torch.equal(halves(block.field(0.3, block.y0))[0], v)


def test_the_gradient_is_that_of_central_differences() -> None:
    block = second_order(3, batch=1)
    found = gradient(block, solver="rk4", steps=4).values
    direction = torch.randn(block.y0.shape, dtype=torch.float64)

    def loss(y0: torch.Tensor) -> float:
        y = integrate(block.field, y0, solver="rk4", steps=4).y
        return float((weights_like(y) * y).sum().detach())

    h = 1e-5
    slope = (loss(block.y0 + h * direction) - loss(block.y0 - h * direction)) / (2 * h)
    along = float(found[: block.y0.numel()] @ direction.flatten())
    assert along == pytest.approx(slope, rel=1e-7)


def test_the_second_order_adjoint_gives_the_gradient_of_autograd() -> None:
    block = second_order(5, batch=1)
    by_adjoint = second_order_adjoint(block, weights_like(block.y0), steps=16).of_state
    by_autograd = gradient(block, solver="rk4", steps=16).values[: block.y0.numel()]
    assert relative(by_adjoint.flatten(), by_autograd) < 1e-5


def test_the_score_is_the_gradient_of_the_log_density() -> None:
    exact, t = ring(), 0.3
    x = exact.draw(16, t, seed=1).requires_grad_()
    left = float(exact.schedule.alpha_bar(t))
    spread = exact.deviation(t) ** 2
    away = x.flatten(1)[:, None] - math.sqrt(left) * exact.means.flatten(1)
    density = (exact.weights.log() - away.square().sum(2) / (2 * spread)).logsumexp(1)
    (right,) = torch.autograd.grad(density.sum(), x)
    assert torch.allclose(exact.score(x.detach(), t), right, rtol=1e-10, atol=1e-12)


def test_the_flow_there_and_back_is_no_move() -> None:
    exact = ring()
    x = exact.draw(8, 1.0, seed=2)
    there = exact.flow(x, 1.0, T_END, 400)
    assert relative(exact.flow(there, T_END, 1.0, 400), x) < 1e-6


def test_the_sliced_distance_of_a_shift_is_the_mean_of_its_projections() -> None:
    x = torch.randn(500, 2, dtype=torch.float64)
    shift = torch.tensor([0.3, -0.4], dtype=torch.float64)
    assert sliced_wasserstein(x + shift, x) == pytest.approx(0.5 * 2 / math.pi, rel=1e-3)
    assert sliced_wasserstein(x[torch.randperm(500)], x) == 0
    many = torch.randn(64, 5, dtype=torch.float64)
    assert sliced_wasserstein(2 * many, many) == pytest.approx(sliced_wasserstein(-2 * many, -many))


def test_the_posterior_of_the_problem_is_bayes() -> None:
    """Mean and sample against the law of total expectation, and a draw's error against theory."""
    drawn = problem(200_000, seed=4)
    error = (drawn.mean - drawn.x).square().mean()
    assert float((drawn.sample - drawn.x).square().mean() / error) == pytest.approx(2, abs=0.03)
    assert float((drawn.mean - drawn.x).mean()) == pytest.approx(0, abs=3e-3)
    assert float(((drawn.mean - drawn.x) * drawn.mean).mean()) == pytest.approx(0, abs=3e-3)


def test_the_bound_is_least_distortion_where_nothing_is_asked_of_perception() -> None:
    mean = Point(distortion=0.1, perception=0.2)
    assert bound(mean, 0.2) == bound(mean, 0.5) == 0.1
    assert bound(mean, 0.0) == pytest.approx(0.14)


def test_the_cheapest_pairs_are_those_of_an_exhaustive_search() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = np.sort(rng.normal(size=5)), np.sort(rng.normal(0.7, 2.0, size=5))
    costs = least_costs(ours, theirs)
    for k in range(6):
        least = min(
            sum((ours[i] - theirs[j]) ** 2 for i, j in zip(chosen, order, strict=True))
            for chosen in itertools.combinations(range(5), k)
            for order in itertools.permutations(range(5), k)
        )
        assert costs[k] == pytest.approx(least)


def test_partial_transport_is_that_of_a_linear_program() -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="the reference solver")
    rng = np.random.default_rng(1)
    n, k = 12, 7
    ours, theirs = np.sort(rng.normal(size=n)), np.sort(rng.normal(1.0, 1.5, size=n))
    sums = np.concatenate([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
    solved = optimize.linprog(
        ((ours[:, None] - theirs) ** 2).ravel(), A_ub=sums, b_ub=np.ones(2 * n),
        A_eq=np.ones((1, n * n)), b_eq=[k], bounds=(0, None),
    )  # fmt: skip
    assert least_costs(ours, theirs)[k] == pytest.approx(solved.fun, rel=1e-6)


def test_the_line_knows_its_posterior_mean_and_error() -> None:
    one = Line((1.0,), (0.3,), spread=0.5, sigma=1.0)  # a Gaussian: all is known in closed form
    y = np.array([-2.0, 0.3, 1.7])
    assert one.mean(y) == pytest.approx(0.3 + 0.2 * (y - 0.3))
    assert one.least_error() == pytest.approx(0.25 * 1.0 / 1.25, rel=1e-5)
    # Of N(m, a) and N(m, b), a < b, it is P(|z| < c/sqrt(a)) - P(|z| < c/sqrt(b)) at their meeting.
    a, b = 0.05, 0.25
    c = math.sqrt(math.log(b / a) * a * b / (b - a))
    expected = math.erf(c / math.sqrt(2 * a)) - math.erf(c / math.sqrt(2 * b))
    assert one.total_variation() == pytest.approx(expected, abs=1e-4)
