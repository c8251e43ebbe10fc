"""The cells that several experiments share, each made in one place so that equal work is one cell.

Graph: train -> sample -> features -> frechet; train -> restore, denoise; judge, sample -> judged;
latency and cost apart.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bench.api import Cell, Kind
from bench.experiments.noised import denoise as denoise
from bench.experiments.noised import denoised as denoised
from bench.experiments.noised import one_step as one_step
from bench.experiments.trained import train_backbone
from bench.experiments.ways import Way, way_of
from bench.plan import Study
from bench.registry import build

NOTHING: Mapping[str, Any] = MappingProxyType({})

NARROW = 0.25
"""Width of the network whose memory for training is measured."""

TESTED = {
    "solver": ("euler", "midpoint", "rk4", "rk4-classic"),
    "schedule": ("linear", "cosine", "sigmoid"),
}
"""The plug-ins whose known answers are measured in every run."""


def canaries(study: Study, *, timing: bool = False) -> Iterator[Cell]:
    """Yield what every experiment begins with: known answers, and the stopwatch's where it times.

    They are the same for every study, so that a store measures them once.
    """
    tested = {kind: [{"name": name} for name in names] for kind, names in TESTED.items()}
    yield Cell("canary", {"canaries": {"name": "quality"}, **tested})
    if timing:
        threads = study.budget.timing.threads
        yield Cell("canary", {"canaries": {"name": "timing"}, "threads": threads}, timing=True)


def looked_at_by(features: str, study: Study) -> Study:
    """Return the study with that feature extractor."""
    generation = study.budget.generation.model_copy(update={"features": features})
    return replace(study, budget=study.budget.model_copy(update={"generation": generation}))


def real_features(study: Study, split: str = "train") -> Cell:
    """Return the features of real images.

    Of those that may have been trained on, twice `n_real` where there are as many (for the floor);
    of held-out ones, `n_real`.
    """
    budget = study.budget
    return Cell(
        "features",
        {
            "features": {"name": budget.generation.features},
            "dataset": study.dataset,
            "split": split,
            "n": budget.generation.n_real * (2 if split == "train" else 1),
            "micro_batch": budget.micro_batch,
        },
    )


def distance(
    study: Study, backbone: str, way: Way, *, blocks: int, about: Mapping[str, Any] = NOTHING
) -> Cell:
    """Return the distances between a generated set and real images, known and held out.

    Args:
        study: Budget and data set.
        backbone: The network that generates.
        way: How.
        blocks: Of the jackknife.
        about: What else its rows say, such as the table that they are for.
    """
    budget = study.budget
    images = way.images(study, backbone)
    features = {"features": {"name": budget.generation.features}}
    generated = Cell("features", {**features, "micro_batch": budget.micro_batch}, uses=(images,))
    return Cell(
        "frechet",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            **way.about(study),
            **features,
            "steps": way.steps,
            "n_real": budget.generation.n_real,
            "blocks": blocks,
            **about,
        },
        uses=(generated, real_features(study), real_features(study, "test"), images),
    )


def frechet(study: Study, backbone: str, steps: int) -> Cell:
    """Return Table 1's distances after so many steps."""
    generation = study.budget.generation
    way = way_of(generation.sampler, steps, generation.n_generated)
    return distance(study, backbone, way, blocks=generation.blocks)


def judge(study: Study) -> Cell | None:
    """Return the training of a classifier on the study's labels; None where it has none."""
    built = build(Kind.DATASET, study.dataset["name"], image_size=study.dataset["image_size"])
    if not hasattr(built, "labels_manifest"):
        return None
    return Cell("judge", {"dataset": study.dataset, "labels": dict(built.labels_manifest())})


def judged(study: Study, backbone: str, steps: int) -> Iterator[Cell]:
    """Yield which classes the images of Table 1 show; nothing for data without labels."""
    teacher, generation = judge(study), study.budget.generation
    if teacher is None:
        return
    way = way_of(generation.sampler, steps, generation.n_generated)
    yield Cell(
        "judged",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            **way.about(study),
            "steps": steps,
        },
        uses=(teacher, way.images(study, backbone)),
    )


