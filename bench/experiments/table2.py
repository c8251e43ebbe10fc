"""Best SSIM and LPIPS of the reverse process against noising steps."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells, restorations
from bench.plan import Study


@register(Kind.EXPERIMENT, "table2", source="Calvo-Ordonez et al. 2023, Table 2")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study)
    yield from restorations.step_by_step(study)
    for backbone in study.budget.backbones:
        yield restorations.notebook(study, backbone)
