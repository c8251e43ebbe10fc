"""Best SSIM and LPIPS of the reverse process against noising steps."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.plan import Study


@register(Kind.EXPERIMENT, "table2", source="Calvo-Ordonez et al. 2023, Table 2")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study)
    for t in study.budget.denoising.levels:
        for backbone in study.budget.backbones:
            yield cells.restore(study, backbone, t)
