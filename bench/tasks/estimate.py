"""Measure on training images what a sampler needs to know of a trained network beforehand."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.api import BenchError, Cell, Context, Kind, Outcome, register
from bench.batches import chosen, to_float
from bench.parts import in_parts
from bench.seeds import generator
from bench.shards import batches, shardable
from bench.tasks.denoisers import trained_denoiser

ESTIMATE = "estimate.safetensors"
COUNT = "#images"
"""What no sampler calls a number of its own."""


@register(Kind.TASK, "estimate", source="Bao et al. 2022 (Analytic-DPM), section 3.1")
@shardable(batches)
def estimate(cell: Cell, context: Context) -> Outcome:
    """Keep what the sampler's `estimate` returns for `n` training images.

    What it returns are means over images; here they are means over micro-batches, each with noise
    of its own.

    Raises:
        BenchError: If the sampler has nothing to estimate, or the denoiser is no diffusion model.
    """
    spec = cell.spec
    dataset = context.build(Kind.DATASET)
    clean = to_float(chosen(dataset.images("train"), spec["n"]))
    denoiser = trained_denoiser(cell, context, dataset)
    sampler = context.sampler(spec["sampler"]["name"])
    # A sampler with options is a partial.
    measure = getattr(getattr(sampler, "func", sampler), "estimate", None)
    _refuse_misfits(spec, measure, denoiser)

    def make(block: range) -> dict[str, Tensor]:
        images = clean[list(block)].to(context.device)
        rng = generator("estimate", spec["seed"], block.start)
        counted = {COUNT: torch.tensor([float(len(block))], dtype=torch.float64)}
        return counted | dict(measure(denoiser.diffusion, images, rng))

    whole = averaged(in_parts(context, make, count=len(clean), size=spec["micro_batch"]))
    path = context.folder / ESTIMATE
    save_file(whole, path)
    numbers = sum(value.numel() for value in whole.values())
    return Outcome([{"n": len(clean), "numbers": numbers}], {ESTIMATE: path})


def averaged(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of the parts' tensors, weighted by their numbers of images."""
    total, images = {}, 0.0
    for part in parts:
        count = float(part[COUNT])
        images += count
        for name, value in part.items():
            if name != COUNT:
                total[name] = total.get(name, 0) + count * value
    return {name: value / images for name, value in total.items()}


def _refuse_misfits(spec: Mapping[str, Any], measure: Any, denoiser: Any) -> None:
    if measure is None:
        raise BenchError(
            f"sampler '{spec['sampler']['name']}' has nothing to estimate; use it without an "
            "estimate"
        )
    if not hasattr(denoiser, "diffusion"):
        raise BenchError(
            f"denoiser '{spec['denoiser']['name']}' is no diffusion model, whose samplers could "
            "be measured; expected diffusion:<backbone>"
        )
