"""Every metric refuses what it cannot measure, in one line, and minds no layout in memory."""

import subprocess
import sys

import pytest
import torch

from bench import registry
from bench.api import Invalid, Missing
from bench.metrics import distances
from bench.metrics.fidelity import mse, psnr
from bench.metrics.lpips import LPIPS
from bench.metrics.manifold import manifold
from bench.metrics.neighbours import nearest
from bench.metrics.ssim import ssim, ssim_authors

PAIRS = {"mse": mse, "psnr": psnr, "ssim": ssim, "ssim-authors": ssim_authors, "lpips": LPIPS()}


def of_two(distance):
    return lambda a, b: distance(distances.Statistics.of(a), distances.Statistics.of(b))


TWO_SETS = {
    "frechet": of_two(distances.frechet),
    "frechet_jackknife": lambda a, b: distances.frechet_jackknife(a, b).value,
    "frechet_interval": lambda a, b: distances.frechet_interval(a, b).value,
    "kid": lambda a, b: distances.kid(a, b).value,
    "kid_jackknife": lambda a, b: distances.kid_jackknife(a, b).value,
    "manifold": lambda a, b: manifold(real=a, generated=b).density,
    "nearest": lambda a, b: float(nearest(a, b)[0].sum()),
}
NAMES = {"manifold": ("real", "generated"), "nearest": ("queries", "references")}


def statistics_of(x):
    return distances.Statistics.of(x).root


