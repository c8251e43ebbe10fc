"""Trained networks that come with the package, or that lie in a folder of one's own.

    models/checkpoints/index.json                     what there is, with hashes
    models/checkpoints/<set>/<network>/weights.safetensors, curve.csv, validation.csv, card.md

An entry is the training that made it: the specification of its cell, its row, its machine. A run
takes it where it wants the same network on the same data with the same seed (`checkpoints` in the
settings); how long it was trained is then the entry's and not the run's. Reading the index needs
no torch. `bench ship` writes it. The folder that `BENCH_CHECKPOINT_DIR` names is laid out alike.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api import BenchError, Missing
from bench.assets import home_expanded
from bench.disk import file_sha
from bench.inputs import printable
from bench.record import is_key, is_plain_name
from bench.registry import HOME

FOLDER = HOME / "models" / "checkpoints"
OWN = "BENCH_CHECKPOINT_DIR"
"""Names a folder of sets beside those of the package."""
INDEX = "index.json"
WEIGHTS = "weights.safetensors"
AUTO = "auto"
"""Takes whatever fits: no set can have this name."""
CHECKPOINT = "checkpoint"
"""The part of a training cell's specification that says what is taken in place of training."""
BEGUN = "begun"
"""The part that says which network a training goes on from, and what that one had learnt."""
DATA = "data"
"""The part of what an entry was made with that identifies its images: their manifest."""
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
    home: Path
    """The folder of its set, and of the index that lists it."""

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
        return self.home / self.set / self.network

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
            restore = "restore it with git" if self.home == FOLDER else "ship it anew"
            raise Missing(
                f"{printable(path)} is missing or not what {INDEX} beside its set describes; "
                f"{restore}, or train: --set checkpoints="
            )
        return path

    def fits(self, spec: Mapping[str, Any], *, any_size: bool = False) -> bool:
        """Return whether it is the network that a training's specification asks for.

        Args:
            spec: Of the training.
            any_size: Whether it may know images of another size.
        """
        return _deciding(self.spec, any_size) == _deciding(spec, any_size)


def home() -> Path:
    """Return the folder that `bench ship` writes to: one's own where the environment names it.

    Raises:
        BenchError: If it names a file, or a person that this machine does not know.
    """
    own = os.environ.get(OWN)
    if not own:
        return FOLDER
    folder = home_expanded(own).resolve()
    if folder.is_file():
        raise BenchError(f"{OWN}={printable(folder)} is a file, expected a folder; name another")
    return FOLDER if folder == FOLDER.resolve() else folder


def entries() -> tuple[Shipped, ...]:
    """Return the networks of the package, then one's own; none where there is no index.

    Raises:
        BenchError: If an index cannot be read or is none, or a set of one's own has the name of
            one of the package.
    """
    package = listed(FOLDER)
    if (folder := home()) == FOLDER:
        return package
    own = listed(folder)
    if twice := {one.set for one in package} & {one.set for one in own}:
        raise BenchError(
            f"the set {', '.join(sorted(twice))} in {OWN}={printable(folder)} has the name of one "
            "of the package; ship its run under another name, then remove its folder"
        )
    return package + own


def listed(folder: Path) -> tuple[Shipped, ...]:
    """Return the networks that the index of a folder lists; none where it has none.

    Nor those of one's own whose folder somebody removed; the package's are under version control.

    Raises:
        BenchError: If the index cannot be read or is none.
    """
    path = folder / INDEX
    try:
        lines = json.loads(path.read_bytes())["networks"]
        found = tuple(_checked(Shipped(**one, home=folder)) for one in lines)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BenchError(f"{path} is no index of checkpoints ({error}); restore it") from error
    for one in found:
        names = (one.set, one.network, *one.files)
        if not all(map(is_plain_name, names)) or not all(map(is_key, one.files.values())):
            raise BenchError(f"{path}: {printable(str(names))} are no plain names with hashes")
    return tuple(one for one in found if folder == FOLDER or one.folder.is_dir())


def width_of(spec: Mapping[str, Any]) -> float:
    """Return the part of the paper's width that a training's network has."""
    return float((spec.get("denoiser") or spec["generator"]).get("scale", 1.0))


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
        f"models/checkpoints or {OWN}; plan the run anew"
    )


def _checked(one: Shipped) -> Shipped:
    """Return an entry that has what is read of one.

    Raises:
        ValueError: If it has not; KeyError, TypeError likewise.
    """
    data, parts = one.spec["dataset"], [one.spec, one.files, one.row, one.made]
    parts.append(one.made.get(DATA, {}))
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


def data_of(dataset: Mapping[str, Any], any_size: bool) -> dict[str, Any]:
    """Return what decides whether a network knows a data set: not its size where any will do."""
    return {name: value for name, value in dataset.items() if name != "image_size" or not any_size}


def _deciding(spec: Mapping[str, Any], any_size: bool) -> dict[str, Any]:
    found = {name: value for name, value in spec.items() if name not in LIMITS}
    return {**found, "dataset": data_of(spec["dataset"], any_size)}
