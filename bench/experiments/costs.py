"""The cost ledger: Table 5, and what it leaves open - block by block, batches, memory, ceilings."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells, table5
from bench.plan import Study

PAIR = ("unet", "cunet")
"""What the paper's claim is about; a call on 16 images at full width takes seconds."""
CONTINUOUS = "cunet"
"""The network whose memory for training is measured; one without an ODE has nothing to compare."""


@register(
    Kind.EXPERIMENT,
    "costs",
    source="Calvo-Ordonez et al. 2023, section 1: 'reduced memory footprint', 'faster inference'",
)
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from table5.plan(study)
    yield cells.latency(study)  # asks whether the code remembers its inputs
    for backbone in table5.TIMED:
        yield cells.books(backbone)
    yield cells.training_memory(study, CONTINUOUS)
    for batch in study.budget.costs.batches:
        if batch != study.budget.timing.batch:
            yield cells.latency_of_batch(study, PAIR, batch)
    yield cells.block_times(study, PAIR)
    yield cells.roofline(study)
