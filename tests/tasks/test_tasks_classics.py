"""Whole pictures with known noise: floor, noise, refusals, going on, published values."""

import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tasks_place import Place, content

from bench.api import ENTRIES, BenchError, Cell, Entry, Invalid, Kind, Missing
from bench.budget import load_budget
from bench.metrics.noise_floor import noise_mse
from bench.plan import Plan, make_plan, plan_of, study_for
from bench.registry import find
from bench.report.classics import classics as classics_table
from bench.runner import Listener, Runner
from bench.seeds import ImageNoise
from bench.session import exit_code, lacking, settle
from bench.store import Store

SIGMA = 25
SIZES = ((64, 96), (96, 64), (80, 80), (72, 88))
REAL = pytest.mark.skipif(not os.environ.get("BENCH_DATA_DIR"), reason="BENCH_DATA_DIR is not set")


def cell(denoiser="identity", testset="set12", **spec):
    return Cell(
        "classics",
        {
            "denoiser": {"name": denoiser},
            "testset": {"name": testset},
            "sigma_255": SIGMA,
            "seed": 0,
            "table": "classics",
            **spec,
        },
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a data folder with smooth pictures as set12, in colour as cbsd68, and no bsd68."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    for name, channels in (("Set12", 1), ("CBSD68", 3)):
        place = tmp_path / "data" / "denoise" / name
        place.mkdir(parents=True)
        for i, size in enumerate(SIZES):
            Image.fromarray(picture(size, channels, i)).save(place / f"{i}.png")
    return tmp_path / "data"


def picture(size, channels, seed):
    """Return uint8 [H,W] or [H,W,3]: ramps with dark and bright ends."""
    y, x = (np.linspace(0, 1, side) for side in size)
    wave = 130 + 150 * np.sin(3 * x[None] + 4 * y[:, None] + seed)
    grey = wave.clip(0, 255).astype(np.uint8)
    return grey if channels == 1 else np.stack([grey, grey[::-1], 255 - grey], axis=-1)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "place")


@pytest.fixture
def recorder(monkeypatch):
    """Return a function that registers a denoiser from a function of y; `seen` has the y's."""
    seen = []

    def register(name, function):
        class Recorder:
            def __init__(self, channels=3, image_size=64, scale=1.0):
                self.built = (channels, image_size)

            def fit(self, clean, levels, trainer, seed):
                pass

            def denoise(self, y, level, noise):
                seen.append(y.clone())
                return function(y)

        entry = Entry(Kind.DENOISER, name, Recorder, "this test")
        monkeypatch.setitem(ENTRIES, (Kind.DENOISER, name), entry)

    register.seen = seen
    return register


# ------------------------------------------------------------------ the floor, in closed form


def test_the_floor_of_a_grey_that_is_never_clipped_is_the_variance_and_the_rounding():
    grey = np.full((4, 4), 128, np.uint8)
    assert noise_mse(grey, 8.0) * 255**2 == pytest.approx(64 + 1 / 12, rel=1e-9)


def test_black_keeps_half_of_the_variance():
    """Where the noise is coarse against the rounding."""
    assert noise_mse(np.zeros((2, 2), np.uint8), 30.0) * 255**2 == pytest.approx(450, rel=2e-3)


@given(value=st.integers(0, 255), sigma=st.floats(0.5, 200))
def test_the_floor_treats_black_and_white_alike(value, sigma):
    one, other = (noise_mse(np.array([v], np.uint8), sigma) for v in (value, 255 - value))
    assert one == pytest.approx(other, rel=1e-9)
    assert 0 <= one * 255**2 <= sigma**2 + 0.25


def test_the_floor_of_a_picture_is_what_noise_does():
    shown = picture((512, 512), 1, 0)
    noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(5)).numpy()
    noisy = (shown + 40.0 * noise).clip(0, 255).round()
    assert ((noisy - shown) ** 2).mean() / 255**2 == pytest.approx(noise_mse(shown, 40.0), rel=0.01)


def test_the_identity_has_the_psnr_that_is_known(folder, place):
    row = place.run(cell(), "floor").rows[0]
    pixels = sum(h * w for h, w in SIZES)
    spread = 10 / math.log(10) * math.sqrt(2 / pixels)
    assert row["psnr"] == pytest.approx(row["psnr_of_noisy"], abs=4 * spread)
    assert row["psnr_of_noisy"] > -20 * math.log10(SIGMA / 255), "clipping takes noise away"
    assert row["n"] == row["pictures"] == len(row["psnr_per_image"]) == len(SIZES)
    assert row["psnr"] == pytest.approx(np.mean(row["psnr_per_image"]))
    assert row["psnr_low"] < row["psnr"] < row["psnr_high"]
    assert 0 < row["psnr_unrounded"] - row["psnr"] < 0.01
    assert row["sigma"] == SIGMA / 255 and row["channels"] == 1 and not row["same_data"]


