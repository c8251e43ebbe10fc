"""Generate images with a trained diffusion network."""

from collections import deque

import torch
from safetensors.torch import save_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import padded_indices, to_bytes
from bench.parts import in_parts, joined
from bench.seeds import ImageNoise
from bench.tasks.denoisers import finite, trained_denoiser

SAMPLES = "samples.safetensors"


@register(Kind.TASK, "sample", source="protocol, Table 1")
def sample(cell: Cell, context: Context) -> Outcome:
    """Generate `n` images; image i depends on (seed, i) and not on the backbone or the batch."""
    spec = cell.spec
    dataset = context.build(Kind.DATASET)
    denoiser = trained_denoiser(cell, context, dataset)
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    sampler = context.sampler(spec["sampler"]["name"])

    def make(block: range) -> dict[str, torch.Tensor]:
        indices = padded_indices(block, spec["micro_batch"])
        noise = ImageNoise("sample", spec["seed"], images=indices)
        start = noise(torch.empty(len(indices), *shape, device=context.device))
        states = denoiser.generate(start, noise, steps=spec["steps"], sampler=sampler)
        (last,) = deque(states, maxlen=1)
        images = finite(last.current[: len(block)], "the generated set", first=block.start)
        return {"images": to_bytes(images)}

    whole = joined(in_parts(context, make, count=spec["n"], size=spec["micro_batch"]))
    path = context.folder / SAMPLES
    save_file(whole, path)
    return Outcome([{"n_generated": spec["n"]}], {SAMPLES: path})
