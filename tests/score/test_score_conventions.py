import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import BenchError
from bench.score.conventions import Conventions, as_bytes

PLAIN = Conventions()


def pictures(shape=(5, 3, 8, 8), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(
    n=st.integers(1, 5), side=st.integers(4, 9), channels=st.sampled_from([1, 3]),
    form=st.sampled_from(["uint8", "float32", "float64", "minus-one", "0..255"]),
    last=st.booleans(),
)  # fmt: skip
def test_the_same_pictures_come_out_of_every_convention(n, side, channels, form, last):
    images = pictures((n, channels, side, side), n)
    images.flat[:2] = 0, 255  # the whole range, so that it can be recognised
    stated = PLAIN
    array = images
    if form.startswith("float"):
        array = (images / 255).astype(form)
    elif form == "minus-one":
        array, stated = (images / 127.5 - 1).astype(np.float32), Conventions.of("", "-1,1")
    elif form == "0..255":
        array, stated = images.astype(np.float16), Conventions.of("", "0,255")
    if last:
        array = array.transpose(0, 2, 3, 1)
    assert np.array_equal(as_bytes(array, stated), images)


def test_grey_pictures_without_a_channel_axis():
    images = pictures((5, 8, 8))
    assert np.array_equal(as_bytes(images, PLAIN), images[:, None])


@pytest.mark.parametrize(
    ("array", "layout", "message"),
    [
        (pictures((5, 3, 8, 3)), "", "can be read as NCHW and as NHWC; say which with --layout"),
        (pictures((5, 1, 8, 1)), "", "say which with --layout"),
        (pictures((3, 8, 8)), "", "is it one picture"),
        (pictures((8, 8, 3)), "", "is it one picture"),
        (pictures((5, 4, 8, 8)), "", "with 1 or 3 channels"),
        (pictures((5, 3, 8, 8)), "NHWC", "has 8 channels; expected 1 or 3"),
        (pictures((5, 3, 8, 8)), "NHW", "--layout NHW does not fit"),
        (pictures((64,)), "", "is no set of pictures"),
        (pictures((0, 3, 8, 8)), "", "holds no pictures"),
    ],
)
def test_a_layout_that_is_not_clear_is_refused(array, layout, message):
    with pytest.raises(BenchError, match=message) as caught:
        as_bytes(array, Conventions.of(layout, ""))
    assert "\n" not in str(caught.value)


def test_an_ambiguous_shape_is_read_as_stated():
    images = pictures((5, 3, 8, 3))
    assert as_bytes(images, Conventions.of("nchw", "")).shape == (5, 3, 8, 3)
    assert as_bytes(images, Conventions.of("NHWC", "")).shape == (5, 3, 3, 8)


def floats(low, high):
    array = np.linspace(low, high, 5 * 3 * 64, dtype=np.float32)
    return array.reshape(5, 3, 8, 8)


@pytest.mark.parametrize(
    ("array", "stated", "message"),
    [
        (floats(-1, 1), "", r"values from -1 to 1.*\(x \+ 1\) / 2.*--range -1,1"),
        (floats(-0.2, 0.9), "", "--range -1,1"),
        (floats(0, 255), "", r"x / 255.*--range 0,255"),
        (floats(0, 1.1), "", "--range 0,255"),
        (floats(-3, 300), "", "state --range LOW,HIGH"),
        (floats(-1.2, 1.2), "-1,1", "outside the stated range -1 to 1; clip"),
        (floats(0, 1).astype(np.uint8), "", "floats in .* cut to bytes"),
        (pictures().astype(np.int64), "", "are int64; expected uint8"),
        (pictures() > 9, "", "are bool; expected uint8"),
    ],
)
def test_a_range_that_is_not_clear_is_refused(array, stated, message):
    with pytest.raises(BenchError, match=message):
        as_bytes(array, Conventions.of("", stated))


def test_bytes_of_black_and_white_are_read_as_stated():
    images = (pictures() > 100).astype(np.uint8)
    assert np.array_equal(as_bytes(images, Conventions.of("", "0,1")), images * 255)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pictures_that_are_no_numbers_are_named(value):
    array = floats(0, 1)
    array[3, 1, 2, 2] = value
    array[4] = value
    with pytest.raises(BenchError, match="in 2 of 5 pictures, the first is number 3"):
        as_bytes(array, PLAIN)


@pytest.mark.parametrize("words", ["1", "1,0", "a,b", "0,0", "nan,1", "0,inf", "0,1,2"])
def test_a_range_is_two_rising_numbers(words):
    with pytest.raises(BenchError, match="expected two numbers"):
        Conventions.of("", words)


def test_a_layout_is_one_of_three():
    with pytest.raises(BenchError, match="expected one of NCHW, NHWC, NHW"):
        Conventions.of("CHWN", "")
