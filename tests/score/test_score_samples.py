import os
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from bench.api import BenchError, Cell, Invalid, Missing
from bench.score.arrays import read_array_file
from bench.score.conventions import Conventions
from bench.score.plan import Asked, settle_score
from bench.score.samples import Wanted, load, look, note_place
from bench.tasks.external import external

PLAIN = Conventions()
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)


def write(folder, form, images=IMAGES):
    """Write images in one of the forms; return the path."""
    path = folder / f"set.{form}"
    if form == "npz":
        np.savez(path, images.transpose(0, 2, 3, 1))  # the key is arr_0
    elif form == "npy":
        np.save(path, images)
    elif form == "safetensors":
        save_file({"images": images, "labels": np.zeros(3)}, path)
    else:
        path = folder / "set"
        path.mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image.transpose(1, 2, 0)).save(path / f"{i:04d}.png")
    if form == "zip":
        with zipfile.ZipFile(folder / "set.zip", "w") as archive:
            for file in sorted(path.iterdir()):
                archive.write(file, file.name)
        path = folder / "set.zip"
    return path


def wanted(found, size=16, channels=3, resize=False):
    return Wanted(found.name, found.sha256, "", None, None, size, channels, resize)


@pytest.mark.parametrize("form", ["npz", "npy", "safetensors", "folder", "zip"])
def test_every_form_gives_the_same_pictures(tmp_path, form):
    path = write(tmp_path, form)
    found = look(path, PLAIN)
    assert (found.form, found.count, found.width, found.height) == (form, 24, 16, 16)
    note_place(found.sha256, path)
    images, done = load(wanted(found))
    assert np.array_equal(images, IMAGES) and done == []


def test_a_set_is_known_by_its_content(tmp_path):
    path = write(tmp_path, "npy")
    first = look(path, PLAIN)
    moved = path.rename(tmp_path / "other.npy")
    assert look(moved, PLAIN) == first
    np.save(moved, IMAGES[::-1])
    assert look(moved, PLAIN).sha256 != first.sha256


def test_a_set_that_changed_is_not_scored(tmp_path):
    path = write(tmp_path, "npy")
    found = look(path, PLAIN)
    note_place(found.sha256, path)
    np.save(path, IMAGES[::-1])
    with pytest.raises(BenchError, match="has changed since it was looked at"):
        load(wanted(found))
    path.unlink()
    with pytest.raises(Missing, match="there is no"):
        load(wanted(found))


def failing(error):
    def fail(*args, **named):
        raise error

    return fail


PASSING = {
    "disk": ("folder", "bench.data._files.read_whole", failing(OSError(5, "Input/output error"))),
    "array": ("npz", "bench.score.arrays.open_regular", failing(OSError(13, "Permission denied"))),
    "memory": ("npz", "bench.score.arrays._npz", failing(MemoryError())),
    "free memory": ("npz", "psutil.virtual_memory", lambda: SimpleNamespace(available=10)),
}


def external_cell(path, tmp_path):
    """Return a function that reads a set as a cell, after a look at it."""
    found = look(path, PLAIN)
    note_place(found.sha256, path)
    cell = Cell("external", {"samples": wanted(found).spec, "n": 24})
    return lambda: external(cell, SimpleNamespace(folder=tmp_path))


@pytest.mark.parametrize("case", PASSING)
def test_what_may_be_mended_without_the_pictures_is_tried_again(tmp_path, monkeypatch, case):
    form, place, fault = PASSING[case]
    read = external_cell(write(tmp_path, form), tmp_path)
    monkeypatch.setattr(place, fault)
    with pytest.raises(BenchError) as caught:  # and no Invalid, which is kept for ever
        read()
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert read().rows[0]["n_generated"] == 24


def test_a_set_that_was_exchanged_for_none_is_missing(tmp_path):
    path = write(tmp_path, "folder")
    read = external_cell(path, tmp_path)
    (path / "0003.png").write_bytes(b"no picture")
    with pytest.raises(Missing, match=r"not as it was looked at: .*0003\.png is not a readable"):
        read()


def test_pictures_that_cannot_be_decoded_are_invalid(tmp_path):
    path = write(tmp_path, "folder")
    whole = (path / "0003.png").read_bytes()
    (path / "0003.png").write_bytes(whole[:-100])
    with pytest.raises(Invalid, match=r"0003\.png is not a readable picture"):
        external_cell(path, tmp_path)()


@pytest.mark.parametrize(
    ("form", "channels", "done"),
    [("npz", 3, 1), ("folder", 3, 1), ("npy", 3, 1)],
)
def test_a_resize_is_told(tmp_path, form, channels, done):
    path = write(tmp_path, form)
    found = look(path, PLAIN)
    note_place(found.sha256, path)
    images, told = load(wanted(found, size=8, resize=True))
    assert images.shape == (24, 3, 8, 8)
    assert told == ["centre square, bilinear -> 8x8"]
    assert abs(images.mean() - IMAGES.mean()) < 1


