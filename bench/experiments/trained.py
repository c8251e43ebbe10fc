"""The trainings that other cells use: networks, classic denoisers, generators, students."""

from typing import Any

from bench.api import Cell, Kind
from bench.plan import Study
from bench.registry import find

DISTILLATION = "progressive"


def is_trained(name: str, kind: Kind = Kind.DENOISER) -> bool:
    """Return whether the training loop trains a plug-in: it has a loss."""
    return hasattr(find(kind, name).build, "loss")


def _training(study: Study, *, classic: bool) -> dict[str, Any]:
    """Return the training settings of diffusion networks, or of classic denoisers."""
    settings = study.budget.train.model_dump()
    own = {name: settings.pop(f"classic_{name}") for name in ("updates", "batch", "learning_rate")}
    return {**settings, **own, "passes": 0.0} if classic else settings


def train_backbone(study: Study, backbone: str) -> Cell:
    """Return the training of a diffusion network."""
    return Cell(
        "train",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "training": _training(study, classic=False),
            "levels": [],
            "seed": study.budget.seed,
        },
    )


def classic(study: Study, denoiser: str) -> dict[str, Any]:
    """Return the specification of a classic denoiser; only learnt ones have a width."""
    width = {"scale": study.budget.denoising.classic_scale} if is_trained(denoiser) else {}
    return {"name": denoiser, **width}


def train_classic(study: Study, denoiser: str) -> Cell:
    """Return the blind training of a classic denoiser over Table 4's range of levels."""
    budget = study.budget
    return Cell(
        "train",
        {
            "denoiser": classic(study, denoiser),
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            "training": _training(study, classic=True),
            "levels": list(budget.denoising.classic_levels),
            "seed": budget.seed,
        },
    )


def generator(study: Study, name: str) -> dict[str, Any]:
    """Return the specification of a generator, as wide as the networks that go on from it."""
    return {"name": name, "scale": study.budget.scale}


def train_generator(study: Study, name: str) -> Cell:
    """Return the training of a generator: short, like that of a classic denoiser."""
    return Cell(
        "train",
        {
            "generator": generator(study, name),
            "dataset": study.dataset,
            "training": _training(study, classic=True),
            "levels": [],
            "seed": study.budget.seed,
        },
    )


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
            "distillation": {"name": "progressive"},
            "training": {**_training(study, classic=False), **updates},
            "steps": steps,
            "seed": study.budget.seed,
        },
        uses=(teacher,),
    )
