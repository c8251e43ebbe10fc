"""Generate images with a trained diffusion network."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.api import Cell, Context, Estimate, Kind, Outcome, register
from bench.batches import padded_indices, to_bytes
from bench.parts import in_parts, joined
from bench.seeds import ImageNoise
from bench.shards import batches, shardable
from bench.tasks.denoisers import GENERATOR, trained_denoiser, trained_generator
from bench.tasks.made import made

SAMPLES = "samples.safetensors"
MEASURED = "estimate.safetensors"
"""What a cell `estimate` writes; named here too, since its code does not decide these images."""


@register(Kind.TASK, "sample", source="protocol, Table 1 and Samplers")
@shardable(batches)
def sample(cell: Cell, context: Context) -> Outcome:
    """Generate `n` images; image i depends on (seed, i) and not on the backbone or the batch.

    With a generator sampling starts at level `start`, from that generator's images.

    Source: Lyu et al. 2022 (ES-DDPM), algorithm 2, for the latter.
    """
    spec = cell.spec
    dataset = context.build(Kind.DATASET)
    denoiser = trained_denoiser(cell, context, dataset)
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    generator = trained_generator(cell, context, dataset) if GENERATOR in spec else None
    reverse = _reverse(cell, context, denoiser)

    def make(block: range) -> dict[str, Tensor]:
        indices = padded_indices(block, spec["micro_batch"])
        noise = ImageNoise("sample", spec["seed"], images=indices)
        x = torch.empty(len(indices), *shape, device=context.device)
        if generator is None:
            x = noise(x)
        else:
            own = ImageNoise("generator", spec["seed"], images=indices)
            rough = generator.draw(own, len(indices)).to(context.device)
            # The noise added here is the x_T of this image: all ways share it.
            x = denoiser.noised(rough, spec["start"], noise)
        images, last = made(reverse(x, noise), x, block, spec["sampler"]["name"], denoiser)
        return {"images": to_bytes(images), "calls": torch.full((len(block),), last.calls)}

    whole = joined(in_parts(context, make, count=spec["n"], size=spec["micro_batch"]))
    path = context.folder / SAMPLES
    save_file({"images": whole["images"]}, path)
    row = {
        "n_generated": spec["n"],
        "calls": int(whole["calls"].max()),
        "leaks": bool(getattr(generator, "leaks", False)),
    }
    return Outcome([row], {SAMPLES: path})


def _reverse(
    cell: Cell, context: Context, denoiser: Any
) -> Callable[[Tensor, ImageNoise], Iterator[Estimate]]:
    """Return what makes images out of states and noise: the sampler of the cell, as it says."""
    spec = cell.spec
    sampler = context.sampler(spec["sampler"]["name"])
    for used in cell.uses:
        if used.task == "estimate":
            measured = load_file(context.file(used, MEASURED))
            sampler = functools.partial(sampler, estimated=measured)
    return functools.partial(
        denoiser.generate,
        steps=spec["steps"],
        sampler=sampler,
        spacing=spec.get("spacing", "uniform"),
        start=spec.get("start"),
    )