# ------------------------------------------------------------------ noise


def noisy(place, recorder, tag, **spec):
    """Return the noisy pictures that a denoiser was given."""
    name = f"recorder-{tag}"
    recorder(name, spec.pop("function", lambda y: y))
    recorder.seen.clear()
    place.run(cell(name, **spec), tag)
    return [y.clone() for y in recorder.seen]


def test_every_method_gets_the_same_noise_and_it_is_never_clipped(folder, place, recorder):
    first = noisy(place, recorder, "a")
    second = noisy(place, recorder, "b", function=lambda y: y.mean() + 0 * y)
    fewer = noisy(place, recorder, "c", n=2)
    assert [list(y.shape) for y in first] == [[1, 1, *size] for size in SIZES]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert len(fewer) == 2 and all(torch.equal(a, b) for a, b in zip(first, fewer, strict=False))
    assert min(float(y.min()) for y in first) < -0.1 and max(float(y.max()) for y in first) > 1.1
    clean = [picture(size, 1, i) for i, size in enumerate(SIZES)]
    for i, (x, y) in enumerate(zip(clean, first, strict=True)):
        noise = ImageNoise("noise", "set12", float(SIGMA), 0, images=[i])(y)
        torch.testing.assert_close(y, torch.from_numpy(x) / 255 + SIGMA / 255 * noise)
    eps = [(y[0, 0].numpy() - x / 255) * 255 / SIGMA for y, x in zip(first, clean, strict=True)]
    drawn = np.concatenate([one.ravel() for one in eps])
    assert abs(drawn.mean()) < 4 / math.sqrt(drawn.size) and drawn.std() == pytest.approx(1, 0.02)
    assert not np.allclose(eps[0].ravel()[:500], eps[2].ravel()[:500])


@pytest.mark.parametrize("other", [{"seed": 1}, {"sigma_255": 25.5}])
def test_the_noise_depends_on_seed_and_level(folder, place, recorder, other):
    one = noisy(place, recorder, "one")[0] - torch.from_numpy(picture(SIZES[0], 1, 0)) / 255
    two = noisy(place, recorder, "two", **other)[0]
    two = two - torch.from_numpy(picture(SIZES[0], 1, 0)) / 255
    correlation = float((one * two).mean() / (one.std() * two.std()))
    assert abs(correlation) < 0.1


def test_a_level_is_the_same_as_a_whole_number_and_as_a_float(folder, place, recorder):
    one, two = (noisy(place, recorder, tag, sigma_255=s) for tag, s in (("i", 25), ("f", 25.0)))
    assert torch.equal(one[0], two[0])


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda y: y.fill_(math.nan), "picture 0 of set12 holds NaN"),
        (lambda y: y[..., 1:], r"picture 0 of set12 came back as \[1, 1, 64, 95\], expected"),
    ],
)
def test_an_estimate_that_is_none_is_invalid(folder, place, recorder, function, message):
    recorder("broken", function)
    with pytest.raises(Invalid, match=message):
        place.run(cell("broken"), "broken")


def test_what_has_to_learn_is_refused(folder, place):
    with pytest.raises(BenchError, match="dncnn learns from images"):
        place.run(cell("dncnn"), "learner")


@pytest.mark.slow
def test_one_that_fails_leaves_the_others(folder, tmp_path):
    """A hash that is wrong, a network for grey pictures on colour ones, a picture cut short."""
    (folder / "dncnn_25.pth").write_bytes(b"\0" * 2_224_903)
    whole = (folder / "denoise/Set12/3.png").read_bytes()
    (folder / "denoise/BSD68").mkdir()
    (folder / "denoise/BSD68/3.png").write_bytes(whole[: len(whole) - 60])
    asked = [cell(), cell("dncnn-kair-25"), cell("dncnn-kair-25", "cbsd68"), cell(testset="bsd68")]
    records = Runner(Store(tmp_path / "store"), workers=1).run(plan_of(asked, purpose="test"))
    told = {record["label"].split(" sigma")[0]: record for record in records.values()}
    assert {label: record["status"] for label, record in told.items()} == {
        "classics identity set12": "ok",
        "classics dncnn-kair-25 set12": "failed",
        "classics dncnn-kair-25 cbsd68": "failed",
        "classics identity bsd68": "failed",
    }
    reason = {label.removeprefix("classics "): record["reason"] for label, record in told.items()}
    assert "its sha256 is" in reason["dncnn-kair-25 set12"]
    assert "trained on grey pictures, got 3 channels" in reason["dncnn-kair-25 cbsd68"]
    assert "3.png is not a readable picture" in reason["identity bsd68"]


