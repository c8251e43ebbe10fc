"""Speed: the same two networks on every engine, and our solver beside torchdiffeq."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.cell import EAGER
from bench.experiments import cells
from bench.experiments.costs import CONTINUOUS, PAIR
from bench.plan import Study

FOREIGN = {"solver_path": "torchdiffeq"}
"""What makes a continuous network leave its ODEs to the library, as the paper's code did."""
TABLE = "engines"


@register(
    Kind.EXPERIMENT,
    "speed",
    source="Calvo-Ordonez et al. 2023, section 4: ODE packages 'do not utilise GPU resources'",
)
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    budget = study.budget
    for batch in dict.fromkeys((budget.timing.batch, *budget.costs.batches)):
        yield engines(study, batch)
    yield cells.roofline(study)


def engines(study: Study, batch: int | str) -> Cell:
    """Return the time of a call at full width on every engine, all taking turns."""
    asked = [{"name": name} for name in study.budget.costs.engines]
    entries = [(study.network(name, 1.0), engine) for engine in asked for name in PAIR]
    entries.append((study.network(CONTINUOUS, 1.0) | FOREIGN, EAGER))
    return Cell(
        "latency",
        {
            **cells.latency_of_batch(study, PAIR, batch).spec,
            "backbone": [network for network, _ in entries],
            "engine": [engine for _, engine in entries],
            "table": TABLE,
        },
        timing=True,
    )
