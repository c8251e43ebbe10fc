"""What a set of trained networks is held to: its data, its name, its folder, who else writes it."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from tiny_training import measured, study

from bench import disk, provenance, sets, shipped, shipping
from bench.api import BenchError, Kind, Missing, StorageError
from bench.cli import run_command_line
from bench.experiments.trained import train_backbone, train_generator
from bench.plan import plan_of
from bench.registry import build
from bench.tasks import train as task
from bench.tasks.taken import refuse_other_data


@dataclass(frozen=True)
class Trained:
    """As much of a run as is shipped."""

    folder: Path
    records: tuple
    files: dict

    def file(self, key, name):
        return self.files[name]

    def of(self, *changes):
        """The same run with a record for each of these changes to the one of its training."""
        (one,) = self.records
        return replace(self, records=tuple({**one, **change} for change in changes))

    def of_data(self, **dataset):
        spec = self.records[0]["spec"]
        return {"spec": {**spec, "dataset": {**spec["dataset"], **dataset}}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that trained one small network, in this process."""
    folder = tmp_path_factory.mktemp("sets")
    cell = train_backbone(study(), "cunet")
    outcome = measured(cell, folder)
    (planned,) = plan_of([cell], purpose="test")
    record = {
        "key": planned.key, "task": "train", "status": "ok", "rows": outcome.rows,
        "files": outcome.files, "made": provenance.made("cpu", 1.0), "spec": dict(cell.spec),
        "basis": json.loads(json.dumps(planned.basis)),
    }  # fmt: skip
    return Trained(folder, (record,), outcome.files)


