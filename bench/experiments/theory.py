"""Every proposition and equation of Section 3 that can be checked by computing."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import (
    cells,
    theory_convergence,
    theory_posterior,
    theory_robustness,
    theory_solvers,
)
from bench.plan import Study


@register(Kind.EXPERIMENT, "theory", source="Calvo-Ordonez et al. 2023, sections 3.1, 3.3 and 4.2")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    for name in study.budget.theory.checks:
        yield Cell(
            "theory",
            {
                "check": {"name": name},
                "effort": study.budget.theory.effort,
                "seed": study.budget.seed,
            },
        )
    yield from theory_posterior.cells(study)
    yield from theory_robustness.cells(study)
    yield from theory_convergence.cells(study)
    yield from theory_solvers.cells(study)
