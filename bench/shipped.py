"""Trained networks that come with the package, and the cells that take them instead of training.

    models/checkpoints/index.json                     what there is, with hashes
    models/checkpoints/<set>/<network>/weights.safetensors, curve.csv, validation.csv, card.md

An entry is the training that made it: the specification of its cell, its row, its machine. A run
takes it where it wants the same network on the same data with the same seed (`checkpoints` in the
settings); how long it was trained is then the entry's and not the run's. Reading the index needs
no torch. `bench ship` writes it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api import BenchError, Cell, Missing
from bench.disk import file_sha
from bench.errors import unknown
from bench.inputs import printable
from bench.record import is_key, is_plain_name
from bench.registry import HOME

FOLDER = HOME / "models" / "checkpoints"
INDEX = "index.json"
WEIGHTS = "weights.safetensors"
AUTO = "auto"
"""Takes whatever fits; names take those sets alone."""
CHECKPOINT = "checkpoint"
"""The part of a training cell's specification that says what is taken in place of training."""
BEGUN = "begun"
"""The part that says which network a training goes on from, and what that one had learnt."""
BEGIN = "train.begin"
"""The setting that names what to go on from: a set of other sizes will do."""
LIMITS = ("training", CHECKPOINT, BEGUN)
"""What does not decide whether an entry fits."""


@dataclass(frozen=True)
class Shipped:
    """One trained network of a set."""

    set: str
    network: str
    """Names its folder."""
    spec: Mapping[str, Any]
    """Of the cell that trained it."""
    files: Mapping[str, str]
    """Name -> sha256."""
    row: Mapping[str, Any]
    """What that cell found: updates, images seen, losses, all in float32."""
    made: Mapping[str, Any]
    """With what: machine and versions."""

    @property
    def name(self) -> str:
        """What a run calls it."""
        return f"{self.set}/{self.network}"

    @property
    def identity(self) -> dict[str, str]:
        """What a specification says of it."""
        return {"name": self.name, "sha256": self.files[WEIGHTS]}

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return FOLDER / self.set / self.network

    @property
    def width(self) -> float:
        """The part of the paper's width that it has."""
        return width_of(self.spec)

    def file(self, name: str) -> Path:
        """Return a file after comparing its sha256.

        Raises:
            Missing: If it is not there, or is another.
        """
        path = self.folder / name
        if not path.is_file() or file_sha(path) != self.files[name]:
            raise Missing(
                f"{printable(path)} is missing or not what models/checkpoints/{INDEX} describes; "
                "restore it with git, or train: --set checkpoints="
            )
        return path

    def fits(self, spec: Mapping[str, Any], *, any_size: bool = False) -> bool:
        """Return whether it is the network that a training's specification asks for.

        Args:
            spec: Of the training.
            any_size: Whether it may know images of another size.
        """
        return _deciding(self.spec, any_size) == _deciding(spec, any_size)


def entries() -> tuple[Shipped, ...]:
    """Return the networks of the package; none where it has no index.

    Raises:
        BenchError: If the index cannot be read or is none.
    """
    path = FOLDER / INDEX
    try:
        listed = json.loads(path.read_bytes())["networks"]
        found = tuple(_checked(Shipped(**one)) for one in listed)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BenchError(f"{path} is no index of checkpoints ({error}); restore it") from error
    for one in found:
        names = (one.set, one.network, *one.files)
        if not all(map(is_plain_name, names)) or not all(map(is_key, one.files.values())):
            raise BenchError(f"{path}: {printable(str(names))} are no plain names with hashes")
    return found


def width_of(spec: Mapping[str, Any]) -> float:
    """Return the part of the paper's width that a training's network has."""
    return float((spec.get("denoiser") or spec["generator"]).get("scale", 1.0))


def known_sets() -> list[str]:
    """Return the names of the sets."""
    return sorted({one.set for one in entries()})


def _names(said: str) -> list[str]:
    """Return what a setting asks for, in order: `a,b` is two sets."""
    return [name for part in said.split(",") if (name := part.strip())]


def refuse_unfit(
    said: str, dataset: Mapping[str, Any], scale: float, *, setting: str = "checkpoints"
) -> None:
    """Refuse the name of a set that is none, or has no network of this data and width.

    Args:
        said: What a setting says: names of sets with commas between, "auto" or "".
        dataset: Of the run.
        scale: Width of the run's networks.
        setting: Which one says so.

    Raises:
        BenchError: Saying which sets there are, or what this one is of.
    """
    for name in _names(said):
        if name != AUTO:
            _refuse_one(name, dataset, scale, setting)