def test_missing_sets_and_weights_are_skipped_rows_and_exit_69(folder, tmp_path):
    words = ["classics.testsets=set12,bsd68", "classics.denoisers=dncnn-kair-25,identity"]
    chosen = load_budget("smoke", words)
    session = settle(["classics"], chosen, device="cpu", only="classics*", out=tmp_path / "run")
    session = replace(session, plan=_unavailable(session.plan))
    run = session.measure(Listener(), workers=1, fresh=False)
    rows = run.rows.set_index(["denoiser", "testset"])["status"].to_dict()
    assert set(rows.values()) == {"skipped"} and len(rows) == 3
    assert exit_code(session, run) == 69
    told = " ".join(lacking(session, run))
    assert "put it at denoise/BSD68" in told and "bench fetch dncnn-kair-25" in told
    notes = " ".join(classics_table(run).notes)
    assert "classics identity bsd68 sigma_255=25: skipped (bsd68 is not on this" in notes


def _unavailable(plan):
    return Plan({key: one for key, one in plan.cells.items() if one.unavailable})


# ------------------------------------------------------------------ the plan, and going on


def planned(*words):
    plan = make_plan(study_for(load_budget("smoke", words)), ["classics"])
    cells = [one.cell.spec for one in plan if one.cell.task == "classics"]
    return [(c["denoiser"]["name"], c["testset"]["name"], c["sigma_255"]) for c in cells]


def test_published_weights_are_asked_only_for_what_they_are_for():
    several = ["classics.sigmas_255=15,25", "classics.testsets=set12,cbsd68"]
    found = planned("classics.denoisers=identity,dncnn-kair-25", *several)
    assert [one for one in found if one[0] == "dncnn-kair-25"] == [("dncnn-kair-25", "set12", 25)]
    assert len([one for one in found if one[0] == "identity"]) == 4


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("classics.testsets=set13", "no testset named 'set13'; did you mean 'set12'"),
        ("classics.denoisers=bm4d", "no denoiser named 'bm4d'"),
        ("classics.sigmas_255=0", "is not allowed"),
        ("classics.n=1", "is not allowed"),
    ],
)
def test_a_wrong_setting_is_named(word, message):
    with pytest.raises(BenchError, match=message):
        planned(word)


def test_what_was_cut_short_goes_on_to_the_same_result(folder, place):
    whole = place.run(cell(), "whole")
    assert place.run(cell(), "cut", kill_after=2) is None
    assert content(place.run(cell(), "cut"))[0] == content(whole)[0]
    assert place.run(cell(), "paused", pause_after=1) is None
    assert content(place.run(cell(), "paused"))[0] == content(whole)[0]


# ------------------------------------------------------------------ published values


def real(place, *given, **spec):
    try:
        return place.run(cell(*given, **spec), "real").rows[0]
    except Missing as absent:
        pytest.skip(str(absent))


@REAL
def test_dncnn_on_two_pictures_of_set12(place):
    """30.18 and 33.06 dB in Table III; one draw of noise is some tenths off on a small picture."""
    row = real(place, "dncnn-kair-25", n=2)
    assert row["psnr_per_image"] == pytest.approx([30.18, 33.06], abs=0.3)
    assert row["same_data"] and row["n"] == 2 and row["pictures"] == 12


@REAL
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("testset", "published"), [("set12", 30.436), ("bsd68", 29.23)])
def test_dncnn_has_its_published_psnr(place, testset, published):
    assert real(place, "dncnn-kair-25", testset)["psnr"] == pytest.approx(published, abs=0.05)


@REAL
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("denoiser", ["bm3d", "bm3d-torch"])
def test_bm3d_has_its_published_psnr(place, denoiser):
    try:
        find(Kind.DENOISER, denoiser)
    except BenchError as unknown:
        pytest.skip(str(unknown))
    assert real(place, denoiser)["psnr"] == pytest.approx(29.969, abs=0.15)
