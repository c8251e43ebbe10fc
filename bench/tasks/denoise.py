"""Restore noised images with a classic denoiser (Table 4)."""

import torch
from safetensors.torch import save_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import to_bytes, to_float
from bench.parts import in_parts, joined
from bench.tasks.denoisers import NoTraining, finite, trained_denoiser
from bench.tasks.noised import Noised
from bench.tasks.scoring import HIGHER_IS_BETTER, Scorer, summary

SHOWN = 8
"""Images kept for the pictures."""


@register(Kind.TASK, "denoise", source="Calvo-Ordonez et al. 2023, Table 4; protocol")
def denoise(cell: Cell, context: Context) -> Outcome:
    """Score one denoiser at one level."""
    dataset = context.build(Kind.DATASET)
    noised = Noised.of(cell, context, dataset)
    denoiser = trained_denoiser(cell, context, dataset)
    if not cell.uses:
        clean = to_float(dataset.images("train"))
        denoiser.fit(clean, [noised.level], NoTraining(), cell.spec["seed"])
    scorer = Scorer.on("cpu")

    def make(block: range) -> dict[str, torch.Tensor]:
        batch = noised.batch(block)
        restored = denoiser.denoise(batch.noisy, noised.level, batch.noise)
        finite(restored[: batch.real], "the restored set", first=block.start)
        images = {"clean": batch.clean, "noisy": batch.noisy, "restored": restored}
        rows = max(0, min(batch.real, SHOWN - block.start))
        shown = {name: to_bytes(value[:rows]) for name, value in images.items()}
        scores = scorer(restored.cpu(), batch.clean.cpu())
        return shown | {name: value[: batch.real] for name, value in scores.items()}

    size = cell.spec["micro_batch"]
    whole = joined(in_parts(context, make, count=len(noised.clean), size=size))
    scores = {name: whole[name] for name in HIGHER_IS_BETTER}
    row = {
        **noised.about(),
        **summary(scores, cell.spec["seed"]),
        "trained": "blind" if cell.uses else "-",
    }
    path = context.folder / "examples.safetensors"
    save_file({name: whole[name] for name in ("clean", "noisy", "restored")}, path)
    return Outcome([row], {path.name: path})
