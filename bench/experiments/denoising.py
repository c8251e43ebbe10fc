"""The whole denoising study: Tables 2, 3 and 4, every training, and what explains the paper."""

from collections.abc import Iterator
from typing import get_args

from bench.api import Cell, Kind, register
from bench.experiments import cells, restorations, table2, table3, table4
from bench.plan import Study
from bench.settings import Learning

EXPLAINED = "linear"
"""The schedule on which a wrong sigma gives the paper's values of BM3D."""
WRONG = ("identity", "bm3d-torch+assumed_sigma=0.05")
"""BM3D told a sigma that is too small, and the noisy images beside it."""
TRAININGS = get_args(Learning)


@register(Kind.EXPERIMENT, "denoising", source="Calvo-Ordonez et al. 2023, section 4.2; protocol")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment.

    Classic denoisers that learn are trained in all three ways, whatever `denoising.trainings` is.
    """
    yield from cells.canaries(study)
    yield cells.ladder(study)
    for cell in _tables(study):
        yield cell
        if restorations.is_compared(cell, TRAININGS):
            yield restorations.perception(study, cell)
    yield from _explaining(study)


def _tables(study: Study) -> Iterator[Cell]:
    yield from table2.plan(study)
    yield from table3.plan(study)
    yield from table4.compared(study, TRAININGS)


def _explaining(study: Study) -> Iterator[Cell]:
    """Yield what may explain the paper's BM3D: another schedule, and a sigma that is too small."""
    for t in study.budget.denoising.classic_levels:
        for denoiser in WRONG:
            yield cells.denoise(study, denoiser, t, schedule=EXPLAINED)
