"""The trainings that other cells use: networks, classic denoisers, generators, students."""

import inspect
from collections.abc import Sequence
from typing import Any

from bench.api import BenchError, Cell, Kind
from bench.built import SIZE
from bench.cell import ASSUMED as ASSUMED
from bench.errors import unknown
from bench.named_options import as_declared, named, options_of
from bench.plan import Study
from bench.registry import find
from bench.sets import continued, taken


def is_trained(name: str, kind: Kind = Kind.DENOISER) -> bool:
    """Return whether the training loop trains a plug-in: it has a loss."""
    return hasattr(find(kind, name).build, "loss")


CLASSIC, DNCNN = "classic", "dncnn"
OWN = ("updates", "batch", "learning_rate")
"""Settings that classic denoisers have of their own: `classic_updates`, `dncnn_updates`."""


def _training(study: Study, of: str = "") -> dict[str, Any]:
    """Return the training settings of diffusion networks, or of a classic denoiser of that name.

    One without settings of its own, such as a generator, has those of all classics.
    """
    settings = study.budget.train.model_dump(exclude={"begin"})
    own = {
        group: {name: settings.pop(f"{group}_{name}") for name in OWN} for group in (CLASSIC, DNCNN)
    }
    return {**settings, **own.get(of, own[CLASSIC]), "passes": 0.0} if of else settings


def train_backbone(study: Study, backbone: str) -> Cell:
    """Return the training of a diffusion network, or what takes one of a set."""
    cell = Cell(
        "train",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "training": _training(study),
            "levels": [],
            "seed": study.budget.seed,
        },
    )
    return _of_sets(cell, study)


def _of_sets(cell: Cell, study: Study) -> Cell:
    """Return a training, one that goes on from a network of a set, or what takes one."""
    budget = study.budget
    return continued(cell, budget.train.begin) or taken(cell, budget.checkpoints)


def classic(study: Study, denoiser: str) -> dict[str, Any]:
    """Return the specification of a classic denoiser; only learnt ones have a width.

    Raises:
        BenchError: If an option after its name is not known, or no sigma.
    """
    width = {"scale": study.budget.denoising.classic_scale} if is_trained(denoiser) else {}
    return {"name": _in_one_form(denoiser), **width}


def _in_one_form(text: str) -> str:
    """Return a denoiser's name with its options: two spellings of one meaning are one cell."""
    entry = find(Kind.DENOISER, text)
    name, options = options_of(text)
    parameters = inspect.signature(entry.build).parameters
    known = [option for option in parameters if option not in SIZE]
    if not is_trained(text):
        known.append(ASSUMED)
    for option in options:
        if option not in known:
            raise unknown(f"option of denoiser '{name}'", option, known)
    if ASSUMED in options:
        sigma = as_declared(options[ASSUMED], float)
        if sigma is None or sigma <= 0:
            raise BenchError(
                f"'{text}': {ASSUMED} is {options[ASSUMED]}, expected a positive number"
            )
        options[ASSUMED] = sigma
    return named(name, options)


def levels_of(study: Study, training: str, t: int) -> list[int]:
    """Return the noising steps that a classic denoiser learns at for its row at step t.

    Args:
        study: Budget and data set.
        training: "one", "level" or "blind".
        t: Of Table 4.

    Raises:
        BenchError: If there is no such training.
    """
    denoising = study.budget.denoising
    levels = {
        "one": [denoising.one_level],
        "level": [t],
        "blind": list(denoising.classic_levels),
    }
    if training not in levels:
        raise unknown("training of a classic denoiser", training, list(levels))
    return levels[training]


def train_classic(study: Study, denoiser: str, levels: Sequence[int]) -> Cell:
    """Return the training of a classic denoiser at one level, or blind over a range of them."""
    budget = study.budget
    ends = sorted({min(levels), max(levels)})
    cell = Cell(
        "train",
        {
            "denoiser": classic(study, denoiser),
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            # Named, so that the label tells one training of a network from another.
            "noise": {"name": f"t={'-'.join(map(str, ends))}"},
            "training": _training(study, options_of(denoiser)[0]),
            "levels": list(levels),
            "seed": budget.seed,
        },
    )
    return _of_sets(cell, study)


def generator(study: Study, name: str) -> dict[str, Any]:
    """Return the specification of a generator, as wide as the networks that go on from it."""
    return {"name": name, "scale": study.budget.scale}


def train_generator(study: Study, name: str) -> Cell:
    """Return the training of a generator: short, like that of a classic denoiser."""
    cell = Cell(
        "train",
        {
            "generator": generator(study, name),
            "dataset": study.dataset,
            "training": _training(study, CLASSIC),
            "levels": [],
            "seed": study.budget.seed,
        },
    )
    return _of_sets(cell, study)


def student_of(study: Study, backbone: str, steps: int) -> Cell:
    """Return the last of the distillations that end with a student of so many steps.

    Each halves the steps of the one before; the first begins with the trained network.
    """
    chain = [one for one in study.budget.samplers.distil if one >= steps]
    cell = train_backbone(study, backbone)
    for one in chain:
        cell = _distil(study, backbone, one, teacher=cell)
    return cell


def _distil(study: Study, backbone: str, steps: int, *, teacher: Cell) -> Cell:
    updates = {
        "updates": study.budget.samplers.distil_updates,
        "passes": 0.0,
        "warmup": 0,  # that of the networks may be longer than all of this
        "processes": 1,
        "validations": 0,
    }
    return Cell(
        "distil",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "distillation": {"name": study.budget.samplers.distillation},
            "training": {**_training(study), **updates},
            "steps": steps,
            "seed": study.budget.seed,
        },
        uses=(teacher,),
    )
