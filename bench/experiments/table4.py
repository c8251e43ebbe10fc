"""Classic denoisers and both diffusion models at three noise levels."""

from collections.abc import Iterable, Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.plan import Study


@register(Kind.EXPERIMENT, "table4", source="Calvo-Ordonez et al. 2023, Table 4")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study)
    yield from compared(study, study.budget.denoising.trainings)


def compared(study: Study, trainings: Iterable[str]) -> Iterator[Cell]:
    """Yield what Table 4 compares, with these trainings of the classic denoisers that learn."""
    for t in study.budget.denoising.classic_levels:
        yield from cells.denoised(study, t, trainings)
        for backbone in study.budget.backbones:
            yield cells.restore(study, backbone, t)
