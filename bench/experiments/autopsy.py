"""The images of Tables 1, 2 and 4 scored by other protocols: what moves a number how far."""

from collections.abc import Iterator, Sequence
from typing import Any

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.experiments.ways import way_of
from bench.plan import Study

CLASSIC = "bm3d-torch"
TOLD = "assumed_sigma=0.05"
OTHER_SCHEDULE = "linear"
"""On which a wrong sigma gives the paper's values of BM3D."""


@register(Kind.EXPERIMENT, "autopsy", source="Calvo-Ordonez et al. 2023, Tables 1, 2, 4; protocol")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study)
    for t in study.budget.autopsy.levels:
        for backbone in study.budget.backbones:
            yield restored(study, backbone, t)
        yield classic(study, t)
    for backbone in study.budget.backbones:
        for steps in study.budget.autopsy.steps:
            # Table 1's own distance, beside which the others stand.
            yield cells.frechet(study, backbone, steps)
            for features in _extractors(study):
                yield distance(study, backbone, steps, features)


def _extractors(study: Study) -> list[str]:
    return list(dict.fromkeys((study.budget.generation.features, *study.budget.autopsy.features)))


def restored(study: Study, backbone: str, t: int) -> Cell:
    """Return the scores of what a network made of images noised to step t."""
    return _scored(study, [cells.restore(study, backbone, t)], [[]])


def classic(study: Study, t: int) -> Cell:
    """Return the scores of what BM3D made of them: on two schedules, told sigma or a wrong one."""
    told = {(): CLASSIC, ("told sigma",): f"{CLASSIC}+{TOLD}"}
    schedules = {(): "", ("schedule",): OTHER_SCHEDULE}
    if study.budget.schedule == OTHER_SCHEDULE:
        schedules.popitem()
    made = {
        (*noise, *how): cells.denoise(study, name, t, schedule=schedule)
        for noise, schedule in schedules.items()
        for how, name in told.items()
    }
    return _scored(study, list(made.values()), [list(names) for names in made])


def _scored(study: Study, used: Sequence[Cell], otherwise: list[list[str]]) -> Cell:
    first = used[0].spec
    about = {name: first[name] for name in ("denoiser", "dataset", "schedule", "t")}
    return Cell("autopsy", {**about, **_sized(study), "otherwise": otherwise}, uses=tuple(used))


def _sized(study: Study) -> dict[str, Any]:
    return {"micro_batch": study.budget.micro_batch, "seed": study.budget.seed}


def distance(study: Study, backbone: str, steps: int, features: str) -> Cell:
    """Return the distances of a network's images by one extractor."""
    budget = study.budget
    generation = budget.generation
    there = cells.looked_at_by(features, study)
    way = way_of(generation.sampler, steps, generation.n_generated)
    extractor = {"features": {"name": features}}
    generated = Cell(
        "features",
        {**extractor, "micro_batch": budget.micro_batch},
        uses=(way.images(study, backbone),),
    )
    return Cell(
        "autopsy_distance",
        {
            "denoiser": study.diffusion(backbone),
            "dataset": study.dataset,
            "sampler": {"name": generation.sampler},
            **extractor,
            "steps": steps,
            "blocks": generation.blocks,
        },
        uses=(generated, *(cells.real_features(there, split) for split in ("train", "test"))),
    )
