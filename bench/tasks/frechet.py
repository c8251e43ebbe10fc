"""Score generated against real features: distances with interval, floor and extrapolation."""

from collections.abc import Sequence

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.api import Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.batches import chosen
from bench.metrics.distances import floor, frechet_jackknife
from bench.metrics.extrapolation import frechet_at_infinity
from bench.metrics.kernel import kid_jackknife
from bench.metrics.manifold import NEIGHBOURS_DENSITY, manifold
from bench.metrics.neighbours import Memorisation, memorisation
from bench.statistics import Jackknife
from bench.tasks.features import FEATURES
from bench.tasks.sample import SAMPLES

CLOSEST = "closest.safetensors"
"""The generated images that lie nearest to a training image, and those: for people to look at."""


@register(Kind.TASK, "frechet", source="protocol, Distances; Heusel et al. 2017")
def frechet(cell: Cell, context: Context) -> Outcome:
    """Measure the distances of one generated set.

    The cell uses the features of generated images and of real ones, of which the first `n_real`
    are scored; and, for memorisation, those of held-out images, and the generated images.
    """
    features = _features(cell, context)
    generated, real = features[:2]
    scored = real[: cell.spec["n_real"]]
    extractor = context.build(Kind.FEATURES)
    row = {
        **_distances(generated, scored, cell.spec["blocks"]),
        **_equal_numbers(generated, scored),
        "weights_sha": extractor.weights_sha,
        "resize": extractor.resize,
        "dimension": generated.shape[1],
        "n_generated": len(generated),
        "n_real": len(scored),
        "leads": leads(len(generated), len(scored), generated.shape[1]),
        "split": cell.uses[1].spec["split"],
    }
    least = floor(real, generated=len(generated), scored=len(scored))
    row |= {"floor": least.value, "floor_n": least.n, "floor_against": least.against}
    if len(features) < 3:
        return Outcome([row])
    found = memorisation(generated, training=real, held_out=features[2])
    row |= {
        "nearest_training": found.generated,
        "nearest_training_held_out": found.held_out,
        "nearest_share": found.share,
        "n_training": len(real),
        "n_held_out": len(features[2]),
    }
    images = [used for used in cell.uses if used.task != "features"]
    if not images:
        return Outcome([row])
    path = context.folder / CLOSEST
    save_file(_closest(found, cell, images[0], context), path)
    return Outcome([row], {CLOSEST: path})


def leads(generated: int, real: int, dimension: int) -> str:
    """Return which distance leads: the kernel's, unless a covariance can have full rank.

    That of N images has rank N - 1 at most, so it takes more images than dimensions.
    """
    return "kid" if min(generated, real) <= dimension else "frechet"


def _features(cell: Cell, context: Context) -> list[Tensor]:
    """Return the features of the cells used.

    Raises:
        Invalid: If they are not all of the extractor that the cell names.
    """
    used = [one for one in cell.uses if one.task == "features"]
    names = {one.spec["features"]["name"] for one in used} | {cell.spec["features"]["name"]}
    if len(names) > 1:
        raise Invalid(
            f"distance: features by {', '.join(sorted(names))}, expected one extractor for all "
            "images; plan the cell again"
        )
    return [load_file(context.file(one, FEATURES))["features"] for one in used]


def _distances(generated: Tensor, scored: Tensor, blocks: int) -> Row:
    """Return the Fréchet and kernel distance with their errors, and the former's limit."""
    whole = frechet_jackknife(generated, scored, blocks)
    kernel = kid_jackknife(generated, scored, blocks)
    interval = whole.interval()
    return {
        "frechet": interval.value,
        "low": max(0.0, interval.low),
        "high": interval.high,
        "leave_one_out": list(whole.deleted),
        "kid": kernel.value,
        "kid_se": kernel.standard_error,
        "kid_leave_one_out": list(kernel.deleted),
        **_infinity(generated, scored, whole),
    }


def _infinity(generated: Tensor, scored: Tensor, whole: Jackknife) -> Row:
    """Return the distance at N -> infinity; nothing, where half of the images are too few."""
    blocks = len(whole.deleted)
    if min(len(generated), len(scored)) < 4 * blocks:
        return {}
    limit = frechet_at_infinity(generated, scored, blocks, whole=whole)
    interval = limit.jackknife.interval()
    return {
        "infinity": interval.value,
        "infinity_low": interval.low,
        "infinity_high": interval.high,
        "infinity_se": interval.standard_error,
        "infinity_n": list(limit.sizes),
        "infinity_values": list(limit.values),
    }


def _equal_numbers(generated: Tensor, scored: Tensor) -> Row:
    """Return precision, recall, density, coverage; of sets of one size, on which they depend."""
    count = min(len(generated), len(scored))
    if count <= NEIGHBOURS_DENSITY:
        return {}
    found = manifold(real=scored[:count], generated=generated[:count])
    return {
        "precision": found.precision,
        "recall": found.recall,
        "density": found.density,
        "coverage": found.coverage,
        "n_manifold": count,
    }


def _closest(found: Memorisation, cell: Cell, images: Cell, context: Context) -> dict[str, Tensor]:
    """Return the closest pairs of images, with what they are and how far apart."""
    training = cell.uses[1].spec
    known = chosen(context.build(Kind.DATASET).images(training["split"]), training["n"])
    made = load_file(context.file(images, SAMPLES))["images"]
    pairs: Sequence[tuple[int, int]] = [(int(i), int(j)) for i, j in found.pairs]
    return {
        "generated": torch.stack([made[i] for i, _ in pairs]),
        "training": torch.stack([torch.from_numpy(known[j].copy()) for _, j in pairs]),
        "pairs": found.pairs,
        "distances": found.distances,
    }