def _refuse_one(name: str, dataset: Mapping[str, Any], scale: float, setting: str) -> None:
    if name not in known_sets():
        raise unknown("set of checkpoints", name, [*known_sets(), AUTO])
    ours = [one for one in entries() if one.set == name]
    any_size = setting == BEGIN
    wanted = _data(dataset, any_size)
    if not any(_data(one.spec["dataset"], any_size) == wanted for one in ours):
        theirs = ours[0].spec["dataset"]
        raise BenchError(
            f"{setting}={name}: its networks know {_told(theirs)}, this run has "
            f"{_told(dataset)}; choose --dataset and image_size to fit, or {setting}= to train"
        )
    widths = sorted({one.width for one in ours if "recipe" in one.spec.get("denoiser", {})})
    if widths and scale not in widths:
        raise BenchError(
            f"{setting}={name}: its networks have scale {', '.join(map(str, widths))}, this run "
            f"{scale:g}; choose --set scale= to fit, or {setting}= to train"
        )


def taken(cell: Cell, said: str) -> Cell:
    """Return a training, or the cell that takes its network from a set where one fits.

    Args:
        cell: A training.
        said: Names of sets, the first that has the network gives it; "auto" for any, "" for none.
    """
    one = _fitting(cell, said)
    if one is None:
        return cell
    taken_up = {"training": one.spec["training"], CHECKPOINT: one.identity}
    return Cell("train", {**cell.spec, **taken_up})


def continued(cell: Cell, said: str) -> Cell | None:
    """Return the training that goes on from a network of a set; None where none fits.

    Its specification tells how that network came about, so that it can still be read when the
    set has another. A set that is named may know images of another size, which the specification
    tells, too: the weights of convolutions fit all.

    Args:
        cell: A training.
        said: Like that of `taken`.
    """
    one = _fitting(cell, said, any_size=True)
    if one is None:
        return None
    what = {
        **one.identity,
        "updates": one.row["updates"],
        "images_seen": one.row["images_seen"],
        "training": one.spec["training"],
    }
    if BEGUN in one.spec:
        what[BEGUN] = one.spec[BEGUN]
    if not one.fits(cell.spec):
        what["image_size"] = one.spec["dataset"]["image_size"]
    return Cell("train", {**cell.spec, BEGUN: what})


def _fitting(cell: Cell, said: str, *, any_size: bool = False) -> Shipped | None:
    """Return the network that a training is of, from the first set asked for that has it.

    Of any set, one that did not go on from another: its companions had as many updates. For
    `any_size` a set that is named, and has none of the images' size, gives one of another.
    """
    if not (names := _names(said)):
        return None
    near = [one for one in entries() if one.fits(cell.spec, any_size=any_size)]
    near.sort(key=lambda one: (not one.fits(cell.spec), BEGUN in one.spec))
    for name in names:
        for one in near:
            if name == one.set or (name == AUTO and one.fits(cell.spec)):
                return one
    return None


def entry(what: Mapping[str, Any]) -> Shipped:
    """Return the entry that a specification's `checkpoint` or `begun` names.

    Raises:
        Missing: If there is none, or it has other weights by now.
    """
    for one in entries():
        if (one.name, one.files[WEIGHTS]) == (what["name"], what["sha256"]):
            return one
    raise Missing(
        f"the checkpoint {what['name']} with sha256 {what['sha256'][:12]} is not in "
        "models/checkpoints; plan the run anew"
    )


def _checked(one: Shipped) -> Shipped:
    """Return an entry that has what is read of one.

    Raises:
        ValueError: If it has not; KeyError, TypeError likewise.
    """
    data, parts = one.spec["dataset"], [one.spec, one.files, one.row, one.made]
    network = one.spec.get("denoiser") or one.spec.get("generator")
    if not all(isinstance(part, Mapping) for part in [*parts, data, network]):
        raise TypeError("a part of an entry is no mapping")
    if not all(isinstance(text, str) for text in (one.set, one.network, *one.files.values())):
        raise TypeError("a name or hash of an entry is no text")
    absent = {"training", "seed"} - set(one.spec) | {"name", "image_size"} - set(data)
    absent |= {WEIGHTS} - set(one.files) | {"updates", "images_seen"} - set(one.row)
    if absent:
        raise KeyError(*sorted(absent))
    if not math.isfinite(one.width):
        raise ValueError("a width is no number")
    return one


def _deciding(spec: Mapping[str, Any], any_size: bool) -> dict[str, Any]:
    found = {name: value for name, value in spec.items() if name not in LIMITS}
    return {**found, "dataset": _data(spec["dataset"], any_size)}


def _data(dataset: Mapping[str, Any], any_size: bool) -> dict[str, Any]:
    return {name: value for name, value in dataset.items() if name != "image_size" or not any_size}


def _told(dataset: Mapping[str, Any]) -> str:
    return f"{printable(dataset['name'], 60)} at {dataset['image_size']}x{dataset['image_size']}"
