"""BM3D of our own against loops in numpy, direct definitions, and the authors' package."""

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import _bm3d_transforms as transforms
from baselines import bm3d_torch
from baselines._bm3d_matching import match, reference_lines
from baselines._bm3d_stages import Stage, hard_threshold, wiener
from bench.api import BenchError, Level
from bench.registry import build

FIRST = Stage("bior", 8, 3, group=16, similar=0.05, radius=7, threshold=2.7, colour_threshold=3.2)
SECOND = Stage("dct", block=8, step=3, group=32, similar=0.01, radius=7)
COARSE = Stage(
    "dct", 12, step=4, group=8, similar=0.05, radius=7, threshold=2.8, colour_threshold=2.5
)


def no_noise(like):
    raise AssertionError("BM3D draws no noise")


def picture(*shape, seed=0, noise=0.0, dtype=torch.float64):
    """Stripes, a disc and a ramp [C,H,W], with noise."""
    channels, height, width = shape
    y, x = np.mgrid[:height, :width] / max(height, width)
    base = 0.3 * (np.sin(40 * x) > 0) + 0.4 * (np.hypot(x - 0.5, y - 0.4) < 0.25) + 0.3 * y
    clean = np.stack([base * (1 - 0.3 * c) + 0.1 * c for c in range(channels)])
    noisy = clean + noise * np.random.default_rng(seed).standard_normal(clean.shape)
    return torch.tensor(noisy, dtype=dtype), torch.tensor(clean, dtype=dtype)


def psnr(a, b):
    return float(-10 * (a - b).double().square().mean().log10())


def restored(y, sigma, **size):
    denoiser = build("denoiser", "bm3d-torch", channels=y.shape[1], **size)
    return denoiser.denoise(y, Level(sigma), no_noise)


# ------------------------------------------------------------------------------- transforms


@pytest.mark.parametrize("size", [2, 8, 11, 12])
def test_dct_is_scipys(size):
    expected = scipy.fft.dct(np.eye(size), axis=0, norm="ortho")
    assert np.allclose(transforms.dct(size), expected, atol=1e-12)


def slow_haar(values):
    if len(values) == 1:
        return values
    even, odd = values[0::2], values[1::2]
    return np.concatenate([slow_haar((even + odd) / 2**0.5), (even - odd) / 2**0.5])


@pytest.mark.parametrize("size", [1, 2, 4, 32])
def test_haar_is_sums_and_differences_of_neighbours(size):
    rows = transforms.haar(size)
    assert np.allclose(rows, slow_haar(np.eye(size)), atol=1e-12)
    assert torch.allclose(rows @ rows.T, torch.eye(size).double(), atol=1e-12)


def test_biorthogonal_wavelet_is_that_of_pywavelets():
    pywt = pytest.importorskip("pywt")
    rows = np.eye(8)
    for length in (8, 4, 2):
        low, high = pywt.dwt(rows[:length], "bior1.5", "periodization", axis=0)
        rows[:length] = np.concatenate([low, high])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(transforms.bior(8), rows, atol=1e-12)


@pytest.mark.parametrize(("name", "size"), [("bior", 8), ("dct", 8), ("dct", 11), ("dct", 12)])
def test_blocks_are_found_again_and_white_noise_stays_white(name, size):
    forward, back = transforms.pair(name, size)
    assert torch.allclose(back @ forward, torch.eye(size**2).double(), atol=1e-12)
    assert torch.allclose(forward.norm(dim=1), torch.ones(size**2).double(), atol=1e-12)
    constant = forward @ torch.ones(size**2).double()
    assert constant[0] == pytest.approx(size)
    assert constant[1:].abs().max() < 1e-12
    line = {"dct": transforms.dct, "bior": transforms.bior}[name](size)
    block = torch.rand(size, size, dtype=torch.float64)
    assert torch.allclose(forward @ block.flatten(), (line @ block @ line.T).flatten())


def test_opponent_colours_are_orthonormal_and_grey_is_luminance_alone():
    rows = transforms.opponent()
    assert torch.allclose(rows @ rows.T, torch.eye(3).double(), atol=1e-12)
    assert torch.allclose(rows @ torch.ones(3).double(), torch.tensor([3**0.5, 0, 0]).double())


# --------------------------------------------------------------------------------- matching


def slow_matches(features, stage, threshold):
    """Return {reference: positions of similar blocks by rising distance}, from the definition."""
    rows, columns, _ = features.shape
    found = {}
    for y in sorted({*range(0, rows, stage.step), rows - 1}):
        for x in sorted({*range(0, columns, stage.step), columns - 1}):
            near = []
            for v in range(max(0, y - stage.radius), min(rows, y + stage.radius + 1)):
                for u in range(max(0, x - stage.radius), min(columns, x + stage.radius + 1)):
                    distance = ((features[y, x] - features[v, u]) ** 2).sum()
                    near.append((distance if (v, u) != (y, x) else -1.0, v * columns + u))
            near = [place for distance, place in sorted(near) if distance <= threshold]
            found[y * columns + x] = near[: stage.group]
    return found


