"""Step and time at which the reverse process is at its best."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.plan import Study


@register(Kind.EXPERIMENT, "table3", source="Calvo-Ordonez et al. 2023, Table 3")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    for t in study.budget.denoising.levels:
        for backbone in study.budget.backbones:
            yield cells.restore(study, backbone, t)
    yield cells.latency(study)