@pytest.fixture(autouse=True)
def checkpoints(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(shipped, "FOLDER", folder)
    monkeypatch.delenv(shipped.OWN, raising=False)
    return folder


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv(shipped.OWN, str(tmp_path / "own"))
    return tmp_path / "own"


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------ data


def test_pictures_that_were_exchanged_are_other_data(run, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (10, 40, 40, 3), np.uint8)
    for number, picture in enumerate(noise):
        Image.fromarray(picture).save(pictures / f"{number}.png")

    def now(size):
        return build(Kind.DATASET, f"folder:{pictures}", image_size=size)

    about = run.of_data(name=f"folder:{pictures}")
    basis = {"data": json.loads(json.dumps(now(16).manifest()))}
    shipping.ship(run.of({**about, "basis": basis}), "mine")
    (entry,) = shipped.entries()
    for size in (16, 64):  # pictures of 40 pixels are enlarged at one of these alone
        refuse_other_data(entry, now(size))
    Image.fromarray(noise[0] // 2).save(pictures / "9.png")
    for size in (16, 64):
        with pytest.raises(BenchError, match=r"mine/cunet learnt from other images than folder:"):
            refuse_other_data(entry, now(size))
    made = {name: value for name, value in entry.made.items() if name != "data"}
    refuse_other_data(replace(entry, made=made), now(16))  # of an entry that does not tell


@pytest.mark.parametrize("setting", ["checkpoints", "train.begin"])
def test_a_network_of_other_data_is_not_taken(run, tmp_path, setting):
    basis = run.records[0]["basis"]
    other = {**basis["data"], "files": {"digits.npz": "0" * 64}}
    shipping.ship(run.of({"basis": {**basis, "data": other}}), "tiny")
    cell = train_backbone(study(f"{setting}=tiny"), "cunet")
    with pytest.raises(BenchError, match=r"other images than digits holds now, expected the same"):
        measured(cell, tmp_path / "cell")


def test_a_set_of_mixed_networks_is_asked_for_data_and_width_together(run):
    spec = run.records[0]["spec"]
    wide = {**run.of_data(name="mnist")["spec"], "denoiser": {**spec["denoiser"], "scale": 0.5}}
    shipping.ship(run.of({}, {"spec": wide}), "mixed")
    assert "checkpoint" in train_backbone(study("checkpoints=mixed"), "cunet").spec
    with pytest.raises(BenchError, match=r"have scale 0.0625, this run 0.5"):
        study("checkpoints=mixed", "scale=0.5")
    with pytest.raises(BenchError, match=r"have scale 0.5, this run 0.0625"):
        study("checkpoints=mixed", "dataset=mnist")
    with pytest.raises(BenchError, match=r"know digits at 16x16, mnist at 16x16, this run has"):
        study("checkpoints=mixed", "image_size=32")


def test_a_generator_goes_on_at_its_own_size_alone(run):
    others = ("samplers.generators=vae", "train.begin=tiny")
    spec = train_generator(study(others[0]), "vae").spec
    shipping.ship(run.of({"spec": dict(spec)}), "tiny")
    assert "begun" in train_generator(study(*others), "vae").spec
    assert "begun" not in train_generator(study(*others, "image_size=32"), "vae").spec


def test_a_set_that_changes_during_a_training_loses_nothing(
    run, checkpoints, tmp_path, monkeypatch
):
    shipping.ship(run, "tiny")
    cell = train_backbone(study("train.begin=tiny"), "cunet")
    inner = task.trained

    def meanwhile(*about):
        found = inner(*about)
        shutil.rmtree(checkpoints)
        return found

    monkeypatch.setattr(task, "trained", meanwhile)
    outcome = measured(cell, tmp_path / "cell")
    curve = outcome.files["curve.csv"].read_text().splitlines()
    assert [line.split(",")[0] for line in curve] == ["update", "1", "2", "3", "4", "5", "6"]


# ------------------------------------------------------------------ shipping


def test_another_network_of_the_same_name_is_not_replaced(run, checkpoints):
    shipping.ship(run, "tiny")
    before = content(checkpoints)
    other = run.of(run.of_data(image_size=32))
    with pytest.raises(BenchError, match=r"'tiny' has another cunet, of digits at 16 pixels: .*"):
        shipping.ship(other, "tiny")
    assert content(checkpoints) == before
    longer = {**run.records[0]["spec"]["training"], "updates": 9}
    shipping.ship(run.of({"spec": {**run.records[0]["spec"], "training": longer}}), "tiny")
    (entry,) = shipped.entries()
    assert entry.spec["training"]["updates"] == 9


def test_networks_are_back_where_the_index_cannot_be_written(run, checkpoints, monkeypatch):
    shipping.ship(run, "tiny")
    before = content(checkpoints)

    def full(path, text):
        raise StorageError("no space left")

    monkeypatch.setattr(shipping, "write_atomically", full)
    monkeypatch.setattr(shipping, "POINTS", 1)  # the network that is shipped has other files
    for name in ("tiny", "other"):
        with pytest.raises(StorageError, match="no space left"):
            shipping.ship(run, name)
        assert content(checkpoints) == before
        assert sorted(path.name for path in checkpoints.iterdir() if path.is_dir()) == ["tiny"]


def test_one_process_ships_to_a_folder_at_a_time(run, own, monkeypatch):
    shipping.ship(run, "mine")
    monkeypatch.setattr(shipping, "WAIT_S", 0.01)
    with FileLock(own / shipping.LOCK):
        with pytest.raises(BenchError, match=r"another process ships to .*own; do it again once"):
            shipping.ship(run, "more")
    shipping.ship(run, "more")
    assert {one.set for one in shipped.entries()} == {"mine", "more"}


@pytest.mark.parametrize("name", ["a,b", " a", "a ", "index.json", "README.md", "readme.md"])
def test_what_a_run_could_not_name_names_no_set(run, checkpoints, name):
    with pytest.raises(BenchError, match=r"cannot name a set; use a plain name such as"):
        shipping.ship(run, name)
    assert not checkpoints.exists()


def test_a_run_of_a_shared_store_is_shipped(run, own, monkeypatch, tmp_path):
    asked = []

    def loaded(folder, address):
        asked.append(address)
        return run

    monkeypatch.setattr("bench.commands.loading.loaded", loaded)
    monkeypatch.setattr("bench.trust.refuse_untrusted", lambda run: None)
    assert run_command_line(["ship", str(tmp_path), "mine", "--store", "file:///lab"]) == 0
    assert asked == ["file:///lab"] and (own / "mine/cunet/card.md").is_file()


# ------------------------------------------------------------------ a folder of one's own


def test_a_set_that_was_removed_by_hand_is_none(run, own):
    for name in ("kept", "gone"):
        shipping.ship(run, name)
    shutil.rmtree(own / "gone")
    assert sets.known_sets() == ["kept"]
    shipping.ship(run, "more")
    assert "gone" not in (own / "index.json").read_text() + (own / "README.md").read_text()


def test_a_set_of_the_package_that_was_removed_is_told(run, checkpoints):
    for name in ("kept", "gone"):
        shipping.ship(run, name)
    shutil.rmtree(checkpoints / "gone")
    with pytest.raises(Missing, match=r"gone/cunet is gone, .* with git, or take its entry out"):
        shipping.ship(run, "more")
    index = json.loads((checkpoints / "index.json").read_text())
    index["networks"] = [one for one in index["networks"] if one["set"] != "gone"]
    (checkpoints / "index.json").write_text(json.dumps(index))
    shipping.ship(run, "more")


def test_a_set_that_has_the_name_of_one_of_the_package_can_be_moved(run, own, monkeypatch):
    shipping.ship(run, "tiny")
    monkeypatch.delenv(shipped.OWN)
    shipping.ship(run, "tiny")
    monkeypatch.setenv(shipped.OWN, str(own))
    with pytest.raises(BenchError, match=r"under another name, then remove its folder"):
        shipped.entries()
    shipping.ship(run, "mine")
    shutil.rmtree(own / "tiny")
    assert sets.known_sets() == ["mine", "tiny"]


def test_the_folder_is_one_whatever_it_is_called(run, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(shipped.OWN, "~/mine")
    assert shipped.home() == tmp_path / "mine"
    checkpoints.mkdir()
    (tmp_path / "alias").symlink_to(checkpoints)
    monkeypatch.setenv(shipped.OWN, str(tmp_path / "alias"))
    assert shipped.home() == checkpoints
    shipping.ship(run, "tiny")
    assert [one.set for one in shipped.entries()] == ["tiny"], "and not once more of one's own"


def test_a_folder_without_sets_is_named(run, own):
    with pytest.raises(BenchError, match=r"no set of checkpoints named 'x'; .*own has no index"):
        study("checkpoints=x")
    shipping.ship(run, "mine")
    with pytest.raises(BenchError, match=r"no set of checkpoints named 'x'; known: mine, auto$"):
        study("checkpoints=x")


def test_a_file_in_place_of_the_folder_is_one_line(run, own):
    own.write_text("")
    for use in (shipped.entries, lambda: shipping.ship(run, "mine")):
        with pytest.raises(BenchError, match=r"BENCH_CHECKPOINT_DIR=.*own is a file, expected a"):
            use()


def test_a_folder_that_cannot_be_written_is_one_line(run, checkpoints, own, monkeypatch):
    def refused(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", refused)
    said = r": Permission denied; name a folder that you may write to with BENCH_CHECKPOINT_DIR"
    with pytest.raises(StorageError, match=f"cannot write to {own}{said}"):
        shipping.ship(run, "mine")
    monkeypatch.delenv(shipped.OWN)
    with pytest.raises(StorageError, match=f"cannot write to {checkpoints}{said}"):
        shipping.ship(run, "mine")