@pytest.mark.parametrize("shape", [(17, 17), (9, 31), (26, 20), (3, 5)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_matches_are_those_of_a_full_search(shape, dtype):
    features = torch.rand(*shape, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    stage = Stage("dct", 8, step=3, group=16, similar=1.0, radius=5)
    expected = slow_matches(features.double().numpy(), stage, 0.55)
    found = match(features, step=3, radius=5, count=16, threshold=0.55)
    lists = {int(i[0]): i[:n].tolist() for i, n in zip(found.index, found.count, strict=True)}
    assert lists == expected
    assert min(shape) < 9 or (found.count.min() < 8 and found.count.max() == 16)


@pytest.mark.parametrize("positions", [1, 2, 3, 4, 57])
def test_the_last_line_is_always_a_reference(positions):
    lines = reference_lines(positions, 3).tolist()
    assert lines == sorted({*range(0, positions, 3), positions - 1})


# ----------------------------------------------------------------------------------- stages


def slow_stage(noisy, guide, stage, shrink):
    """One stage in loops over groups, blocks and channels: numpy, float64."""
    size, (channels, height, width) = stage.block, noisy.shape
    line = {"dct": transforms.dct, "bior": transforms.bior}[stage.transform](size).numpy()
    back = np.linalg.inv(line)
    columns = width - size + 1
    features = np.zeros((height - size + 1, columns, size**2))
    for y, x in np.ndindex(features.shape[:2]):
        block = guide[0, y : y + size, x : x + size]
        features[y, x] = block.ravel()
    kaiser = np.outer(np.kaiser(size, stage.beta), np.kaiser(size, stage.beta))
    top, bottom = np.zeros(noisy.shape), np.zeros(noisy.shape)
    for similar in slow_matches(features, stage, stage.similar * size**2 * channels).values():
        similar = similar[: 2 ** int(np.log2(len(similar)))]
        corners = [divmod(place, columns) for place in similar]
        for c in range(channels):
            cut = [np.s_[c, y : y + size, x : x + size] for y, x in corners]
            spectra = [
                slow_haar(np.stack([line @ image[at] @ line.T for at in cut]))
                for image in (noisy, guide)
            ]
            filtered, weight = shrink(*spectra, c)
            inverse = slow_haar(np.eye(len(similar))).T
            for at, block in zip(cut, np.tensordot(inverse, filtered, 1), strict=True):
                top[at] += weight * kaiser * (back @ block @ back.T)
                bottom[at] += weight * kaiser
    return top / bottom


@pytest.mark.parametrize("stage", [FIRST, COARSE], ids=["normal", "high-noise"])
@pytest.mark.parametrize("channels", [1, 3])
def test_hard_thresholding_is_that_of_plain_loops(stage, channels):
    noisy, _ = picture(channels, 24, 24, noise=0.1)

    def shrink(spectrum, _, channel):
        keep = np.abs(spectrum) > (stage.colour_threshold if channel else stage.threshold) * 0.1
        keep[0, 0, 0] = True
        return spectrum * keep, 1 / keep.sum()

    expected = slow_stage(noisy.numpy(), noisy.numpy(), stage, shrink)
    assert np.abs(hard_threshold(noisy, 0.1, stage).numpy() - expected).max() < 1e-10
    single = hard_threshold(noisy.float(), 0.1, stage)
    assert single.dtype == torch.float32
    assert np.abs(single.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("channels", [1, 3])
def test_wiener_filtering_is_that_of_plain_loops(channels):
    noisy, clean = picture(channels, 24, 22, noise=0.1)
    basic = 0.8 * clean + 0.2 * noisy

    def shrink(spectrum, pilot, _):
        gain = pilot**2 / (pilot**2 + 0.1**2)
        gain[0, 0, 0] = 1
        return spectrum * gain, 1 / (gain**2).sum()

    expected = slow_stage(noisy.numpy(), basic.numpy(), SECOND, shrink)
    assert np.abs(wiener(noisy, basic, 0.1, SECOND).numpy() - expected).max() < 1e-10
    single = wiener(noisy.float(), basic.float(), 0.1, SECOND)
    assert np.abs(single.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("stage", [FIRST, COARSE], ids=["normal", "high-noise"])
def test_nothing_is_lost_where_nothing_is_removed(stage):
    noisy, _ = picture(3, 21, 34, noise=0.1)
    assert torch.allclose(hard_threshold(noisy, 0.0, stage), noisy, atol=1e-10)
    assert torch.allclose(wiener(noisy, noisy, 1e-9, SECOND), noisy, atol=1e-8)
    y = noisy[None].float()
    assert torch.allclose(restored(y, 0.0), y, atol=1e-5)


# ------------------------------------------------------------------------------- the plug-in


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 40), (33, 16), (8, 15)])
def test_images_of_any_size_and_alone_or_together_to_the_last_bit(channels, height, width):
    y = torch.stack(
        [picture(channels, height, width, seed=s, noise=0.1)[0].float() for s in range(3)]
    )
    together = restored(y, 0.1)
    assert together.shape == y.shape
    assert together.dtype == y.dtype
    assert torch.equal(restored(y[1:2], 0.1), together[1:2])
    assert torch.equal(restored(y.flip(0), 0.1).flip(0), together)


@pytest.mark.parametrize("sigma", [0.0, 0.05, 1.5])
@pytest.mark.parametrize("value", [-0.3, 0.0, 0.7])
def test_constants_stay_constant(sigma, value):
    y = torch.full((1, 3, 20, 17), value)
    assert torch.allclose(restored(y, sigma), y, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("sigma", "gain"), [(0.05, 4.0), (0.2, 9.0), (1.5, 15.0)])
def test_it_gains_at_every_level(channels, sigma, gain):
    noisy, clean = picture(channels, 48, 40, noise=sigma, dtype=torch.float32)
    found = restored(noisy[None], sigma)[0]
    assert psnr(found, clean) > psnr(noisy, clean) + gain


@settings(max_examples=15, deadline=None)
@given(
    constant=st.floats(-2, 2),
    sigma=st.floats(0.01, 1.0),
    seed=st.integers(0, 99),
    height=st.integers(8, 24),
    width=st.integers(8, 24),
)
def test_a_constant_added_to_an_image_is_added_to_the_result(constant, sigma, seed, height, width):
    y = picture(1, height, width, seed=seed, noise=sigma)[0][None]
    moved = restored(y + constant, sigma)
    assert torch.allclose(moved, restored(y, sigma) + constant, atol=1e-8)


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(0.2, 3), seed=st.integers(0, 99))
def test_the_scale_of_an_image_only_matters_to_what_is_similar(factor, seed):
    stage = Stage("bior", 8, step=3, group=16, similar=0.01, threshold=2.7)
    scaled = Stage("bior", 8, step=3, group=16, similar=0.01 * factor**2, threshold=2.7)
    noisy, _ = picture(1, 20, 26, seed=seed, noise=0.1)
    found = hard_threshold(noisy * factor, 0.1 * factor, scaled)
    assert torch.allclose(found, factor * hard_threshold(noisy, 0.1, stage), atol=1e-9)


@pytest.mark.parametrize(("side", "before"), [(8, 4), (15, 0), (16, 0), (40, 0)])
def test_small_images_are_mirrored_and_found_again(side, before):
    image = torch.rand(2, side, 20)
    larger, inside = bm3d_torch.mirrored(image)
    after = max(0, 16 - side) - before
    expected = np.pad(image, [(0, 0), (before, after), (0, 0)], mode="symmetric")
    assert np.array_equal(larger, expected)
    assert torch.equal(larger[inside], image)


@pytest.mark.parametrize(
    ("shape", "sigma", "complaint"),
    [
        ((1, 2, 16, 16), 0.1, "got 2 channels"),
        ((1, 1, 7, 16), 0.1, "at least 8 pixels a side, got 7x16"),
        ((1, 16, 16), 0.1, r"got shape \(1, 16, 16\)"),
        ((1, 3, 16, 16), float("nan"), "finite sigma >= 0, got nan"),
        ((1, 3, 16, 16), float("inf"), "finite sigma >= 0, got inf"),
        ((1, 3, 16, 16), -0.1, "finite sigma >= 0, got -0.1"),
    ],
)
def test_bad_input_is_named_in_one_line(shape, sigma, complaint):
    with pytest.raises(BenchError, match=complaint) as error:
        build("denoiser", "bm3d-torch").denoise(torch.zeros(shape), Level(sigma), no_noise)
    assert "\n" not in str(error.value)


def test_two_channels_are_refused_at_once():
    with pytest.raises(BenchError, match="got 2 channels"):
        build("denoiser", "bm3d-torch", channels=2)


def test_no_images_are_restored_to_no_images():
    y = torch.zeros(0, 3, 16, 16)
    assert restored(y, 0.1).shape == y.shape


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "sigma"), [(1, 0.1), (3, 0.1), (1, 0.2), (3, 0.2)])
def test_it_is_as_good_as_the_package(channels, sigma):
    pytest.importorskip("bm3d")
    data = pytest.importorskip("skimage.data")
    face = torch.from_numpy(data.astronaut()[60:140, 180:260].copy()).permute(2, 0, 1) / 255
    clean = face if channels == 3 else face.mean(0, keepdim=True)
    eps = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    y = (clean + sigma * eps)[None]
    package = build("denoiser", "bm3d", channels=channels).denoise(y, Level(sigma), no_noise)
    assert abs(psnr(restored(y, sigma)[0], clean) - psnr(package[0], clean)) < 0.1
