"""What must hold of every metric whatever its definition: identity, symmetry, order, bounds."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import distances
from bench.metrics.fidelity import mse, psnr
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import ssim, ssim_authors

PAIRS = {"mse": mse, "psnr": psnr, "ssim": ssim, "ssim-authors": ssim_authors, "lpips": LPIPS()}
SAME = {"mse": 0.0, "psnr": math.inf, "ssim": 1.0, "ssim-authors": 1.0, "lpips": 0.0}
HIGHER_IS_BETTER = {"psnr", "ssim", "ssim-authors"}
BOUNDS = {
    "mse": (0.0, 1.0),
    "psnr": (0.0, math.inf),
    "ssim": (-1.0, 1.0),
    "ssim-authors": (-1.0, 1.0),
    "lpips": (0.0, 2.0),
}
"""Of LPIPS no bound is published; its heads sum to less than 2 over unit vectors in practice."""
EXACT = [name for name in PAIRS if name != "lpips"]
"""Not a single bit depends on the other images of the batch; of LPIPS, what a convolution rounds
does, and tasks keep batches at one size for that."""
ANY = given(seed=st.integers(0, 10_000), channels=st.sampled_from([1, 3]))
FEW = settings(max_examples=6, deadline=None)


def images(seed, channels, count=3, size=(24, 20)):
    """Return smooth images of full contrast."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 5, 5, generator=rng)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def noisy(x, sigma, seed=0):
    rng = torch.Generator().manual_seed(seed + 77)
    return (x + sigma * torch.randn(x.shape, generator=rng)).clamp(0, 1)


every_pair = pytest.mark.parametrize("name", PAIRS)
exact_pair = pytest.mark.parametrize("name", EXACT)


@every_pair
@FEW
@ANY
def test_an_image_is_most_like_itself(name, seed, channels):
    x = images(seed, channels)
    assert PAIRS[name](x, x.clone()).tolist() == pytest.approx([SAME[name]] * 3, abs=1e-12)
    low, high = BOUNDS[name]
    value = PAIRS[name](x, noisy(x, 0.02, seed))
    assert ((value < SAME[name]) if name in HIGHER_IS_BETTER else (value > SAME[name])).all()
    extremes = PAIRS[name](torch.zeros_like(x), torch.ones_like(x))
    for worst in (value, extremes, PAIRS[name](x, 1 - x), PAIRS[name](x, x.flip(0))):
        assert ((low <= worst) & (worst <= high + 1e-12)).all()


@every_pair
@FEW
@ANY
def test_it_is_symmetric(name, seed, channels):
    x = images(seed, channels)
    y = noisy(x, 0.1, seed)
    torch.testing.assert_close(PAIRS[name](x, y), PAIRS[name](y, x), rtol=1e-12, atol=1e-12)


@every_pair
@FEW
@ANY
def test_more_noise_is_worse(name, seed, channels):
    x = images(seed, channels)
    values = [float(PAIRS[name](x, noisy(x, s, seed)).mean()) for s in (0.02, 0.05, 0.1, 0.2, 0.4)]
    assert np.all(np.diff(values) * (-1 if name in HIGHER_IS_BETTER else 1) > 0)


@exact_pair
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    channels=st.sampled_from([1, 3]),
    order=st.permutations(range(6)),
    cuts=st.sets(st.integers(1, 5)),
)
def test_order_and_batches_change_no_bit(name, seed, channels, order, cuts):
    x = images(seed, channels, count=6)
    y = noisy(x, 0.1, seed)
    whole = PAIRS[name](x, y)
    assert torch.equal(PAIRS[name](x[order], y[order]), whole[order])
    edges = [0, *sorted(cuts), 6]
    parts = [slice(*edge) for edge in itertools.pairwise(edges)]
    assert torch.equal(torch.cat([PAIRS[name](x[part], y[part]) for part in parts]), whole)


@FEW
@ANY
def test_order_and_batches_leave_lpips_within_rounding(seed, channels):
    x = images(seed, channels, count=5)
    y = noisy(x, 0.1, seed)
    whole = PAIRS["lpips"](x, y)
    torch.testing.assert_close(
        PAIRS["lpips"](x.flip(0), y.flip(0)).flip(0), whole, rtol=2e-6, atol=0
    )
    alone = torch.cat([PAIRS["lpips"](x[i : i + 1], y[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, whole, rtol=2e-6, atol=0)


@exact_pair
@FEW
@ANY
def test_mirroring_and_transposing_change_nothing(name, seed, channels):
    x = images(seed, channels)
    y = noisy(x, 0.1, seed)
    whole = PAIRS[name](x, y)
    for move in (lambda z: z.flip(-1), lambda z: z.flip(-2), lambda z: z.transpose(-1, -2)):
        torch.testing.assert_close(PAIRS[name](move(x), move(y)), whole, rtol=1e-12, atol=1e-12)


@exact_pair
@FEW
@ANY
def test_the_order_of_channels_does_not_matter(name, seed, channels):
    x = images(seed, channels)
    y = noisy(x, 0.1, seed)
    turned = PAIRS[name](x.flip(1), y.flip(1))
    torch.testing.assert_close(turned, PAIRS[name](x, y), rtol=1e-12, atol=1e-12)


@exact_pair
def test_single_precision_images_lose_nothing(name):
    """The same numbers as floats of 32 or 64 bits are the same images."""
    x = images(0, 3)
    y = noisy(x, 0.1)
    assert torch.equal(PAIRS[name](x, y), PAIRS[name](x.double(), y.double()))


@FEW
@given(error=st.floats(1e-4, 0.5), value=st.floats(0, 0.5))
def test_psnr_of_a_constant_error_has_a_closed_form(error, value):
    x = torch.full((1, 3, 9, 7), value, dtype=torch.float64)
    assert float(psnr(x, x + error)) == pytest.approx(-20 * math.log10(error), rel=1e-9)
    assert float(mse(x, x + error)) == pytest.approx(error**2, rel=1e-9)


# ----------------------------------------------------------------------------- sets


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SETS = {
    "frechet": lambda a, b: distances.frechet_jackknife(a, b).value,
    "kid": lambda a, b: distances.kid_jackknife(a, b).value,
}
every_set = pytest.mark.parametrize("distance", SETS.values(), ids=SETS)


@every_set
@FEW
@given(seed=st.integers(0, 99), sizes=st.tuples(st.integers(16, 60), st.integers(16, 60)))
def test_a_distance_of_sets_is_symmetric(distance, seed, sizes):
    a, b = normal(seed, sizes[0], 7), 1.5 * normal(seed + 1, sizes[1], 7) + 0.3
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9, abs=1e-12)


@every_set
@FEW
@given(seed=st.integers(0, 99))
def test_a_distance_of_sets_minds_no_order_and_no_rotation(distance, seed):
    a, b = normal(seed, 40, 7), 1.5 * normal(seed + 1, 50, 7) + 0.3
    axes = torch.linalg.qr(normal(seed + 2, 7, 7)).Q
    expected = distance(a, b)
    assert distance(a.flip(0), b[torch.randperm(50)]) == pytest.approx(expected, rel=1e-9)
    assert distance(a @ axes, b @ axes) == pytest.approx(expected, rel=1e-9)
