"""Every sampler on every backbone: distance and time against network calls."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.experiments.ways import Way, way_of
from bench.plan import Study
from bench.registry import build

STUDENT_SAMPLER = "ddim"
"""What a student of progressive distillation is trained for, and sampled with."""


@register(
    Kind.EXPERIMENT,
    "samplers",
    source="Calvo-Ordonez et al. 2023, section 1: 'compatible with existing performance "
    "enhancement techniques'",
)
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    _refuse_impossible_generators(study)
    for backbone in study.budget.backbones:
        for way in ways(study):
            yield cells.distance(
                study,
                backbone,
                way,
                blocks=study.budget.samplers.blocks,
                about={"table": "samplers"},
            )
        yield cells.cost(backbone)
    yield cells.latency(study)


def ways(study: Study) -> Iterator[Way]:
    """Yield every way in which every backbone generates images."""
    settings = study.budget.samplers
    n = settings.n_generated
    for name in settings.names:
        for steps in settings.steps:
            yield way_of(name, steps, n)
    for generator in settings.generators:
        for steps in settings.steps:
            early = way_of(settings.early_sampler, steps, n)
            yield Way(early.sampler, steps, n, early.spacing, generator, settings.early_stop)
    if build(Kind.RECIPE, study.budget.recipe).prediction != "noise":
        # A student cannot learn from a noise where all is noise (Salimans and Ho 2022, section 4).
        for steps in settings.distil:
            yield Way(STUDENT_SAMPLER, steps, n, student=steps)


def _refuse_impossible_generators(study: Study) -> None:
    """Build each generator without memory, so that a size it cannot make is named at once."""
    import torch

    with torch.device("meta"):
        for name in study.budget.samplers.generators:
            build(
                Kind.GENERATOR,
                name,
                channels=study.channels,
                image_size=study.budget.image_size,
                scale=study.budget.scale,
            )
