"""Parameters, multiply-adds, checkpoint size: always at full width, 3x64x64."""

from collections.abc import Iterator

from bench.api import Cell, Kind, register
from bench.experiments import cells
from bench.plan import Study

NETWORKS = (
    "unet",
    "unet-ho2020",
    "cunet",
    "cunet-no-attention",
    "cunet-no-residual",
    "cunet-no-attention-no-residual",
    "cunet-no-skip",
    "cunet-released",
    "cunet-released-a5",
    "cunet-released-a5-groupnorm",
    "cunet-released-no-attention",
    "cunet-released-no-residual",
    "cunet-released-no-attention-no-residual",
)
TIMED = ("unet", "cunet", "cunet-released")


@register(Kind.EXPERIMENT, "table5", source="Calvo-Ordonez et al. 2023, Table 5 and Figure 6")
def plan(study: Study) -> Iterator[Cell]:
    """Yield the cells of this experiment."""
    yield from cells.canaries(study, timing=True)
    for backbone in dict.fromkeys((*NETWORKS, *study.budget.backbones)):
        yield cells.cost(backbone)
    yield cells.full_width_latency(study, TIMED)
