"""Generate images with a trained diffusion network."""

import torch
from safetensors.torch import save_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import blocks, padded_indices, to_bytes
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
    parts = []
    for block in blocks(spec["n"], spec["micro_batch"]):
        indices = padded_indices(block, spec["micro_batch"])
        noise = ImageNoise("sample", spec["seed"], images=indices)
        start = noise(torch.empty(len(indices), *shape, device=context.device))
        with torch.inference_mode():
            states = denoiser.generate(
                start, noise, steps=spec["steps"], sampler=context.sampler(spec["sampler"]["name"])
            )
            *_, last = states
        images = last.current
        parts.append(to_bytes(finite(images, "the generated set")[: len(block)]))
        context.progress(block.stop, spec["n"])
    path = context.folder / SAMPLES
    save_file({"images": torch.cat(parts)}, path)
    return Outcome([{"n_generated": spec["n"]}], {SAMPLES: path})
