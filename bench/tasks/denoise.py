"""Restore noised images with a classic denoiser (Table 4)."""

import torch
from safetensors.torch import save_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import to_bytes, to_float
from bench.tasks.denoisers import finite, trained_denoiser
from bench.tasks.noised import Noised
from bench.tasks.scoring import Scorer, summary

SHOWN = 8
"""Images kept for the pictures."""


class NoTraining:
    """Handed to denoisers that need none; refuses those that should have had a training cell."""

    def train(self, module: object, clean: object, seed: int) -> None:
        """Refuse."""
        raise RuntimeError(f"{type(module).__name__} needs a training cell of its own")


@register(Kind.TASK, "denoise", source="Calvo-Ordonez et al. 2023, Table 4; protocol")
def denoise(cell: Cell, context: Context) -> Outcome:
    """Score one denoiser at one level."""
    dataset = context.build(Kind.DATASET)
    noised = Noised.of(cell, context, dataset)
    denoiser = trained_denoiser(cell, context, dataset)
    if not cell.uses:
        clean = to_float(dataset.images("train"))
        denoiser.fit(clean, [noised.level], NoTraining(), cell.spec["seed"])
    restored, noisy = [], []
    for batch in noised:
        with torch.inference_mode():
            output = denoiser.denoise(batch.noisy, noised.level, batch.noise)
        restored.append(finite(output, "the restored set")[: batch.real].cpu())
        noisy.append(batch.noisy[: batch.real].cpu())
        context.progress(sum(map(len, restored)), len(noised.clean))
    images = torch.cat(restored)
    scores = Scorer.on("cpu")(images, noised.clean)
    row = {
        **noised.about(),
        **summary(scores, cell.spec["seed"]),
        "trained": "blind" if cell.uses else "-",
    }
    path = context.folder / "examples.safetensors"
    shown = {"clean": noised.clean, "noisy": torch.cat(noisy), "restored": images}
    save_file({name: to_bytes(value[:SHOWN]).contiguous() for name, value in shown.items()}, path)
    return Outcome([row], {path.name: path})
