"""Equation 15: the trained network as posterior mean, and the detail that it loses."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bench.api import Cell
from bench.budget import Budget
from bench.experiments.trained import classic, levels_of, train_backbone, train_classic
from bench.plan import Study

CLASSIC = "dncnn"
"""The network beside the diffusion's: it learns with the same loss, and is not told sigma."""
MIXTURE = "gaussian"
"""The data set whose posterior is known."""
SHORTER = 4
"""A training is also made with so many times fewer updates."""


def cells(study: Study) -> Iterator[Cell]:
    """Yield the cells of both questions."""
    small = on_mixture(study)
    whole = study.budget.theory.updates
    for name in (*study.budget.backbones, CLASSIC):
        for updates in dict.fromkeys((0, whole // SHORTER, whole)):
            yield posterior(small, name, updates)
        cell = smoothing(study, name)
        if cell is not None:
            yield cell


def on_mixture(study: Study) -> Study:
    """Return the study of the small networks that learn the mixture."""
    theory = study.budget.theory
    how = {"batch": theory.batch, "learning_rate": theory.learning_rate}
    train = {
        **how,
        **{f"{CLASSIC}_{name}": value for name, value in how.items()},
        "passes": 0.0,
        "warmup": 0,  # that of the networks may be longer than all of this
        "validations": 0,
        "accumulate": 1,
        "processes": 1,
    }
    budget = study.budget.model_copy(
        update={
            "scale": theory.scale,
            "image_size": theory.image_size,
            "train": study.budget.train.model_copy(update=train),
            "denoising": study.budget.denoising.model_copy(update={"classic_scale": theory.scale}),
        }
    )
    dataset = {"name": MIXTURE, "image_size": theory.image_size}
    return Study(budget, dataset, channels=1)


def posterior(study: Study, name: str, updates: int) -> Cell:
    """Return what a network that learnt so many updates makes of the mixture.

    Args:
        study: That of `on_mixture`.
        name: A backbone, or `CLASSIC`.
        updates: 0 is the network before it learnt anything.
    """
    levels = list(dict.fromkeys(_asked(study.budget)))
    uses: tuple[Cell, ...] = ()
    length = {"name": f"{updates} updates"}
    if updates:
        train = {"updates": updates, f"{CLASSIC}_updates": updates}
        shorter = study.budget.train.model_copy(update=train)
        study = replace(study, budget=study.budget.model_copy(update={"train": shorter}))
        classical = name == CLASSIC
        cell = train_classic(study, name, levels) if classical else train_backbone(study, name)
        # Named, so that the label tells one training of a network from another.
        uses = (replace(cell, spec={**cell.spec, "length": length}),)
    return Cell(
        "posterior", {**_measured(study, name), "updates": updates, "length": length}, uses=uses
    )


def smoothing(study: Study, name: str) -> Cell | None:
    """Return how much detail a network of the study loses.

    One that learnt some levels alone is asked about those within their range; None where there is
    none.
    """
    budget, spec = study.budget, _measured(study, name)
    if name == CLASSIC:
        learnt = levels_of(study, "blind", budget.theory.sampled_level)
        known = [t for t in _asked(budget) if min(learnt) <= t <= max(learnt)]
        spec["levels"] = [t for t in spec["levels"] if t in known]
        spec["sampled"] = spec["sampled"] if spec["sampled"] in known else None
        if not known:
            return None
        return Cell("smoothing", spec, uses=(train_classic(study, name, learnt),))
    return Cell("smoothing", spec, uses=(train_backbone(study, name),))


def _asked(budget: Budget) -> list[int]:
    return [*budget.theory.levels, budget.theory.sampled_level]


def _measured(study: Study, name: str) -> dict[str, Any]:
    budget = study.budget
    backbone = name != CLASSIC
    return {
        "denoiser": study.diffusion(name) if backbone else classic(study, CLASSIC),
        "dataset": study.dataset,
        "schedule": {"name": budget.schedule},
        "levels": list(budget.theory.levels),
        "sampled": budget.theory.sampled_level,
        "stride": budget.theory.stride,
        "n": budget.theory.n_images,
        "micro_batch": budget.micro_batch,
        "seed": budget.seed,
    }
