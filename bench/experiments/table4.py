"""Classic denoisers and both diffusion models at three noise levels."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.plan import Study


@register(Kind.EXPERIMENT, "table4", source="Calvo-Ordonez et al. 2023, Table 4")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study)
    for t in study.budget.denoising.classic_levels:
        for denoiser in study.budget.denoising.classics:
            yield cells.denoise(study, denoiser, t)
        for backbone in study.budget.backbones:
            yield cells.restore(study, backbone, t)
