"""Train a denoiser on a data set: weights, the loss curve, the loss on held-out images."""

import torch
from torch import nn

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import blocks, chosen, to_float
from bench.parts import in_parts
from bench.seeds import generator
from bench.tasks.denoisers import WEIGHTS, build_denoiser, levels_of
from bench.training import Loop, TrainSettings, save_weights, write_curve

HELD_OUT = 512
"""Most held-out images whose loss is measured."""
REPEATS = 4
"""How often noise and levels are drawn for it."""


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
        pause_wanted=context.pause_wanted,
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
            denoiser, to_float(chosen(dataset.images("test"), HELD_OUT)), context
        ),
        "levels": "-".join(str(t) for t in cell.spec["levels"]) or "all",
    }
    return Outcome([row], {WEIGHTS: weights, "curve.csv": curve})


def held_out_loss(denoiser: nn.Module, images: torch.Tensor, context: Context) -> float:
    """Return the mean loss of the averaged weights on images that training never saw.

    Noise and levels are drawn anew each time, the same for every network.
    """

    def total(repeats: range) -> dict[str, torch.Tensor]:
        result = 0.0
        for repeat in repeats:
            for block in blocks(len(images), 64):
                rng = generator("held-out", repeat, block.start)
                loss = denoiser.loss(images[list(block)].to(context.device), rng)
                result += len(block) * float(loss)
        return {"total": torch.tensor([result], dtype=torch.float64)}

    parts = in_parts(context, total, count=REPEATS, size=1, name="held-out")
    return sum(float(part["total"]) for part in parts) / (REPEATS * len(images))
