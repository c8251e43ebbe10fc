"""Score generated against real features: Fréchet and kernel distance, interval, floor."""

import torch
from safetensors.torch import load_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.metrics.distances import floor, frechet_jackknife, kid
from bench.tasks.features import FEATURES


@register(Kind.TASK, "frechet", source="protocol, Distances; Heusel et al. 2017")
def frechet(cell: Cell, context: Context) -> Outcome:
    """Measure the distances of one generated set.

    The floor is the distance of two disjoint halves of the real images, as large as they can be.
    """
    generated, real = (load_file(context.file(used, FEATURES))["features"] for used in cell.uses)
    blocks = cell.spec["blocks"]
    scored = real[: cell.spec["n_real"]]
    jackknife = frechet_jackknife(generated, scored, blocks)
    interval = jackknife.interval()
    kernel = kid(generated, scored, blocks)
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
        "floor": floor(real, blocks=blocks).value,
        "floor_n": len(real) // 2,
        "spread_real": float(torch.var(scored.double(), dim=0).sum()),
    }
    return Outcome([row])
