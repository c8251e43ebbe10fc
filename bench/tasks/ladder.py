"""The same images at every noise level (Figure 4)."""

import torch
from safetensors.torch import save_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.batches import chosen, to_bytes, to_float
from bench.seeds import ImageNoise


@register(Kind.TASK, "ladder", source="Calvo-Ordonez et al. 2023, Figure 4")
def ladder(cell: Cell, context: Context) -> Outcome:
    """Noise a few images to each level; the picture shows them clipped, the data are not."""
    schedule = context.build(Kind.SCHEDULE)
    images = to_float(chosen(context.build(Kind.DATASET).images("test"), cell.spec["n"]))
    levels = [schedule.level(t) for t in cell.spec["levels"]]
    noise = ImageNoise("ladder", cell.spec["seed"], images=range(len(images)))(images)
    shown = torch.stack([to_bytes(images + level.sigma * noise) for level in levels], dim=1)
    path = context.folder / "ladder.safetensors"
    save_file({"clean": to_bytes(images), "images": shown.contiguous()}, path)
    rows = [{"t": level.t, "sigma": level.sigma} for level in levels]
    return Outcome(rows, {path.name: path})
