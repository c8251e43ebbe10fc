"""Map a set of images, real or generated, to feature vectors."""

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import chosen, padded, to_float
from bench.parts import in_parts, joined
from bench.shards import count_of, shardable
from bench.tasks.sample import SAMPLES

FEATURES = "features.safetensors"


def _blocks(cell: Cell) -> int:
    """Return how many micro-batches the images are: those generated, or the first of a split."""
    images = cell.uses[0] if cell.uses else cell
    return count_of(images.spec["n"], cell.spec["micro_batch"])


@register(Kind.TASK, "features", source="protocol, Distances")
@shardable(_blocks)
def features(cell: Cell, context: Context) -> Outcome:
    """Extract features in fixed micro-batches; of the first `n` images of a real split."""
    extractor = context.build(Kind.FEATURES).to(context.device).eval()
    images, size = _images(cell, context), cell.spec["micro_batch"]

    def make(block: range) -> dict[str, torch.Tensor]:
        batch = padded(to_float(images[block.start : block.stop]), size)
        return {"features": extractor(batch.to(context.device))[: len(block)]}

    whole = joined(in_parts(context, make, count=len(images), size=size))
    path = context.folder / FEATURES
    save_file(whole, path)
    row = {
        "n": len(whole["features"]),
        "dimension": whole["features"].shape[1],
        "weights_sha": extractor.weights_sha,
        "resize": extractor.resize,
        "feature_precision": getattr(extractor, "precision", "float32"),
    }
    return Outcome([row], {FEATURES: path})


def _images(cell: Cell, context: Context) -> np.ndarray:
    if cell.uses:
        return load_file(context.file(cell.uses[0], SAMPLES))["images"]
    return chosen(context.build(Kind.DATASET).images(cell.spec["split"]), cell.spec["n"])
