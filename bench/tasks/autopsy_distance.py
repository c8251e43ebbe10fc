"""The same generated images at other distances: features, real images, and their number."""

from safetensors.torch import load_file
from torch import Tensor

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.metrics.distances import frechet_jackknife
from bench.metrics.extrapolation import frechet_at_infinity
from bench.statistics import Jackknife
from bench.tasks.features import FEATURES

HELD_OUT, ENDLESS = "real images", "N"


@register(Kind.TASK, "autopsy_distance", source="own; protocol, Gap autopsy")
def autopsy_distance(cell: Cell, context: Context) -> Outcome:
    """Measure the Fréchet distance against either split, as it is and at N to infinity.

    The cell uses the features, by one extractor, of generated images, of training images and of
    held-out ones. Both splits are cut to the smaller number, so that the split alone differs.
    """
    made = [load_file(context.file(used, FEATURES))["features"] for used in cell.uses]
    names = {used.spec["features"]["name"] for used in cell.uses} | {cell.spec["features"]["name"]}
    if len(names) > 1:
        raise Invalid(f"autopsy: features by {', '.join(sorted(names))}, expected one extractor")
    generated, *real = made
    count, blocks = min(len(one) for one in real), cell.spec["blocks"]
    if min(count, len(generated)) < 4 * blocks:
        raise Invalid(
            f"autopsy: {len(generated)} generated and {count} real images in {blocks} blocks, "
            "expected 4 or more in each; generate more, or choose fewer blocks"
        )
    extractor = context.build(Kind.FEATURES)
    about = {
        "metric": "frechet",
        "n": len(generated),
        "n_real": count,
        "dimension": generated.shape[1],
        "weights_sha": extractor.weights_sha,
        "resize": extractor.resize,
    }
    rows: list[Row] = []
    for otherwise, images in (((), real[0]), ((HELD_OUT,), real[1])):
        rows += _rows(generated, images[:count], blocks, otherwise)
    return Outcome([{**about, **row} for row in rows])


def _rows(generated: Tensor, real: Tensor, blocks: int, otherwise: tuple[str, ...]) -> list[Row]:
    whole = frechet_jackknife(generated, real, blocks)
    limit = frechet_at_infinity(generated, real, blocks, whole=whole).jackknife
    return [_row(whole, otherwise), _row(limit, (*otherwise, ENDLESS))]


def _row(measured: Jackknife, otherwise: tuple[str, ...]) -> Row:
    return {
        "part": "choice",
        "otherwise": sorted(otherwise),
        "value": measured.value,
        "leave_one_out": list(measured.deleted),
    }
