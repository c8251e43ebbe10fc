"""Data sets, schedules, recipes and samplers of others that are not what their kind promises."""

import runpy

import numpy as np
import pytest

from bench.api import BenchError, Estimate, Kind, register
from bench.budget import load_budget
from bench.plan import study_for
from bench.registry import build

SOURCE = "a test"


class Data:
    """A data set of eight bytes a side, as it should be."""

    name, channels, image_size, licence = "mine", 1, 8, "none"
    paper_name, same_data, mirrors = None, False, False

    def __init__(self, images=None):
        self.given = np.zeros((3, 1, 8, 8), np.uint8) if images is None else images

    def images(self, split):
        return self.given

    def manifest(self):
        return self.about() if callable(self.about) else self.about

    about = None


def dataset(built):
    """Register a data set that is built as `built` and return what the harness makes of it."""

    @register(Kind.DATASET, "mine", source=SOURCE)
    def mine(image_size=8):
        return built

    return build(Kind.DATASET, "mine", image_size=8)


def test_a_data_set_is_as_it_was_built(toys):
    data = Data()
    assert dataset(data).images("test") is data.given
    assert dataset(data).licence == "none" and not hasattr(dataset(data), "colour")


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((3, 1, 8, 8), np.float32), "float32 [3, 1, 8, 8]"),
        (np.zeros((3, 1, 9, 9), np.uint8), "uint8 [3, 1, 9, 9]"),
        (np.zeros((3, 8, 8, 1), np.uint8), "uint8 [3, 8, 8, 1]"),
        (np.zeros((0, 1, 8, 8), np.uint8), "uint8 [0, 1, 8, 8]"),
        (np.zeros((), np.uint8), "uint8 []"),
        ([[0]], "list []"),
    ],
)
def test_images_that_are_no_such_bytes_are_refused(toys, images, found):
    with pytest.raises(BenchError) as told:
        dataset(Data(images)).images("train")
    assert f"dataset 'mine' gave {found} for split 'train'" in str(told.value)
    assert "uint8 [N, 1, 8, 8]" in str(told.value)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"sha256": b"ab"}, "manifest() makes no key (bytes has no canon"),
        (np.zeros(3), "manifest() makes no key ("),
        ({1: "a", "1": "b"}, "manifest() makes no key (two keys"),
        (lambda: {}["sha"], "has no manifest: KeyError: 'sha'"),
    ],
)
def test_a_manifest_that_no_key_can_be_made_of_is_one_line(toys, about, reason):
    data = Data()
    data.about = about
    with pytest.raises(BenchError) as told:
        dataset(data).manifest()
    assert str(told.value).removeprefix("dataset 'mine'").lstrip(": ").startswith(reason)
    data.about = {"sha256": "ab", "n": np.int64(3)}
    assert dataset(data).manifest() == data.about


def test_a_data_set_of_another_size_than_the_one_that_was_asked_for_is_refused(toys, monkeypatch):
    monkeypatch.setattr(Data, "image_size", 28)
    with pytest.raises(BenchError, match="asked for images of 8x8 and has an image_size of 28;"):
        dataset(Data())


def test_a_data_set_without_a_part_is_named_when_it_is_built(toys, monkeypatch):
    monkeypatch.delattr(Data, "licence")
    with pytest.raises(BenchError, match=r"dataset 'mine'.* has no 'licence'; expected channels"):
        dataset(Data())
    with pytest.raises(BenchError, match="returned NoneType, which has no 'channels'"):
        dataset(None)


def test_a_fault_of_what_a_plan_builds_is_one_line_with_its_place(toys, tmp_path):
    path = tmp_path / "theirs.py"
    path.write_text("def mine():\n    raise ValueError('boom')\n")
    register(Kind.SCHEDULE, "mine", source=SOURCE)(runpy.run_path(str(path))["mine"])
    with pytest.raises(BenchError) as told:
        build(Kind.SCHEDULE, "mine")
    reason = "schedule 'mine' cannot be built: ValueError: boom (theirs.py:2)"
    assert str(told.value) == reason


def test_what_is_no_recipe_or_schedule_is_named(toys):
    register(Kind.RECIPE, "mine", source=SOURCE)(lambda: {})
    with pytest.raises(BenchError, match=r"recipe 'mine'.* returned dict, .* no 'prediction'"):
        build(Kind.RECIPE, "mine")
    register(Kind.SCHEDULE, "mine", source=SOURCE)(lambda: np.ones(9))
    with pytest.raises(BenchError, match=r"schedule 'mine'.* returned ndarray, expected a Sched"):
        build(Kind.RECIPE, "authors+schedule=mine")


def silent(diffusion, x, grid, noise, *, clip=True):
    yield from ()


def hasty(diffusion, x, grid, noise, *, clip=True):
    x0, _ = diffusion.predict(x, grid[0], clip=clip)
    yield Estimate(1, 0.0, x0, x0)


def broken(diffusion, x, grid, noise, *, clip=True):
    yield diffusion.predikt(x)


@pytest.mark.parametrize(
    ("function", "fault"),
    [(silent, "StopIteration"), (hasty, "TypeError"), (broken, "AttributeError")],
)
def test_a_sampler_that_cannot_begin_is_named_before_anything_is_measured(toys, function, fault):
    register(Kind.SAMPLER, "mine", source=SOURCE)(function)
    settings = load_budget("smoke", ["generation.sampler=mine"])
    with pytest.raises(BenchError, match=f"sampler 'mine' cannot begin with .* {fault}") as told:
        study_for(settings)
    assert "first yields the state that it is given" in str(told.value)
