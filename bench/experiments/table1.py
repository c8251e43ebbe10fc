"""Fréchet distance against sampling steps, best step, classes shown, time per sample."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.plan import Study


@register(Kind.EXPERIMENT, "table1", source="Calvo-Ordonez et al. 2023, Table 1")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    budget = study.budget
    generation = budget.generation
    extractors = dict.fromkeys((generation.features, *generation.more_features))
    for backbone in budget.backbones:
        for steps in generation.steps:
            for features in extractors:
                yield cells.frechet(cells.looked_at_by(features, study), backbone, steps)
            yield from cells.judged(study, backbone, steps)
    yield cells.latency(study)
