"""What the pictures need beside the tables: the noise ladder, and all that they draw."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells, restorations, table1, table2, table4, table5
from bench.plan import Study


@register(Kind.EXPERIMENT, "figures", source="Calvo-Ordonez et al. 2023, Figures 3 to 6, 10 and 11")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    yield cells.ladder(study)
    for table in (table1, table2, table4, table5):
        for cell in table.plan(study):
            yield cell
            if restorations.is_compared(cell, study.budget.denoising.trainings):
                yield restorations.perception(study, cell)
