"""How much detail a denoiser's one estimate loses, and what a whole restoration keeps of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from bench.api import Cell, Context, Invalid, Kind, Outcome, Restorer, Row, register
from bench.batches import to_bytes
from bench.parts import in_parts, joined
from bench.tasks.denoisers import finite, trained_denoiser
from bench.tasks.detail import detail, detail_rows
from bench.tasks.noised import Batch, Noised

SHOWN = 6
"""Images kept for the pictures."""
EXAMPLES = "examples.safetensors"
ONE_CALL, SAMPLE = "one call", "restored"
"""What rows call the network's first estimate, and where the whole restoration ends."""


@register(
    Kind.TASK,
    "smoothing",
    source="Calvo-Ordonez et al. 2023, section 4.2 around equation 15; protocol, Theory",
)
def smoothing(cell: Cell, context: Context) -> Outcome:
    """Measure the power of estimates by frequency, at every level of the cell.

    At the level `sampled`, if any, a denoiser that works step by step also restores the images to
    the end.
    """
    spec, dataset = cell.spec, context.build(Kind.DATASET)
    denoiser = trained_denoiser(cell, context, dataset)
    rows: list[Row] = []
    files = {}
    levels = dict.fromkeys([*spec["levels"], spec["sampled"]])
    levels.pop(None, None)
    for t in levels:
        noised = noised_at(t, cell, context, dataset)
        restores = t == spec["sampled"] and isinstance(denoiser, Restorer)

        def make(
            block: range, noised: Noised = noised, restores: bool = restores
        ) -> dict[str, Tensor]:
            batch = noised.batch(block)
            made = {"one": estimate(denoiser, batch, noised)}
            if restores:
                stride = spec["stride"]
                made["end"] = restored(denoiser, batch, noised, stride)
            return measured(made, batch, block)

        size = spec["micro_batch"]
        whole = joined(in_parts(context, make, count=len(noised.clean), size=size, name=f"t-{t}"))
        names = {"one": ONE_CALL, "end": SAMPLE} if restores else {"one": ONE_CALL}
        about = {**noised.about(), "t": t, "shown": t == spec["sampled"]}
        rows += [{**about, **row} for row in detail_rows(whole, names)]
        if t == spec["sampled"]:
            files[EXAMPLES] = context.folder / EXAMPLES
            save_file(shown(whole), files[EXAMPLES])
    return Outcome(rows, files)


def noised_at(t: int, cell: Cell, context: Context, dataset: Any) -> Noised:
    """Return the cell's noised images at step t."""
    return Noised.of(replace(cell, spec={**cell.spec, "t": t}), context, dataset)


def estimate(denoiser: Any, batch: Batch, noised: Noised) -> Tensor:
    """Return what one call of a denoiser makes of a batch, [B,C,H,W] of those that count.

    Raises:
        Invalid: If that is no batch of images.
    """
    made = denoiser.denoise(batch.noisy.clone(), noised.level, batch.noise)
    return _checked(made, batch, "the denoised images")


def restored(denoiser: Restorer, batch: Batch, noised: Noised, stride: int) -> Tensor:
    """Return where the restoration of a batch ends, [B,C,H,W] of those that count.

    Raises:
        Invalid: If that is no batch of images.
    """
    last = None
    for state in denoiser.restore(batch.noisy, noised.level, batch.noise, stride=stride):
        last = state.current
    return _checked(last, batch, "the restored images")


def _checked(made: object, batch: Batch, what: str) -> Tensor:
    shape = list(batch.clean.shape)
    if not isinstance(made, Tensor) or list(made.shape) != shape:
        found = list(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise Invalid(f"{what}: found {found}, expected {shape}")
    return finite(made[: batch.real], what).cpu()


def measured(made: Mapping[str, Tensor], batch: Batch, block: range) -> dict[str, Tensor]:
    """Return the detail of estimates of a block, and its first images of every kind as bytes."""
    clean, noisy = (images[: batch.real].cpu() for images in (batch.clean, batch.noisy))
    few = max(0, min(batch.real, SHOWN - block.start))
    pictures = {**made, "clean": clean, "noisy": noisy}
    return detail(made, clean) | {
        f"shown/{name}": to_bytes(images[:few]) for name, images in pictures.items()
    }


def shown(whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the pictures out of what `measured` returned."""
    return {
        name.removeprefix("shown/"): images.contiguous().clone()
        for name, images in whole.items()
        if name.startswith("shown/")
    }
