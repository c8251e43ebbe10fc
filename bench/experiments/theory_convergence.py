"""Which network converges faster: many small trainings of two networks, looked at on the way."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bench.api import Cell
from bench.experiments.cells import real_features
from bench.experiments.trained import train_backbone
from bench.plan import Study
from bench.possible import SPACING, spaced

PAIR = ("unet", "cunet")
FRACTIONS = (0.3, 0.5, 0.7, 1.0)
"""Of the updates, after which images are made: between them distances are interpolated."""
LOOKS = 10
"""Times that the held-out error is measured in a training."""
AT_ONCE = 64
"""Images per network call: they are small."""


def cells(study: Study) -> Iterator[Cell]:
    """Yield a training per network and seed, and what an update of either costs."""
    names = pair_of(study.budget.backbones)
    if not names:
        return
    small = small_study(study)
    for repeat in range(study.budget.theory.seeds):
        for name in names:
            yield convergence(small, name, repeat)
    yield pace(small, names)


def pair_of(backbones: tuple[str, ...]) -> tuple[str, ...]:
    """Return the two networks that are compared, none where there are no two."""
    names = PAIR if set(PAIR) <= set(backbones) else tuple(dict.fromkeys(backbones))[:2]
    return names if len(names) == 2 else ()


def small_study(study: Study) -> Study:
    """Return the study with the networks and trainings that are for these checks alone.

    The learning rate does not fall, so that a training holds all shorter ones.
    """
    budget, theory = study.budget, study.budget.theory
    train = budget.train.model_copy(
        update={
            "updates": theory.updates,
            "batch": theory.batch,
            "learning_rate": theory.learning_rate,
            "decay": "none",
            "passes": 0.0,
            "warmup": 0,
            "processes": 1,
            "accumulate": 1,
            "validations": LOOKS,
            "begin": "",
            "precision": "float32",  # as updates are timed
        }
    )
    size = {"scale": theory.scale, "image_size": theory.image_size}
    # All begin anew: how fast a network learns is the question.
    learnt = {"train": train, "checkpoints": ""}
    dataset = {**study.dataset, "image_size": theory.image_size}
    return replace(study, budget=budget.model_copy(update=size | learnt), dataset=dataset)


def convergence(small: Study, backbone: str, repeat: int) -> Cell:
    """Return one training of a network, looked at on the way.

    Args:
        small: As `small_study` returns it.
        backbone: The network.
        repeat: Number of the training, from 0; decides its seed, which both networks share.
    """
    budget = small.budget
    sampler, spacing = spaced(budget.generation.sampler)
    return Cell(
        "convergence",
        {
            **_training(small, backbone),
            "sampler": {"name": sampler},
            SPACING: spacing,
            "features": {"name": budget.generation.features},
            # Named, so that the label tells one training of a network from another.
            "repeat": {"name": f"training {repeat + 1}"},
            "fractions": list(FRACTIONS),
            "sampling_steps": list(budget.theory.steps),
            "n": budget.theory.n_images,
            "n_generated": budget.theory.n_generated,
            "n_real": budget.generation.n_real,
            "micro_batch": min(AT_ONCE, budget.theory.n_generated),
            "seed": budget.seed + repeat,
        },
        uses=(real_features(small),),
    )


def pace(small: Study, backbones: tuple[str, ...]) -> Cell:
    """Return what a training update of each network costs."""
    timing = small.budget.timing
    spec = _training(small, backbones[0])
    return Cell(
        "training_pace",
        {
            "backbone": [small.network(name) for name in backbones],
            "recipe": {"name": small.budget.recipe},
            "dataset": spec["dataset"],
            "training": spec["training"],
            "threads": timing.threads,
            "repeats": timing.repeats,
            "warmup": timing.warmup,
            "most_s": timing.most_s,
            "seed": small.budget.seed,
        },
        timing=True,
    )


def _training(small: Study, backbone: str) -> dict[str, Any]:
    """Return what is said of a training, but for the levels: diffusion learns all."""
    spec = dict(train_backbone(small, backbone).spec)
    del spec["levels"]
    return spec