def rand(*shape, seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_one(x, value):
    x = x.clone()
    x.view(-1)[x.numel() // 2] = value
    return x


@pytest.fixture(scope="module", params=registry.names("features"))
def extractor(request):
    if registry.missing_needs(registry.find("features", request.param)):
        pytest.skip("its needs are not installed")
    try:
        return request.param, registry.build("features", request.param)
    except Missing as missing:
        pytest.skip(str(missing))


def refused(call, *words):
    """Check that a call ends with one line that holds the words."""
    with pytest.raises(Invalid) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in (*words, "expected"):
        assert word in message


# ------------------------------------------------------------------------- images

IMAGES = rand(2, 3, 64, 64)
BAD_IMAGES = {
    "nan": (with_one(IMAGES, torch.nan), "1 of 24576 values are NaN"),
    "inf": (with_one(IMAGES, torch.inf), "infinite"),
    "minus inf": (with_one(IMAGES, -torch.inf), "infinite"),
    "all nan": (IMAGES * torch.nan, "24576 of 24576"),
    "[-1,1]": (IMAGES * 2 - 1, "values from -0.99"),
    "[0,255]": (IMAGES * 255, "to 254"),
    "uint8": ((IMAGES * 255).to(torch.uint8), "torch.uint8"),
    "int64": (IMAGES.long(), "torch.int64"),
    "bool": (IMAGES > 0.5, "torch.bool"),
    "float16": (IMAGES.half(), "torch.float16"),
    "bfloat16": (IMAGES.bfloat16(), "torch.bfloat16"),
    "complex": (IMAGES.to(torch.complex64), "torch.complex64"),
    "sparse": (IMAGES.to_sparse(), "torch.sparse_coo"),
    "meta": (IMAGES.to("meta"), "without values"),
    "empty": (IMAGES[:0], "[0, 3, 64, 64]"),
    "no channel": (IMAGES[:, :0], "[2, 0, 64, 64]"),
    "3-d": (IMAGES[0], "[3, 64, 64]"),
    "5-d": (IMAGES[None], "[1, 2, 3, 64, 64]"),
    "numpy": (IMAGES.numpy(), "ndarray"),
    "list": (IMAGES.tolist(), "list"),
    "none": (None, "NoneType"),
}


@pytest.mark.parametrize(("bad", "found"), BAD_IMAGES.values(), ids=BAD_IMAGES)
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_of_which_one_is_bad_is_refused(name, bad, found):
    for pair, argument in (((bad, IMAGES), "x: "), ((IMAGES, bad), "y: "), ((bad, bad), "x: ")):
        refused(lambda pair=pair: PAIRS[name](*pair), argument, found)


@pytest.mark.parametrize(("bad", "found"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_an_extractor_refuses_bad_images(extractor, bad, found):
    refused(lambda: extractor[1](bad), "images: ", found)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("cut", [(slice(1),), (slice(None), slice(1)), (..., slice(60))])
def test_a_pair_of_different_shapes_is_refused(name, cut):
    refused(lambda: PAIRS[name](IMAGES, IMAGES[cut]), "y: ", "[2, 3, 64, 64]")


@pytest.mark.parametrize("channels", [2, 4])
def test_lpips_refuses_other_channels_than_grey_or_colour(channels):
    images = rand(1, channels, 64, 64)
    refused(lambda: PAIRS["lpips"](images, images), f"{channels} channels")


@pytest.mark.parametrize("channels", [2, 4])
def test_an_extractor_takes_other_channels_or_says_that_it_does_not(extractor, channels):
    """Some average over whatever channels there are, which is defined; a network must refuse."""
    name, extract = extractor
    images = rand(1, channels, 64, 64)
    try:
        features = extract(images)
    except Invalid:
        refused(lambda: extract(images), f"{channels} channels")
    else:
        assert features.shape == (1, extract.dimension)
        averaged = extract(images.mean(dim=1, keepdim=True))
        torch.testing.assert_close(features, averaged, atol=1e-5, rtol=1e-5, msg=name)


def variants(x):
    """Yield the same numbers as other tensors."""
    yield "double", x.double()
    yield "gradient", x.clone().requires_grad_()
    yield "strided", x.repeat_interleave(2, dim=-1)[..., ::2]
    yield "transposed", x.transpose(-1, -2).contiguous().transpose(-1, -2)
    if x.ndim == 4:
        yield "channels last", x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        yield "inference", x.clone()


VARIANTS = ("double", "gradient", "strided", "transposed", "channels last", "inference")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_in_another_form_has_the_same_value(name, variant):
    x, y = IMAGES, rand(2, 3, 64, 64, seed=1)
    expected = PAIRS[name](x, y)
    got = PAIRS[name](*(dict(variants(z))[variant] for z in (x, y)))
    assert got.dtype == expected.dtype
    if name == "lpips":  # its convolutions choose another route for another layout
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    else:
        assert torch.equal(got, expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_extractor_minds_no_form(extractor, variant):
    _, extract = extractor
    got = extract(dict(variants(IMAGES))[variant])
    torch.testing.assert_close(got.float(), extract(IMAGES), atol=1e-5, rtol=1e-5)
    assert not got.requires_grad


def test_an_expanded_image_counts_as_its_copies():
    x, y = IMAGES[:1].expand(3, -1, -1, -1), rand(3, 3, 64, 64, seed=1)
    for name, metric in PAIRS.items():
        torch.testing.assert_close(metric(x, y), metric(x.clone(), y), msg=name)


# ----------------------------------------------------------------------- features

FEATURES = rand(40, 6) - 0.5
BAD_FEATURES = {
    "nan": (with_one(FEATURES, torch.nan), "1 of 240 values are NaN"),
    "inf": (with_one(FEATURES, torch.inf), "infinite"),
    "overflow": (with_one(FEATURES.double(), 1e160), "to 1e+160"),
    "negative overflow": (with_one(FEATURES.double(), -1e60), "from -1e+60"),
    "int64": (FEATURES.long(), "torch.int64"),
    "uint8": (FEATURES.to(torch.uint8), "torch.uint8"),
    "float16": (FEATURES.half(), "torch.float16"),
    "bfloat16": (FEATURES.bfloat16(), "torch.bfloat16"),
    "complex": (FEATURES.to(torch.complex64), "torch.complex64"),
    "meta": (FEATURES.to("meta"), "without values"),
    "empty": (FEATURES[:0], ""),
    "no dimension": (FEATURES[:, :0], "[40, 0]"),
    "1-d": (FEATURES[0], "[6]"),
    "3-d": (FEATURES[None], "[1, 40, 6]"),
}
NO_TENSOR = {"numpy": FEATURES.numpy(), "list": FEATURES.tolist(), "none": None}


@pytest.mark.parametrize(("bad", "found"), BAD_FEATURES.values(), ids=BAD_FEATURES)
def test_bad_features_are_refused_by_every_distance(bad, found):
    refused(lambda: statistics_of(bad), "features: ", found)
    for distance in TWO_SETS.values():
        refused(lambda distance=distance: distance(bad, FEATURES), found)
        refused(lambda distance=distance: distance(FEATURES, bad), found)


@pytest.mark.parametrize("name", ["nan", "inf", "int64", "float16", "complex"])
def test_the_floor_refuses_bad_features(name):
    refused(lambda: distances.floor(BAD_FEATURES[name][0]))


@pytest.mark.parametrize("name", [name for name in TWO_SETS if name != "frechet"])
@pytest.mark.parametrize("bad", NO_TENSOR.values(), ids=NO_TENSOR)
def test_what_is_no_tensor_is_refused_by_every_distance(name, bad):
    first, second = NAMES.get(name, ("a", "b"))
    refused(lambda: TWO_SETS[name](bad, FEATURES), f"{first}: ", type(bad).__name__)
    refused(lambda: TWO_SETS[name](FEATURES, bad), f"{second}: ", type(bad).__name__)


@pytest.mark.parametrize("name", TWO_SETS)
def test_two_sets_of_different_dimensions_are_refused(name):
    with pytest.raises(Invalid, match=r"dimension.* 5.*6|dimension.*6.* 5") as caught:
        TWO_SETS[name](FEATURES, FEATURES[:, :5])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in TWO_SETS if name != "nearest"])
def test_one_image_where_two_are_needed_is_refused(name):
    refused(lambda: TWO_SETS[name](FEATURES[:1], FEATURES), "1")
    refused(lambda: TWO_SETS[name](FEATURES, FEATURES[:1]), "1")


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "channels last"])
@pytest.mark.parametrize("name", TWO_SETS)
def test_features_in_another_form_have_the_same_distance(name, variant):
    a, b = FEATURES, rand(40, 6, seed=1)
    got = TWO_SETS[name](*(dict(variants(z))[variant] for z in (a, b)))
    assert got == pytest.approx(TWO_SETS[name](a, b), rel=1e-12)


# ------------------------------------------------------------------- the process

ENDLESS = """
import faulthandler, torch
from bench.api import Invalid
from bench.metrics import distances
faulthandler.enable()
good = torch.randn(64, 48)
for value in (torch.nan, torch.inf, -torch.inf, 1e38):
    bad = good.clone()
    bad[3, 5] = value
    whole = distances.Statistics.of(good)
    for call in (
        lambda: distances.frechet(distances.Statistics.of(bad), whole),
        lambda: distances.frechet(whole, distances.Statistics(64, whole.mean, whole.root * value)),
        lambda: distances.frechet_jackknife(bad, good),
        lambda: distances.kid(good, bad),
        lambda: distances.floor(bad),
    ):
        try:
            call()
        except Invalid:
            continue
        assert value == 1e38, (value, "was let through")
print("alive")
"""


@pytest.mark.slow
def test_no_value_ends_the_process():
    """In some linear algebra libraries a NaN is a segmentation fault, which no `except` sees."""
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alive\n"


def test_statistics_that_are_broken_have_no_distance():
    """A NaN must not become 0, which would be a perfect score."""
    whole = distances.Statistics.of(FEATURES)
    for mean, root in ((torch.nan, 1), (1, torch.nan), (torch.inf, 1)):
        broken = distances.Statistics(40, whole.mean * mean, whole.root * root)
        refused(lambda broken=broken: distances.frechet(broken, whole))
        refused(lambda broken=broken: distances.frechet(whole, broken))