def test_colour_is_not_thrown_away_and_equal_channels_are_one(tmp_path):
    grey = np.repeat(IMAGES[:, :1], 3, axis=1)
    for name, images in (("grey", grey), ("colour", IMAGES)):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name, "folder", images)
        found = look(path, PLAIN)
        note_place(found.sha256, path)
        if name == "colour":
            with pytest.raises(BenchError, match="24 of 24 pictures are in colour"):
                load(wanted(found, channels=1))
        else:
            made, done = load(wanted(found, channels=1))
            assert np.array_equal(made, IMAGES[:, :1])
            assert done == ["three equal channels taken as one"]


def npz(path, **arrays):
    np.savez(path, **arrays)


HOSTILE = {
    "several": (lambda p: npz(p, a=IMAGES, b=IMAGES), "holds 2 arrays .a, b., none of them called"),
    "none": (lambda p: npz(p), "holds 0 arrays"),
    "objects": (
        lambda p: npz(p, images=np.array([{"a": 1}, None], dtype=object)),
        "it holds object",
    ),
    "text": (lambda p: npz(p, images=np.array(["a", "b"])), "expected numbers"),
    "no zip": (lambda p: p.write_bytes(b"not a zip"), "not a readable .npz file"),
    "half": (
        lambda p: (npz(p, images=IMAGES), p.write_bytes(p.read_bytes()[:-200])),
        "not a readable .npz file",
    ),
    "pipe": (lambda p: os.mkfifo(p), "it is a pipe"),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_a_file_that_is_no_set_is_one_line(tmp_path, damage):
    path = tmp_path / "set.npz"
    make, message = HOSTILE[damage]
    make(path)
    with pytest.raises(BenchError, match=message) as caught:
        read_array_file(path)
    assert "\n" not in str(caught.value)


def test_a_header_that_promises_more_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "set.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 3, 64, 64)}
        )
    with pytest.raises(BenchError, match="its header promises"):
        read_array_file(path)
    archive = tmp_path / "set.npz"
    with zipfile.ZipFile(archive, "w") as made:
        made.write(path, "images.npy")
    with pytest.raises(BenchError, match=r"another length than its header promises|not a readable"):
        read_array_file(archive)


def asked(path, **more):
    plain = {"against": "digits", "features": "pixels", "n": None, "stated": PLAIN, "size": None,
             "resize": False}  # fmt: skip
    return Asked(path, **{**plain, **more})


def refused(path, tmp_path, **more):
    with pytest.raises(BenchError) as caught:
        settle_score(asked(path, **more), device="cpu", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def test_what_does_not_fit_is_refused_before_anything_is_measured(tmp_path):
    path = write(tmp_path, "npy")
    assert "did you mean 'pixels'" in refused(path, tmp_path, features="pixel")
    assert "did you mean 'digits'" in refused(path, tmp_path, against="digit")
    assert "--n 25: the set holds 24" in refused(path, tmp_path, n=25)
    assert "--size is 32; have them resized with --resize" in refused(path, tmp_path, size=32)
    for count in (1, 19):
        np.save(path, IMAGES[:count])
        assert f"{count} picture(s) to score, expected 20" in refused(path, tmp_path)
    np.save(path, IMAGES[:, :, :12])
    assert "are 16x12, expected squares" in refused(path, tmp_path)
    assert "add --size" in refused(path, tmp_path, resize=True)
    np.save(path, IMAGES[:, :1])
    assert "are grey and cifar10 is in colour" in refused(path, tmp_path, against="cifar10")


def test_pictures_of_several_sizes_are_refused(tmp_path):
    path = write(tmp_path, "folder")
    Image.new("RGB", (20, 16)).save(path / "9.png")
    assert "2 different sizes" in refused(path, tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no pictures" in refused(empty, tmp_path)
    (tmp_path / "set.txt").write_text("x")
    assert "nothing that can be scored" in refused(tmp_path / "set.txt", tmp_path)
    assert "there is no" in refused(tmp_path / "gone.npz", tmp_path)


def test_what_is_asked_for_otherwise_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "npy", IMAGES[:, :1])

    def folder(**more):
        return settle_score(asked(path, **more), device="cpu", out=None).folders.run

    def read_as(layout, low, high):
        return folder(stated=Conventions(layout, low, high))

    first = folder()
    assert folder() == first and first.name.startswith("score-digits-pixels-")
    others = [folder(size=size, resize=True) for size in (None, 8, 32)]
    others.append(read_as("NCHW", None, None))
    np.save(path, IMAGES[:, :1] / np.float32(255))
    others += [read_as("", low, 1.0) for low in (0.0, -1.0)]
    assert len({first, *others}) == 1 + len(others)


def test_the_plan_begins_with_a_canary_and_does_not_know_the_path(tmp_path):
    path = write(tmp_path, "npy", IMAGES[:, :1])
    first = settle_score(asked(path), device="cpu", out=tmp_path / "out")
    tasks = [planned.cell.task for planned in first.plan]
    assert tasks[0] == "canary" and tasks[-1] == "frechet" and "external" in tasks
    assert str(tmp_path) not in repr([planned.cell for planned in first.plan])
    second = settle_score(
        asked(path.rename(tmp_path / "b.npy")), device="cpu", out=tmp_path / "out"
    )
    assert list(first.plan.cells) == list(second.plan.cells)
    fewer = settle_score(asked(tmp_path / "b.npy", n=20), device="cpu", out=tmp_path / "out")
    assert list(fewer.plan.cells)[-1] not in first.plan.cells
