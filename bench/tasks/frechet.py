"""Score generated against real features: Fréchet and kernel distance, interval, floor."""

from safetensors.torch import load_file
from torch import Tensor

from bench.api import Cell, Context, Kind, Outcome, register
from bench.metrics.distances import Statistics, frechet_jackknife, kid
from bench.metrics.distances import frechet as distance
from bench.tasks.features import FEATURES


@register(Kind.TASK, "frechet", source="protocol, Distances; Heusel et al. 2017")
def frechet(cell: Cell, context: Context) -> Outcome:
    """Measure the distances of one generated set.

    The floor is what a perfect generator would score: the distance of as many real images as were
    generated, or as many as there are, from the same `n_real` others.
    """
    generated, real = (load_file(context.file(used, FEATURES))["features"] for used in cell.uses)
    blocks = cell.spec["blocks"]
    scored = real[: cell.spec["n_real"]]
    jackknife = frechet_jackknife(generated, scored, blocks)
    interval = jackknife.interval()
    kernel = kid(generated, scored, blocks)
    others, base = _for_the_floor(real, scored, len(generated))
    extractor = context.build(Kind.FEATURES)
    row = {
        "frechet": interval.value,
        "low": max(0.0, interval.low),
        "high": interval.high,
        "leave_one_out": list(jackknife.deleted),
        "kid": kernel.value,
        "kid_se": kernel.standard_error,
        "weights_sha": extractor.weights_sha,
        "resize": extractor.resize,
        "dimension": generated.shape[1],
        "n_generated": len(generated),
        "n_real": len(scored),
        "split": cell.uses[1].spec["split"],
        "floor": distance(Statistics.of(others), Statistics.of(base)),
        "floor_n": len(others),
    }
    return Outcome([row])


def _for_the_floor(real: Tensor, scored: Tensor, generated: int) -> tuple[Tensor, Tensor]:
    """Return two disjoint sets of real features; halves, where there are too few for more."""
    others = real[len(scored) :][:generated]
    if len(others) == generated:
        return others, scored
    half = len(real) // 2
    return real[:half], real[half : 2 * half]
