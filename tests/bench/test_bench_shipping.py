import json
import re
import shlex
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_training import SETTINGS, measured, study

from bench import sets, shipped, shipping
from bench.api import BenchError, Missing
from bench.budget import load_budget
from bench.cli import run_command_line
from bench.experiments.trained import train_backbone
from bench.forecast.work import work_of
from bench.plan import make_plan, plan_of, study_for
from bench.runs import load_run
from bench.tasks.taken import halved

SETS = [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that trained one small network."""
    out = tmp_path_factory.mktemp("shipping") / "run"
    words = ["run", "training", "--only", "denoise diffusion:cunet * t=83", "--workers", "1", *SETS]
    assert run_command_line([*words, "--out", str(out)]) == 0
    return out


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(shipped, "FOLDER", folder)
    return folder


def test_a_run_takes_the_network_that_another_trained(trained, checkpoints, tmp_path, capsys):
    cell = train_backbone(study("checkpoints=auto"), "cunet")
    assert "checkpoint" not in cell.spec, "there is none yet"
    assert run_command_line(["ship", str(trained), "tiny"]) == 0
    assert capsys.readouterr().out.strip().endswith("tiny/cunet/card.md")
    cell = train_backbone(study("checkpoints=auto", "train.updates=99"), "cunet")
    assert cell.spec["checkpoint"]["name"] == "tiny/cunet"
    assert cell.spec["training"]["updates"] == 3, "how it was trained is the entry's"
    (record,) = (one for one in load_run(trained).records if one["task"] == "train")
    outcome = measured(cell, tmp_path / "cell")
    (row,) = outcome.rows
    (was,) = record["rows"]
    assert row["loss_held_out_float32"] == was["loss_held_out"]
    assert row["loss_held_out"] == pytest.approx(was["loss_held_out"], rel=1e-2)
    assert row["loss_held_out"] != was["loss_held_out"], "it was measured, on the rounded weights"
    assert row["images_seen"] == was["images_seen"]
    original = load_file(load_run(trained).file(record["key"], "weights.safetensors"))
    taken = load_file(outcome.files["weights.safetensors"])
    for name, value in original.items():
        assert taken[name].dtype == value.dtype
        assert torch.equal(taken[name], halved({name: value})[name].to(value.dtype))
    assert {"curve.csv", "validation.csv"} <= outcome.files.keys()


KINDS = ("*unet*", "conv-ae*", "dncnn*", "vae*")
OTHERS = (
    "denoising.classic_scale=0.0625",
    "train.classic_updates=2",
    "train.dncnn_updates=2",
    "samplers.generators=vae",
    "backbones=unet",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_training_is_shipped_and_taken(kind, checkpoints, tmp_path):
    run = tmp_path / "run"
    sets = [word for setting in OTHERS for word in ("--set", setting)]
    words = ["run", "table4", "samplers", "--only", f"train {kind}", "--workers", "1"]
    assert run_command_line([*words, *SETS, *sets, "--out", str(run)]) == 0
    assert run_command_line(["ship", str(run), "tiny"]) == 0
    budget = study("checkpoints=auto", *OTHERS)
    (planned,) = make_plan(budget, ["table4", "samplers"], only=f"train {kind}")
    assert planned.cell.spec["checkpoint"]["name"].startswith("tiny/")
    (row,) = measured(planned.cell, tmp_path / "cell").rows
    assert row["loss_held_out"] == pytest.approx(row["loss_held_out_float32"], rel=2e-2)
    assert row["loss_held_out"] != row["loss_held_out_float32"]


def test_what_is_taken_costs_no_training(trained, checkpoints):
    def work(*settings):
        (planned,) = plan_of([train_backbone(study(*settings), "cunet")], purpose="test")
        return work_of(planned)

    shipping.ship(load_run(trained), "tiny")
    there, trains = work("checkpoints=auto"), work()
    assert there.updates == 0 < trains.updates
    assert 0 < there.forward < trains.forward


@pytest.mark.parametrize(
    "settings", [("seed=1",), ("image_size=32",), ("scale=0.125",), ("recipe=ho2020",)]
)
def test_another_network_is_trained(trained, checkpoints, settings):
    shipping.ship(load_run(trained), "tiny")
    assert "checkpoint" in train_backbone(study("checkpoints=auto"), "cunet").spec
    assert "checkpoint" not in train_backbone(study("checkpoints=auto", *settings), "cunet").spec
    assert "checkpoint" not in train_backbone(study("checkpoints=auto"), "unet").spec
    assert "checkpoint" not in train_backbone(study(), "cunet").spec


def test_a_named_set_that_does_not_fit_is_refused(trained, checkpoints):
    shipping.ship(load_run(trained), "tiny")
    with pytest.raises(BenchError, match=r"no set of checkpoints named .tine.; did you mean .tiny"):
        study("checkpoints=tine")
    with pytest.raises(BenchError, match=r"know digits at 16x16, this run has digits at 32x32"):
        study("checkpoints=tiny", "image_size=32")
    with pytest.raises(BenchError, match=r"have scale 0.0625, this run 0.5"):
        study("checkpoints=tiny", "scale=0.5")


def test_a_set_of_ones_own_is_taken_and_gone_on_from(trained, checkpoints, tmp_path, monkeypatch):
    shipping.ship(load_run(trained), "tiny")
    own = tmp_path / "own"
    monkeypatch.setenv(shipped.OWN, str(own))
    monkeypatch.setattr(shipping, "MOST_BYTES", 1000)  # the package alone is bounded
    assert run_command_line(["ship", str(trained), "mine"]) == 0
    assert (own / "mine/cunet/card.md").is_file() and not (checkpoints / "mine").exists()
    taken = train_backbone(study("checkpoints=mine"), "cunet")
    assert taken.spec["checkpoint"]["name"] == "mine/cunet"
    (row,) = measured(taken, tmp_path / "cell").rows
    assert row["updates"] == 3
    begun = train_backbone(study("train.begin=mine"), "cunet")
    assert begun.spec["begun"]["name"] == "mine/cunet"
    first = train_backbone(study("checkpoints=auto"), "cunet")
    assert first.spec["checkpoint"]["name"] == "tiny/cunet", "the package's comes first"
    monkeypatch.delenv(shipped.OWN)
    with pytest.raises(BenchError, match=r"no set of checkpoints named .mine"):
        study("checkpoints=mine")
    with pytest.raises(Missing, match=r"is not in models/checkpoints or BENCH_CHECKPOINT_DIR"):
        measured(taken, tmp_path / "again")


def test_one_name_is_not_two_sets(trained, checkpoints, tmp_path, monkeypatch, capsys):
    run, own = load_run(trained), tmp_path / "own"
    monkeypatch.setenv(shipped.OWN, str(own))
    shipping.ship(run, "tiny")
    monkeypatch.delenv(shipped.OWN)
    shipping.ship(run, "tiny")
    monkeypatch.setenv(shipped.OWN, str(own))
    with pytest.raises(BenchError, match=r"the set tiny in BENCH_CHECKPOINT_DIR=.* another name"):
        shipped.entries()
    assert run_command_line(["ship", str(trained), "tiny"]) == 2
    assert "the package has a set 'tiny'; choose another name" in capsys.readouterr().err


def test_the_first_set_that_has_a_network_gives_it(trained, checkpoints, monkeypatch):
    def came_from(sets):
        spec = train_backbone(study(f"checkpoints={sets}"), "cunet").spec
        return spec.get("checkpoint", {}).get("name")

    run = load_run(trained)
    other = [{**one, "spec": {**one["spec"], "seed": 1}} for one in run.records]
    shipping.ship(run, "a")
    shipping.ship(run, "b")
    shipping.ship(replace(run, records=tuple(other)), "of-another-seed")
    assert [came_from(sets) for sets in ("a,b", "b, a", "b,auto")] == [
        "a/cunet",
        "b/cunet",
        "b/cunet",
    ]
    went_on = [
        {**one, "spec": {**one["spec"], "begun": {"name": "a/cunet"}}} for one in run.records
    ]
    monkeypatch.setattr(shipping, "_begun", lambda spec: "")
    shipping.ship(replace(run, records=tuple(went_on)), "a-longer")
    assert came_from("a-longer") == "a-longer/cunet"
    assert came_from("auto") == "a/cunet", "its companions had no more updates"
    assert came_from("of-another-seed,b") == "b/cunet"
    assert came_from("of-another-seed") is came_from(",") is None
    with pytest.raises(BenchError, match=r"no set of checkpoints named .tine."):
        study("checkpoints=a,tine")


def test_weights_that_changed_are_not_taken(trained, checkpoints, tmp_path):
    shipping.ship(load_run(trained), "tiny")
    cell = train_backbone(study("checkpoints=tiny"), "cunet")
    path = checkpoints / "tiny" / "cunet" / "weights.safetensors"
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    with pytest.raises(Missing, match="missing or not what"):
        measured(cell, tmp_path / "cell")
    path.unlink()
    with pytest.raises(Missing, match="restore it with git"):
        measured(cell, tmp_path / "again")
    shutil.rmtree(checkpoints)
    with pytest.raises(Missing, match="plan the run anew"):
        measured(cell, tmp_path / "third")


def longer(*settings):
    """A training of two updates more than the shipped network had."""
    return train_backbone(study("train.begin=tiny", "train.updates=2", *settings), "cunet")


def test_a_training_goes_on_from_a_network_of_the_package(trained, checkpoints, tmp_path):
    shipping.ship(load_run(trained), "tiny")
    (first,) = shipped.entries()
    cell = longer("checkpoints=auto")
    assert "checkpoint" not in cell.spec, "to go on comes before to take as it is"
    assert cell.label.endswith("tiny/cunet")
    assert cell.spec["begun"]["updates"] == 3 and cell.spec["training"]["updates"] == 2
    assert "begin" not in cell.spec["training"], "other trainings keep their keys"
    outcome = measured(cell, tmp_path / "cell")
    (row,) = outcome.rows
    assert (row["updates"], row["images_seen"]) == (5, 5 * cell.spec["training"]["batch"])
    curve = outcome.files["curve.csv"].read_text().splitlines()
    assert [line.split(",")[0] for line in curve] == ["update", "1", "2", "3", "4", "5"]
    assert curve[:4] == first.file("curve.csv").read_text().splitlines()
    course = outcome.files["validation.csv"].read_text().splitlines()
    assert [line.split(",")[0] for line in course] == ["update", "3", "5"]


@pytest.mark.slow
def test_a_training_goes_on_with_larger_images(trained, checkpoints, tmp_path):
    shipping.ship(load_run(trained), "tiny")
    cell = longer("image_size=32")
    assert cell.spec["begun"]["image_size"] == 16
    assert "image_size" not in longer().spec["begun"], "where it is the same it has its old key"
    outcome = measured(cell, tmp_path / "cell")
    (row,) = outcome.rows
    assert (row["updates"], row["images_seen"]) == (5, 5 * cell.spec["training"]["batch"])
    curve = outcome.files["curve.csv"].read_text().splitlines()
    assert [line.split(",")[0] for line in curve] == ["update", "4", "5"], "of these images alone"
    course = outcome.files["validation.csv"].read_text().splitlines()
    assert [line.split(",")[0] for line in course] == ["update", "5"]
    # The weights were taken: two small steps leave them near where they were, far from random.
    halves = load_file(checkpoints / "tiny" / "cunet" / "weights.safetensors")
    weights = load_file(outcome.files["weights.safetensors"])
    assert set(weights) == set(halves)
    far = [float((weights[name] - value.float()).abs().max()) for name, value in halves.items()]
    assert max(far) < 0.01
    text = shipping.card(
        replace(*shipped.entries(), spec=cell.spec, row={**row, "n_train": 1}), size=1
    )
    assert "went on from `tiny/cunet`, at 16x16, sha256" in text


def test_only_a_set_that_is_named_gives_a_network_of_another_size(trained, checkpoints):
    shipping.ship(load_run(trained), "tiny")
    other = "image_size=32"
    assert "begun" not in train_backbone(study("train.begin=auto", other), "cunet").spec
    assert "begun" in train_backbone(study("train.begin=auto"), "cunet").spec
    assert "checkpoint" not in train_backbone(study("checkpoints=auto", other), "cunet").spec
    run = load_run(trained)
    large = [
        {**one, "spec": {**one["spec"], "dataset": {**one["spec"]["dataset"], "image_size": 32}}}
        for one in run.records
    ]
    shipping.ship(replace(run, records=tuple(large)), "large")
    cell = longer(other, "train.begin=large,tiny")
    assert cell.spec["begun"]["name"] == "large/cunet" and "image_size" not in cell.spec["begun"]


@pytest.mark.slow
def test_what_goes_on_sees_what_the_whole_training_would_have_seen(trained, checkpoints, tmp_path):
    """With weights that are not rounded, no step down and no memory, parts are the whole."""
    still = ("train.learning_rate=1e-30", "train.decay=none")
    run = tmp_path / "run"
    sets = [word for setting in (*SETTINGS, *still) for word in ("--set", setting)]
    words = ["run", "training", "--only", "train diffusion:cunet *", "--workers", "1", *sets]
    assert run_command_line([*words, "--out", str(run)]) == 0
    shipping.ship(load_run(run), "tiny")
    parts = measured(longer(*still), tmp_path / "parts")
    whole = measured(train_backbone(study("train.updates=5", *still), "cunet"), tmp_path / "whole")
    losses = [
        [float(line.split(",")[1]) for line in made.files["curve.csv"].read_text().splitlines()[1:]]
        for made in (parts, whole)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2), "rounding alone"
    assert len(set(losses[0])) == 5, "each update has its own images and noise"


def test_a_card_tells_the_whole_way(trained, checkpoints):
    run = load_run(trained)
    shipping.ship(run, "tiny")
    (first,) = shipped.entries()
    (one,) = (record for record in run.records if record["task"] == "train")
    for total in (5, 7):
        row = {**one["rows"][0], "updates": total, "images_seen": 8 * total}
        more = {**one, "spec": dict(longer().spec), "rows": [row]}
        (card,) = shipping.ship(replace(run, records=(more,)), "tiny")
        assert f"{total} updates, {8 * total} images seen" in card.read_text()
    text = card.read_text()
    assert text.count("went on from `tiny/cunet`") == 2
    assert text.index("of 5 updates") < text.index("of 3 updates"), "the latest first"
    assert first.files["weights.safetensors"] in text, "the network that is there no more"
    (last,) = shipped.entries()
    assert last.spec["begun"]["begun"]["updates"] == 3
    assert "checkpoint" in train_backbone(study("checkpoints=tiny"), "cunet").spec


def test_a_set_to_begin_with_that_does_not_fit_is_refused(trained, checkpoints):
    shipping.ship(load_run(trained), "tiny")
    with pytest.raises(BenchError, match=r"train.begin=tiny: .* digits at 16x16, this run has"):
        study("train.begin=tiny", "dataset=mnist")
    with pytest.raises(BenchError, match=r"no set of checkpoints named .tine."):
        study("train.begin=tine")
    cell = train_backbone(study("train.begin=tiny"), "unet")
    assert "begun" not in cell.spec, "the set has no such network"


def test_a_network_to_go_on_from_that_is_lost_is_one_line(trained, checkpoints, tmp_path):
    shipping.ship(load_run(trained), "tiny")
    cell = longer()
    (checkpoints / "tiny" / "cunet" / "weights.safetensors").unlink()
    with pytest.raises(Missing, match="missing or not what"):
        measured(cell, tmp_path / "cell")
    shutil.rmtree(checkpoints)
    with pytest.raises(Missing, match="plan the run anew"):
        measured(cell, tmp_path / "again")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"networks": [{}]}', '{"networks": 3}'])
def test_a_damaged_index_is_one_line(checkpoints, text):
    checkpoints.mkdir()
    (checkpoints / "index.json").write_text(text)
    with pytest.raises(BenchError, match="no index of checkpoints"):
        shipped.entries()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("files", {}), ("files", ["weights.safetensors"]), ("files", 3), ("spec", "text"),
        ("spec", {}), ("row", None), ("row", {"updates": 1}), ("made", []), ("network", 3),
        ("files", {"weights.safetensors": 3}), ("made", {"data": 3}),
    ],
)  # fmt: skip
def test_an_entry_that_lacks_a_part_is_one_line(checkpoints, part, value):
    spec = {
        "denoiser": {"name": "cunet"}, "dataset": {"name": "digits", "image_size": 16},
        "training": {}, "seed": 0,
    }  # fmt: skip
    whole = {
        "set": "tiny", "network": "cunet", "spec": spec, "made": {},
        "row": {"updates": 1, "images_seen": 8}, "files": {"weights.safetensors": "a" * 64},
    }  # fmt: skip
    checkpoints.mkdir()
    index = checkpoints / "index.json"
    index.write_text(json.dumps({"networks": [whole]}))
    assert [one.width for one in shipped.entries()] == [1.0]
    index.write_text(json.dumps({"networks": [{**whole, part: value}]}))
    with pytest.raises(BenchError, match="no index of checkpoints"):
        sets.refuse_unfit("tiny", spec["dataset"], 1.0)


def test_two_widths_of_a_run_are_two_networks_and_twins_are_refused(trained, checkpoints):
    run = load_run(trained)
    (one,) = (record for record in run.records if record["task"] == "train")
    wide = {**one["spec"], "denoiser": {**one["spec"]["denoiser"], "scale": 0.5}}
    both = replace(run, records=(one, {**one, "spec": wide}))
    for _ in range(2):
        shipping.ship(both, "tiny")
        found = {entry.network: entry.width for entry in shipped.entries()}
        assert found == {"cunet": 0.0625, "cunet-width-0.5": 0.5}
        both = replace(run, records=tuple(reversed(both.records)))
    with pytest.raises(BenchError, match="would be called other/cunet"):
        shipping.ship(replace(run, records=(one, one)), "other")
    assert len(shipped.entries()) == 2 and not (checkpoints / ".new").exists()


def test_names_in_an_index_lead_nowhere_else(trained, checkpoints):
    shipping.ship(load_run(trained), "tiny")
    index = json.loads((checkpoints / "index.json").read_text())
    index["networks"][0]["network"] = "../../elsewhere"
    (checkpoints / "index.json").write_text(json.dumps(index))
    with pytest.raises(BenchError, match="no plain names"):
        shipped.entries()


def test_what_cannot_be_shipped_changes_nothing(trained, checkpoints, monkeypatch, capsys):
    shipping.ship(load_run(trained), "tiny")
    before = {path: path.read_bytes() for path in checkpoints.rglob("*.*")}
    for name in ("..", "auto", "a/b", ""):
        assert run_command_line(["ship", str(trained), name]) == 2
    monkeypatch.setattr(shipping, "MOST_BYTES", 1000)
    assert run_command_line(["ship", str(trained), "large"]) == 2
    assert "expected at most" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in checkpoints.rglob("*.*")} == before
    monkeypatch.undo()
    monkeypatch.setattr(shipped, "FOLDER", checkpoints)
    (checkpoints / "tiny" / "cunet" / "weights.safetensors").unlink()
    assert run_command_line(["ship", str(trained), "more"]) == 69
    assert "is missing or not what" in capsys.readouterr().err
    assert not (checkpoints / "more").exists()
    with pytest.raises(BenchError, match="largest of half precision"):
        halved({"w": torch.tensor([1e5])})


def test_a_card_tells_what_a_person_must_know(trained, checkpoints):
    (card,) = shipping.ship(load_run(trained), "tiny")
    text = card.read_text()
    (entry,) = shipped.entries()
    for word in ("cunet", "1x16x16", "CC BY 4.0", "3 updates", entry.files["weights.safetensors"]):
        assert word in text
    asked = "--set image_size=16 --set scale=0.0625 --set backbones=cunet --checkpoint tiny --only"
    assert f"{asked} 'train * tiny/cunet'`" in " ".join(text.split())
    again = shipping.ship(load_run(trained), "tiny")
    assert again == [card] and len(shipped.entries()) == 1
    (line,) = (one for one in listing().splitlines() if "tiny/cunet" in one)
    assert line.startswith("| [tiny/cunet](tiny/cunet/card.md) | `digits`, 16x16 | 0.0625 | 3 |")


def listing():
    return (shipped.FOLDER / shipping.CONTENTS).read_text()


@pytest.mark.parametrize("dataset", ["celeba", "mnist"])
def test_the_pair_that_any_set_gives_has_had_as_many_updates(dataset):
    chosen = study_for(load_budget("small", [f"dataset={dataset}", "image_size=32"]))
    names = [train_backbone(chosen, name).spec["checkpoint"]["name"] for name in ("unet", "cunet")]
    updates = {one.name: one.row["updates"] for one in shipped.entries()}
    assert len({updates[name] for name in names}) == 1, names


@pytest.mark.slow
def test_every_card_asks_for_its_network_alone():
    for entry in shipped.entries():
        size = entry.file(shipped.WEIGHTS).stat().st_size
        text = " ".join(shipping.card(entry, size).split())
        words = shlex.split(re.search(r"`python -m bench run (.*?)`", text)[1])
        sets = [value for word, value in pairwise(words) if word == "--set"]
        dataset, pattern = words[words.index("--dataset") + 1], words[words.index("--only") + 1]
        sets += [f"dataset={dataset}", f"checkpoints={entry.set}"]
        experiments = ["table1", "table4", "figures"]
        plan = make_plan(study_for(load_budget("small", sets)), experiments, only=pattern)
        (planned,) = plan
        assert planned.cell.spec["checkpoint"]["name"] == entry.name


def test_every_network_of_the_package_is_what_its_index_says():
    size = 0
    for entry in shipped.entries():
        for name in entry.files:
            size += entry.file(name).stat().st_size
        card = shipping.card(entry, entry.file(shipped.WEIGHTS).stat().st_size)
        assert (entry.folder / "card.md").read_text() == card
    assert size <= shipping.MOST_BYTES
    assert listing() == shipping.contents(shipped.entries())
