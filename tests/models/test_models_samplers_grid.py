"""The levels that samplers visit."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import BenchError, Kind
from bench.registry import names
from models.samplers.grid import SPACINGS, grid_of, log_snr, quadratic, respaced, strided
from models.schedule import schedule

NAMES = st.sampled_from(names(Kind.SCHEDULE))


@given(spacing=st.sampled_from(sorted(SPACINGS)), name=NAMES, data=st.data())
def test_grids_descend_from_the_start_to_the_image(
    spacing: str, name: str, data: st.DataObject
) -> None:
    start = data.draw(st.one_of(st.integers(1, 1000).map(float), st.floats(1, 1000)))
    count = data.draw(st.integers(1, int(start)))
    grid = grid_of(spacing, schedule(name), start, count)
    assert len(grid) == count + 1
    assert (grid[0], grid[-1]) == (start, 0)
    assert all(type(t) is float for t in grid)
    assert min(a - b for a, b in pairwise(grid)) > 0


@given(name=NAMES, start=st.floats(2, 1000), data=st.data())
def test_log_snr_grids_are_even_down_to_level_1(
    name: str, start: float, data: st.DataObject
) -> None:
    count = data.draw(st.integers(2, int(start)))
    grid = log_snr(schedule(name), start, count)
    ratios = schedule(name).log_snr(grid[:-1])
    assert grid[-2] == 1
    # A level within 1e-6 of a whole one is that one, and there log SNR may be steep.
    np.testing.assert_allclose(np.diff(ratios), (ratios[-1] - ratios[0]) / (count - 1), atol=2e-5)


@given(start=st.floats(1, 1000), data=st.data())
def test_quadratic_grids_are_even_in_the_square_root(start: float, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, int(start)))
    roots = np.sqrt(quadratic(start, count))
    np.testing.assert_allclose(np.diff(roots), -math.sqrt(start) / count, rtol=1e-6)


@given(start=st.floats(1, 1000), data=st.data())
def test_respaced_grids_fall_evenly(start: float, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, int(start)))
    grid = respaced(start, count)
    assert len(grid) == count + 1
    assert (grid[0], grid[-1]) == (start, 0)
    gaps = [a - b for a, b in pairwise(grid)]
    assert min(gaps) > 0
    assert max(gaps) <= start / count + 1 + 1e-6
    assert all(t == int(t) for t in grid[1:])


@given(start=st.floats(0.01, 1000), stride=st.integers(1, 100))
def test_strided_grids_take_the_fewest_calls(start: float, stride: int) -> None:
    grid = strided(start, stride)
    assert (grid[0], grid[-1]) == (start, 0)
    gaps = [a - b for a, b in pairwise(grid)]
    assert min(gaps) > 0
    assert max(gaps) <= stride
    assert len(grid) == math.ceil(math.ceil(start) / stride) + 1


def test_known_grids() -> None:
    assert quadratic(1000, 5) == pytest.approx([1000, 640, 360, 160, 40, 0])
    assert respaced(1000, 5) == [1000, 800, 600, 400, 200, 0]
    assert respaced(1000, 30)[:4] == [1000, 966, 933, 900]
    assert strided(4) == [4, 3, 2, 1, 0]
    assert strided(0) == [0]


def test_wrong_grids_are_one_clear_line() -> None:
    with pytest.raises(BenchError, match=r"51 sampling steps from level 50 .* expected 1 to 50"):
        respaced(50, 51)
    with pytest.raises(BenchError, match="stride is 0"):
        strided(50, 0)
    for spacing in SPACINGS:
        with pytest.raises(BenchError, match=r"1001 sampling steps .* expected 1 to 1000; lower"):
            grid_of(spacing, schedule("linear"), 1000, 1001)
        with pytest.raises(BenchError, match=r"0 sampling steps"):
            grid_of(spacing, schedule("linear"), 1000, 0)
    with pytest.raises(BenchError, match="no spacing named 'even'; expected one of uniform, quad"):
        grid_of("even", schedule("linear"), 1000, 10)
