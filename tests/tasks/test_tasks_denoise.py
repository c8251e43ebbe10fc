"""One call of a denoiser on noised images: what its rows say, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tasks_place import LEVEL, SETS, TRAINING

from bench import registry
from bench.api import ENTRIES, BenchError, Cell, Invalid, Kind, Property, register
from bench.report.restoration import METRICS

SOURCE = "the harness's own tests"
DIGITS = {**SETS, **LEVEL, "dataset": {"name": "digits", "image_size": 16}}
LINEAR = registry.build(Kind.SCHEDULE, "linear")
LEARNT = {"denoiser": {"name": "conv-ae", "scale": 0.05}, "seed": 1, "levels": [50, 150, 400]}
TRAINED = Cell(
    "train",
    {**LEARNT, "dataset": DIGITS["dataset"], "schedule": {"name": "linear"}, "training": TRAINING},
)


def cell(name: str, uses: tuple[Cell, ...] = (), **spec) -> Cell:
    """Return a cell on digits, or on what the spec says."""
    return Cell("denoise", {**DIGITS, "denoiser": {"name": name}, **spec}, uses)


class Toy:
    """A denoiser that needs nothing, remembers what it was given, and makes what it is told to."""

    def __init__(self, made):
        self.made = made

    def fit(self, clean, levels, trainer, seed):
        self.levels = levels

    def denoise(self, y, level, noise):
        self.seen = (y.clone(), level)
        return self.made(y)


class Flat:
    """Pictures of one grey each: the first half all of one, the others of many."""

    name, channels, image_size, mirrors, manifest = "flat", 1, 16, True, dict
    licence, paper_name, same_data = "none", None, False

    def __init__(self, image_size: int = 16):
        pass

    def images(self, split):
        greys = np.full(8, 51) if split == "train" else np.array([51] * 4 + [0, 102, 153, 255])
        return np.broadcast_to(greys[:, None, None, None], (8, 1, 16, 16)).astype(np.uint8)


@pytest.fixture
def toy():
    """Return what makes a denoiser known that returns what a function makes of noisy images."""
    registry.discover(Kind.DENOISER, Kind.DATASET, Kind.TASK)
    known = dict(ENTRIES)

    def make(made, **about):
        one = Toy(made)

        @register(Kind.DENOISER, "toy", source=SOURCE, **about)
        def build(channels: int = 3, image_size: int = 64, scale: float = 1.0) -> Toy:
            return one

        return one

    register(Kind.DATASET, "flat", source=SOURCE)(Flat)
    yield make
    ENTRIES.clear()
    ENTRIES.update(known)


@pytest.fixture
def row(place, request):
    """Return what measures a cell and gives its only row."""
    return lambda one: place.run(one, request.node.name.replace("/", "-")).rows[0]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda y: y * float("nan"), "NaN or infinity in 3 image.s., first image 0"),
        (lambda y: y[..., ::2], r"images \[3, 1, 16, 8\], expected \[3, 1, 16, 16\]"),
        (lambda y: y.repeat(1, 3, 1, 1), r"images \[3, 3, 16, 16\], expected"),
        (lambda y: y[:1], r"images \[1, 1, 16, 16\], expected"),
        (lambda y: y.numpy(), "returned ndarray, expected images"),
        (lambda y: None, "returned NoneType, expected images"),
        (lambda y: y.half(), "torch.float16"),
        (lambda y: y, "toy returned every noisy image as it was, to the last bit"),
    ],
)
def test_what_is_no_restoration_is_invalid(toy, row, made, words):
    toy(made)
    with pytest.raises(Invalid, match=words):
        row(cell("toy"))


def test_whoever_gains_nothing_may_say_so(toy, row):
    toy(lambda y: y, lacks=(Property.PSNR_GAIN,))
    assert row(cell("toy"))["psnr"] == row(cell("identity"))["psnr"]


def test_a_denoiser_that_writes_into_its_input_spoils_nothing(toy, place):
    toy(lambda y: y.fill_(0.5))
    made, plain = (place.run(cell(name), f"writes-{name}") for name in ("toy", "identity"))
    made, plain = (load_file(o.files["examples.safetensors"]) for o in (made, plain))
    assert torch.equal(made["noisy"], plain["noisy"])
    assert set(made["restored"].flatten().tolist()) == {128}


@pytest.mark.parametrize("sigma", [0.05, 0.4])
def test_a_denoiser_is_told_the_sigma_that_is_assumed(toy, row, sigma):
    made = toy(lambda y: y / 2)
    found = row(cell(f"toy+assumed_sigma={sigma}"))
    assert made.seen[1].sigma == sigma and made.levels[0].sigma == sigma
    assert found["assumed_sigma"] == sigma
    assert found["sigma"] == pytest.approx(0.259, abs=1e-3)
    assert "assumed_sigma" not in row(cell("toy"))


def test_a_filter_that_assumes_the_right_sigma_is_the_filter(row):
    exact = row(cell("wiener"))
    same, wrong = (
        row(cell(f"wiener+assumed_sigma={sigma}")) for sigma in (exact["sigma"], 2 * exact["sigma"])
    )
    assert same.pop("assumed_sigma") == exact["sigma"]
    assert same == exact
    assert wrong["psnr"] < exact["psnr"] - 0.1


@pytest.mark.parametrize("value", ["0", "-1", "true", "nan", "much"])
def test_an_assumed_sigma_is_a_positive_number(row, value):
    with pytest.raises(BenchError, match="expected a positive number"):
        row(cell(f"wiener+assumed_sigma={value}"))


def test_the_clipped_variant_is_stamped_and_sees_the_same_noise(toy, row):
    made = toy(lambda y: y / 2)
    assert row(cell("toy"))["clipped"] is False
    unclipped, level = made.seen
    assert unclipped.min() < 0 and unclipped.max() > 1
    assert row(cell("toy", clipped={"name": "clipped"}))["clipped"] is True
    assert torch.equal(made.seen[0], unclipped.clamp(0, 1)) and made.seen[1] == level


@pytest.mark.parametrize(
    ("how", "levels", "steps"),
    [("one", [100], [100]), ("level", [150], [150]), ("blind", [150, 400, 50], [50, 400])],
)
def test_rows_say_how_a_classic_was_trained(row, how, levels, steps):
    training = dataclasses.replace(TRAINED, spec={**TRAINED.spec, "levels": levels})
    said = {"denoiser": LEARNT["denoiser"], "trained": {"name": how}}
    found = row(cell("conv-ae", (training,), **said))
    assert found["trained"] == how
    assert found["trained_sigma"] == [LINEAR.level(t).sigma for t in steps]


def test_a_filter_is_not_trained(row):
    found = row(cell("wiener"))
    assert found["trained"] == "-" and "trained_sigma" not in found


@pytest.mark.parametrize(("n", "exact"), [(8, 4), (4, None)])
def test_an_exact_restoration_does_not_spoil_the_mean(toy, place, monkeypatch, n, exact):
    """Half of the pictures are 0.2 everywhere, which is what comes back; SSIM in closed form."""
    monkeypatch.setattr("bench.tasks.noised.chosen", lambda images, count: images[:count])
    toy(lambda y: torch.full_like(y, 51 / 255))
    found = place.run(cell("toy", dataset={"name": "flat"}, n=n), f"exact-{n}").rows[0]
    assert found["exact"] == 4
    gaps = np.array([0.2, 0.2, 0.4, 0.8])
    if exact is None:
        assert found["psnr"] is None and found["psnr_low"] is None and found["mse"] == 0
        assert found["ssim"] == pytest.approx(1) and found["lpips"] == 0
        return
    assert found["psnr"] == pytest.approx((-20 * np.log10(gaps)).mean(), abs=1e-4)
    assert found["mse"] == pytest.approx((gaps**2).sum() / 8, rel=1e-5)
    c1, truth = 0.01**2, np.array([0, 0.4, 0.6, 1])
    ssim = (2 * 0.2 * truth + c1) / (0.2**2 + truth**2 + c1)
    assert found["ssim_per_image"] == pytest.approx([1] * 4 + ssim.tolist(), rel=1e-5)


def test_constant_pictures_have_all_scores(row, toy):
    found = row(cell("wiener", dataset={"name": "flat"}))
    assert all(np.isfinite(found[m]) for m in ("ssim", "lpips", "mse"))


def test_pictures_below_the_window_are_refused_by_name(row):
    with pytest.raises(Invalid, match="SSIM: images of 8x8 pixels, expected at least 11x11"):
        row(cell("identity", dataset={"name": "digits", "image_size": 8}))


@pytest.mark.parametrize("t", [0, -1, 1001, 4000])
def test_a_level_beyond_the_schedule_is_refused(row, t):
    with pytest.raises(Invalid, match=f"noising step {t} of schedule 'linear', expected 1 to 1000"):
        row(cell("identity", t=t))


@pytest.mark.parametrize("name", ["wiener", "conv-ae", "bm3d-torch"])
def test_the_micro_batch_changes_no_printed_digit(place, name):
    uses = (TRAINED,) if name == "conv-ae" else ()
    spec = {"denoiser": LEARNT["denoiser"]} if uses else {}
    rows = [
        place.run(cell(name, uses, micro_batch=size, **spec), f"{name}-{size}").rows[0]
        for size in (1, 3, 5, 16)
    ]
    for metric, (_, _, digits) in METRICS.items():
        scores = np.array([r[f"{metric}_per_image"] for r in rows])
        assert np.abs(scores - scores[0]).max() < 1e-5
        for end in ("", "_low", "_high"):
            assert len({f"{r[metric + end]:.{digits}f}" for r in rows}) == 1
