"""Step and time at which the reverse process is at its best."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells, restorations
from bench.plan import Study


@register(Kind.EXPERIMENT, "table3", source="Calvo-Ordonez et al. 2023, Table 3")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    yield from restorations.step_by_step(study)
    for backbone in study.budget.backbones:
        yield restorations.notebook(study, backbone)
    yield cells.latency(study)