def _timing(study: Study) -> dict[str, object]:
    """Return how a call is timed, and what runs it."""
    timing = study.budget.timing
    return {**timing.model_dump(), "engine": {"name": timing.engine}}


def latency(study: Study) -> Cell:
    """Return the time of one network call of every backbone, in the size of this study."""
    budget = study.budget
    return Cell(
        "latency",
        {
            "backbone": [study.network(name) for name in budget.backbones],
            "channels": study.channels,
            "image_size": budget.image_size,
            **_timing(study),
        },
        timing=True,
    )


def full_width_latency(study: Study, backbones: tuple[str, ...]) -> Cell:
    """Return the time of one network call at full width, 3x64x64, as the paper timed it."""
    return Cell(
        "latency",
        {
            "backbone": [study.network(name, 1.0) for name in backbones],
            "channels": 3,
            "image_size": 64,
            **_timing(study),
            # Whether the code remembers its inputs is asked in the size of the study (`latency`).
            "repeat_inputs": False,
        },
        timing=True,
    )


def latency_of_batch(study: Study, backbones: tuple[str, ...], batch: int | str) -> Cell:
    """Return the time of one network call at full width on so many images at once."""
    costs = study.budget.costs
    return Cell(
        "latency",
        {
            **full_width_latency(study, backbones).spec,
            "batch": batch,
            "repeats": costs.repeats,
            "warmup": 1,
            "most_s": costs.most_s,
        },
        timing=True,
    )


def block_times(study: Study, backbones: tuple[str, ...]) -> Cell:
    """Return the time of every part of some networks at full width, 3x64x64, batch 1."""
    return Cell(
        "block_times",
        {
            "backbone": [study.network(name, 1.0) for name in backbones],
            "channels": 3,
            "image_size": 64,
            "batch": 1,
            "threads": study.budget.timing.threads,
            "repeats": study.budget.costs.repeats,
            "warmup": 1,
        },
        timing=True,
    )


def roofline(study: Study) -> Cell:
    """Return what this machine can do at most."""
    spec = {
        "threads": study.budget.timing.threads,
        "repeats": study.budget.costs.ceiling_repeats,
    }
    return Cell("roofline", spec, timing=True)


def restore(study: Study, backbone: str, t: int, *, clipped: bool = False) -> Cell:
    """Return the step-by-step restoration of images noised to step t.

    Args:
        study: Budget and data set.
        backbone: The network.
        t: Noising step.
        clipped: Whether it begins with the noisy images clipped to [0, 1].
    """
    budget = study.budget
    return Cell(
        "restore",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            "t": t,
            "stride": budget.denoising.stride,
            "n": budget.denoising.n_images,
            "micro_batch": budget.micro_batch,
            "seed": budget.seed,
            **({"clipped": {"name": "clipped"}} if clipped else {}),
        },
        uses=(train_backbone(study, backbone),),
    )


def ladder(study: Study) -> Cell:
    """Return the same images at every noise level (Figure 4)."""
    budget = study.budget
    return Cell(
        "ladder",
        {
            "dataset": study.dataset,
            "schedule": {"name": budget.schedule},
            "levels": list(budget.denoising.levels),
            "n": 4,
            "seed": budget.seed,
        },
    )


def cost(backbone: str, channels: int = 3, image_size: int = 64) -> Cell:
    """Return what a backbone costs at full width; Table 5's input is 3x64x64, batch 1."""
    return Cell(
        "cost",
        {
            "backbone": {"name": backbone, "scale": 1.0},
            "channels": channels,
            "image_size": image_size,
        },
    )


def books(backbone: str) -> Cell:
    """Return what every part of a backbone costs at full width, 3x64x64, batch 1."""
    return Cell("books", dict(cost(backbone).spec))


def training_memory(study: Study, backbone: str) -> Cell:
    """Return what a training step keeps in memory; narrow, as only its growth matters."""
    return Cell(
        "training_memory",
        {
            "backbone": study.network(backbone, NARROW),
            "channels": 3,
            "image_size": 32,
            "batch": 1,
            "solver_steps": list(study.budget.costs.solver_steps),
        },
    )
