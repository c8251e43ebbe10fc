"""What the guard lets through and what it refuses, in one clear line."""

import subprocess
import sys

import pytest
import torch

from bench.api import Invalid
from bench.metrics.distances import Statistics, frechet
from bench.metrics.fidelity import psnr
from bench.metrics.guard import check_features, check_finite, check_images
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import ssim

GOOD = torch.full((2, 3, 16, 16), 0.5)


def changed(value):
    """Return the good images with one pixel set to `value`."""
    images = GOOD.clone()
    images[1, 2, 3, 4] = value
    return images


BAD = {
    "integers": (GOOD.to(torch.uint8), "float"),
    "three dimensions": (GOOD[0], r"shape \[3, 16, 16\]"),
    "no images": (GOOD[:0], r"shape \[0, 3, 16, 16\]"),
    "NaN": (changed(float("nan")), "1 of 1536 values are NaN"),
    "infinity": (changed(float("inf")), "infinite"),
    "above 1": (changed(1.01), "to 1.01"),
    "below 0": (changed(-0.02), "from -0.02"),
    "0 to 255": (GOOD * 255, r"expected \[0, 1\]"),
    "a list": ([0.5], "list"),
}


@pytest.mark.parametrize(("images", "message"), BAD.values(), ids=BAD)
def test_bad_images_are_refused(images, message):
    with pytest.raises(Invalid, match=message) as caught:
        check_images(images, "restored")
    assert str(caught.value).startswith("restored: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0.0, 1.0, -5e-7, 1 + 5e-7])
def test_the_closed_range_and_rounding_are_let_through(value):
    images = changed(value).double()
    assert check_images(images, "x") is images


@pytest.mark.parametrize("metric", [psnr, ssim, LPIPS()], ids=["psnr", "ssim", "lpips"])
def test_every_image_metric_is_guarded(metric):
    with pytest.raises(Invalid, match="NaN"):
        metric(GOOD, changed(float("nan")))
    with pytest.raises(Invalid, match="shape"):
        metric(GOOD, GOOD[:1])


def test_nan_features_are_refused_before_linear_algebra():
    features = torch.randn(20, 4)
    features[3, 2] = torch.nan
    with pytest.raises(Invalid, match="1 of 80 values"):
        Statistics.of(features)
    good = Statistics.of(torch.randn(20, 4))
    broken = Statistics(20, good.mean, good.root * torch.nan)
    with pytest.raises(Invalid, match="NaN"):
        frechet(good, broken)


@pytest.mark.parametrize("x", [torch.ones(3), torch.ones(0, 4), torch.ones(3, 4).int(), [1.0]])
def test_bad_features_are_refused(x):
    with pytest.raises(Invalid, match="expected float features"):
        check_features(x, "f")


def test_features_of_another_dimension_are_refused():
    with pytest.raises(Invalid, match="dimension 4, expected 5"):
        check_features(torch.ones(3, 4), "f", like=torch.ones(3, 5))
    assert check_finite(torch.ones(3), "x").sum() == 3


def test_imports_stay_light():
    """The report reads statistics without torch; no metric imports a heavy peer by itself."""
    code = (
        "import sys, bench.statistics, bench.metrics.latency, bench.metrics.memory\n"
        "assert 'torch' not in sys.modules\n"
        "import bench.metrics.cost, bench.metrics.lpips, bench.metrics.distances\n"
        "import bench.metrics.ssim, bench.metrics.features.alexnet\n"
        "heavy = {'torchvision', 'lpips', 'fvcore', 'torchmetrics', 'skimage', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
