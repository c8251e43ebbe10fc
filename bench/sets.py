"""What a run takes of the sets of trained networks (`bench.shipped`), by the names that it says."""

from collections.abc import Mapping
from typing import Any

from bench import shipped
from bench.api import BenchError, Cell, Kind
from bench.errors import unknown
from bench.inputs import printable
from bench.shipped import AUTO, BEGUN, CHECKPOINT, INDEX, OWN, Shipped, data_of, entries

BEGIN = "train.begin"
"""The setting that names what to go on from: a set of other sizes will do."""


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
        raise _unknown(name)
    ours = [one for one in entries() if one.set == name]
    any_size = setting == BEGIN
    wanted = data_of(dataset, any_size)
    fit = [one for one in ours if data_of(one.spec["dataset"], any_size) == wanted]
    if not fit:
        theirs = ", ".join(sorted({_told(one.spec["dataset"]) for one in ours}))
        raise BenchError(
            f"{setting}={name}: its networks know {theirs}, this run has "
            f"{_told(dataset)}; choose --dataset and image_size to fit, or {setting}= to train"
        )
    widths = sorted({one.width for one in fit if "recipe" in one.spec.get("denoiser", {})})
    if widths and scale not in widths:
        raise BenchError(
            f"{setting}={name}: its networks have scale {', '.join(map(str, widths))}, this run "
            f"{scale:g}; choose --set scale= to fit, or {setting}= to train"
        )


def _unknown(name: str) -> BenchError:
    """Return the error for a set that is none; it names a folder of one's own that has no sets."""
    error = unknown("set of checkpoints", name, [*known_sets(), AUTO])
    own = shipped.home()
    if own == shipped.FOLDER or (own / INDEX).is_file():
        return error
    return BenchError(f"{error}; {OWN}={printable(own)} has no {INDEX}: no set was shipped there")


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
    tells, too: the weights of convolutions fit all. Those of a generator need not.

    Args:
        cell: A training.
        said: Like that of `taken`.
    """
    one = _fitting(cell, said, any_size=Kind.GENERATOR not in cell.spec)
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


def _told(dataset: Mapping[str, Any]) -> str:
    return f"{printable(dataset['name'], 60)} at {dataset['image_size']}x{dataset['image_size']}"
