"""The distance task on tiny cells: what its row says, what it refuses, what it shows."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tasks_place import GENERATED, PIXELS, REAL, SAMPLE, Place, Tiny

from bench.api import Cell, Invalid
from bench.batches import to_bytes
from bench.tasks.denoisers import finite
from bench.tasks.frechet import CLOSEST, leads

HELD_OUT = Cell("features", {**PIXELS, "dataset": {"name": "pictures"}, "split": "test", "n": 10})
SPEC = {
    "features": {"name": "pixels"},
    "dataset": {"name": "pictures"},
    "n_real": 10,
    "blocks": 2,
}
WHOLE = Cell("frechet", SPEC, (GENERATED, REAL, HELD_OUT, SAMPLE))
DISTANCES = ("frechet", "low", "high", "kid", "kid_se", "infinity", "infinity_se", "floor")
SHARES = ("precision", "recall", "coverage", "nearest_share")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def scored(place, generated=None, real=None, *, cell=None):
    """Return the row of a cell on given features instead of measured ones."""
    cell = cell or Cell("frechet", {**SPEC, "blocks": 4}, (GENERATED, REAL))
    for used, features in zip(cell.uses, (generated, real), strict=False):
        folder = place.root / f"given-{len(place.made)}"
        folder.mkdir()
        save_file({"features": features}, folder / "features.safetensors")
        place.made[id(used)] = folder
    return place.run(cell, "scored").rows[0]


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_row_says_all_that_a_distance_must_be_read_with(place):
    outcome = place.run(WHOLE, "whole")
    (row,) = outcome.rows
    assert all(row[name] is not None for name in DISTANCES)
    assert all(0 <= row[name] <= 1 for name in SHARES)
    assert (row["n_generated"], row["n_real"], row["n_training"]) == (8, 10, 20)
    assert (row["floor_n"], row["floor_against"], row["n_manifold"]) == (8, 10, 8)
    assert row["infinity_n"] == [4, 5, 6, 7, 8]
    assert len(row["leave_one_out"]) == len(row["kid_leave_one_out"]) == 2
    assert row["leads"] == "kid"


def test_the_closest_pairs_are_kept_as_pictures(place):
    outcome = place.run(WHOLE, "whole")
    shown = load_file(outcome.files[CLOSEST])
    made = load_file(place.made[id(SAMPLE)] / "samples.safetensors")["images"]
    features = [load_file(place.made[id(cell)] / "features.safetensors")["features"]
                for cell in (GENERATED, REAL)]  # fmt: skip
    assert shown["generated"].dtype == shown["training"].dtype == torch.uint8
    assert shown["training"].shape == shown["generated"].shape == (8, 1, 16, 16)
    for image, (i, j), distance in zip(
        shown["generated"], shown["pairs"].tolist(), shown["distances"].tolist(), strict=True
    ):
        assert torch.equal(image, made[i])
        assert float((features[0][i] - features[1][j]).norm()) == pytest.approx(distance, rel=1e-4)
    assert shown["distances"].tolist() == sorted(shown["distances"].tolist())


def test_the_shown_training_images_are_those_of_the_features(place):
    """Pixels are the features here, so a picture must lie where its features do."""
    shown = load_file(place.run(WHOLE, "whole").files[CLOSEST])
    gap = (shown["generated"].float() - shown["training"].float()).flatten(1).norm(dim=1)
    order = gap.argsort().tolist()
    assert order[0] in (0, 1, 2)


def test_without_held_out_images_there_is_no_memorisation(place):
    outcome = place.run(Cell("frechet", SPEC, (GENERATED, REAL)), "plain")
    assert "nearest_share" not in outcome.rows[0]
    assert not outcome.files


def test_too_few_images_for_a_column_leave_it_out(place):
    row = scored(place, normal(0, 8, 3), normal(1, 20, 3))
    assert "infinity" not in row
    assert "precision" in row
    assert row["frechet"] >= 0


def test_fewer_images_than_features_says_so_and_widens(tmp_path):
    rows = {
        n: scored(
            Place(tmp_path / str(n)),
            normal(0, n, 40),
            1.2 * normal(1, 2 * n, 40),
            cell=Cell("frechet", {**SPEC, "blocks": 4, "n_real": n}, (GENERATED, REAL)),
        )
        for n in (24, 480)
        if (tmp_path / str(n)).mkdir() is None
    }
    few, many = rows[24], rows[480]
    assert (few["leads"], many["leads"]) == ("kid", "frechet")
    assert few["high"] - few["low"] > 3 * (many["high"] - many["low"])
    assert few["floor"] > 10 * many["floor"]


@pytest.mark.parametrize(
    ("generated", "real", "dimension", "leader"),
    [(256, 300, 256, "kid"), (257, 300, 256, "frechet"), (300, 200, 256, "kid")],
)
def test_which_distance_leads(generated, real, dimension, leader):
    assert leads(generated, real, dimension) == leader


@pytest.mark.parametrize(
    ("generated", "message"),
    [
        (normal(0, 0, 3), "features"),
        (normal(0, 1, 3), "1 images in 4 blocks"),
        (normal(0, 20, 4), "dimension"),
        (normal(0, 20, 3).index_fill(0, torch.tensor([7]), torch.inf), "infinite"),
        (normal(0, 20, 3).index_fill(0, torch.tensor([7]), torch.nan), "NaN"),
    ],
)
def test_what_cannot_be_scored_is_invalid(place, generated, message):
    with pytest.raises(Invalid, match=message):
        scored(place, generated, normal(1, 20, 3))


def test_two_extractors_are_invalid(place):
    other = Cell("features", {**REAL.spec, "features": {"name": "alexnet"}})
    with pytest.raises(Invalid, match="features by alexnet, pixels, expected one extractor"):
        scored(
            place,
            normal(0, 20, 3),
            normal(1, 20, 3),
            cell=Cell("frechet", SPEC, (GENERATED, other)),
        )


def test_a_nan_in_a_generated_set_is_a_named_error(place, monkeypatch):
    """Not a crash in a linear algebra routine, nor a black picture."""
    place.context(SAMPLE, "trained")
    forward = Tiny.forward
    monkeypatch.setattr(Tiny, "forward", lambda self, x, step: forward(self, x, step) * torch.nan)
    with pytest.raises(Invalid, match="NaN or infinity"):
        place.run(SAMPLE, "broken")


def test_the_first_bad_image_is_named():
    images = torch.zeros(4, 1, 2, 2)
    images[2, 0, 1, 1] = torch.inf
    with pytest.raises(
        Invalid, match=r"the set holds NaN or infinity in 1 image\(s\), first image 12"
    ):
        finite(images, "the set", first=10)


def test_bytes_are_clipped_and_rounded_and_never_wrap():
    """`(x * 255).byte()` would make 1.004 a 0 and -0.02 a 251."""
    values = torch.tensor(
        [1.004, 1.01, 300.0, -0.02, -9.0, 0.0, 1.0, 0.5 / 255, 1.5 / 255, 2.5 / 255]
    )
    expected = [255, 255, 255, 0, 0, 0, 255, 0, 2, 2]  # halves go to the even neighbour
    assert to_bytes(values).tolist() == expected
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(every.float() / 255), every)
    assert to_bytes(torch.tensor([torch.inf, -torch.inf])).tolist() == [255, 0]
