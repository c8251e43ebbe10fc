"""Train a denoiser on a data set: weights, the loss curve, the loss on held-out images."""

import torch
from torch import nn

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import blocks, chosen, to_float
from bench.seeds import generator
from bench.tasks.denoisers import WEIGHTS, build_denoiser, levels_of
from bench.training import Loop, TrainSettings, save_weights, write_curve

HELD_OUT = 512
"""Most held-out images whose loss is measured."""


@register(Kind.TASK, "train", source="protocol, Recipes")
def train(cell: Cell, context: Context) -> Outcome:
    """Run the training loop and keep the averaged weights."""
    dataset = context.build(Kind.DATASET)
    clean = to_float(dataset.images("train"))
    denoiser = build_denoiser(cell, context, dataset)
    settings = TrainSettings(**cell.spec["training"])
    loop = Loop(
        settings,
        folder=context.partial,
        device=context.device,
        mirrors=dataset.mirrors,
        progress=context.progress,
    )
    denoiser.fit(clean, levels_of(cell, context), loop, cell.spec["seed"])
    weights, curve = context.folder / WEIGHTS, context.folder / "curve.csv"
    save_weights(weights, denoiser, {"spec": dict(cell.spec)})
    write_curve(curve, loop.curve)
    last = [loss for _, loss in loop.curve[-100:]]
    row = {
        "updates": len(loop.curve),
        "images_seen": len(loop.curve) * settings.batch,
        "n_train": len(clean),
        "loss_last": sum(last) / len(last),
        "loss_held_out": held_out_loss(
            denoiser, to_float(chosen(dataset.images("test"), HELD_OUT))
        ),
        "levels": "-".join(str(t) for t in cell.spec["levels"]) or "all",
    }
    return Outcome([row], {WEIGHTS: weights, "curve.csv": curve})


@torch.inference_mode()
def held_out_loss(denoiser: nn.Module, images: torch.Tensor, repeats: int = 4) -> float:
    """Return the mean loss of the averaged weights on images that training never saw.

    Noise and levels are drawn anew `repeats` times, the same for every network.
    """
    device = next(denoiser.parameters()).device
    total = 0.0
    for repeat in range(repeats):
        for block in blocks(len(images), 64):
            rng = generator("held-out", repeat, block.start)
            total += len(block) * float(denoiser.loss(images[list(block)].to(device), rng))
    return total / (repeats * len(images))
