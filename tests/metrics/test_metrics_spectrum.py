"""Power by spatial frequency: Parseval, pure stripes, white noise, shifts, and bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api import Invalid
from bench.metrics.spectrum import NYQUIST, in_band, power, radial, radius


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stripes(down: int, right: int, side: int = 32, phase: float = 0.3) -> torch.Tensor:
    at = torch.arange(side, dtype=torch.float64) / side
    wave = down * at[:, None] + right * at[None, :]
    return torch.cos(2 * math.pi * wave + phase)[None, None]


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 19), st.integers(4, 19), st.integers(1, 3), st.integers(0, 99))
def test_the_power_adds_up_to_the_variance_over_pixels(height, width, channels, seed):
    images = noise(2, channels, height, width, seed=seed) + 5
    centred = images - images.mean((-2, -1), keepdim=True)
    variance = centred.square().mean((1, 2, 3))
    torch.testing.assert_close(power(images, window=False).sum((1, 2)), variance)


def test_with_the_window_it_adds_up_to_the_variance_of_what_the_window_leaves():
    images = noise(3, 1, 12, 16)
    rows, columns = (
        math.sqrt(8 / 3) * torch.sin(math.pi * (torch.arange(n).double() + 0.5) / n) ** 2
        for n in (12, 16)
    )
    assert float(rows.square().mean()) == pytest.approx(1)
    faded = (images - images.mean((-2, -1), keepdim=True)) * rows[:, None] * columns[None, :]
    torch.testing.assert_close(power(images).sum((1, 2)), faded.square().mean((1, 2, 3)))


@pytest.mark.parametrize(("down", "right"), [(3, 4), (0, 5), (5, 0), (-3, 4)])
def test_pure_stripes_are_at_their_frequency_and_nowhere_else(down, right):
    spectrum = power(stripes(down, right), window=False)
    assert float(spectrum.sum()) == pytest.approx(0.5)
    assert float(in_band(spectrum, 4.9 / 32, 5.1 / 32)) == pytest.approx(0.5)
    at, density = radial(spectrum)
    assert float(at[int(density.argmax())]) == pytest.approx(5 / 32)
    assert float(density[0].sum()) == pytest.approx(float(density.max()))


def test_with_the_window_broken_stripes_stay_near_and_without_it_they_do_not():
    at = torch.arange(64, dtype=torch.float64) / 64
    broken = torch.cos(2 * math.pi * 5.5 * at)[None, None, None, :].expand(1, 1, 64, 64)
    share = [
        float(in_band(p, 0.25) / p.sum()) for p in (power(broken), power(broken, window=False))
    ]
    assert share[0] < 1e-4 < 1e-3 < share[1]


@pytest.mark.parametrize("window", [False, True])
def test_white_noise_has_its_variance_at_every_frequency(window):
    _, density = radial(power(0.3 * noise(400, 2, 16, 16), window=window))
    # The mean is taken off, which the window spreads over the lowest frequencies alone.
    torch.testing.assert_close(
        density.mean(0)[1:], torch.full((7,), 0.09, dtype=torch.float64), rtol=0.05, atol=0
    )


def test_a_shift_around_changes_nothing_without_the_window():
    images = noise(2, 1, 9, 14)
    moved = images.roll((3, -5), (-2, -1))
    torch.testing.assert_close(power(moved, window=False), power(images, window=False))


def test_the_common_part_is_the_covariance():
    x, y = noise(2, 3, 8, 8, seed=1), noise(2, 3, 8, 8, seed=2)
    torch.testing.assert_close(power(x, x), power(x))
    torch.testing.assert_close(power(x + y), power(x) + power(y) + 2 * power(x, y))
    torch.testing.assert_close(power(x, 0.5 * x), 0.5 * power(x))


def test_bands_cover_every_frequency_once_up_to_the_corners():
    spectrum = power(noise(1, 1, 16, 16))
    bands = in_band(spectrum, 0, 0.25) + in_band(spectrum, 0.25) + in_band(spectrum, NYQUIST, 1)
    torch.testing.assert_close(bands, spectrum.sum((1, 2)) - spectrum[:, 0, 0])
    assert float(radius(16, 16).max()) == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(3, 8, 8), None, r"found \[3, 8, 8\], expected images"),
        (torch.zeros(1, 1, 3, 8), None, "4 pixels or more"),
        (None, None, "found NoneType"),
        (torch.full((1, 1, 8, 8), math.nan), None, "64 of 64 values are NaN"),
        (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9), r"found shape \[1, 1, 8, 9\]"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(x, y, message):
    with pytest.raises(Invalid, match=message):
        power(x, y)


def test_a_band_without_a_frequency_is_refused():
    with pytest.raises(Invalid, match=r"no frequency above 0\.26 up to 0\.3 cycles a pixel"):
        in_band(power(noise(1, 1, 4, 4)), 0.26, 0.3)
