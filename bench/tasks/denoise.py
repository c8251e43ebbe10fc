"""Restore noised images with one call of a denoiser: a classic one, or a network (Table 4)."""

from dataclasses import replace
from functools import partial

from safetensors.torch import save_file
from torch import Tensor

from bench.api import (
    BenchError,
    Cell,
    Context,
    Invalid,
    Kind,
    Level,
    Outcome,
    Property,
    Row,
    register,
)
from bench.batches import to_bytes, to_float
from bench.cell import ASSUMED
from bench.declared import declared
from bench.parts import in_parts, joined
from bench.shards import batches, shardable
from bench.tasks.denoisers import NoTraining, finite, trained_denoiser, without_assumed
from bench.tasks.noised import Batch, Noised
from bench.tasks.scoring import HIGHER_IS_BETTER, Scorer, summary
from bench.tasks.solved import explained

SHOWN = 8
"""Images kept for the pictures."""
RESTORED = "restored.safetensors"
"""All restored images, for distances between sets."""
FURTHER = 0.15
"""How much further outside [0, 1] than its input a denoiser may reach, on average: scores are of
clipped images, in which another scale would pass for bad denoising."""


@register(Kind.TASK, "denoise", source="Calvo-Ordonez et al. 2023, Table 4; protocol")
@shardable(batches)
def denoise(cell: Cell, context: Context) -> Outcome:
    """Score one denoiser at one level."""
    dataset = context.build(Kind.DATASET)
    noised = Noised.of(cell, context, dataset)
    plain, told = _told(cell, noised.level)
    denoiser = trained_denoiser(plain, context, dataset)
    if not cell.uses:
        clean = to_float(dataset.images("train"))
        denoiser.fit(clean, [told], NoTraining(), cell.spec["seed"])
    scorer = Scorer.on("cpu")

    def make(block: range) -> dict[str, Tensor]:
        batch = noised.batch(block)
        # A copy, as a denoiser may write into what it is given.
        restore = partial(denoiser.denoise, batch.noisy.clone(), told, batch.noise)
        restored = restore()
        try:
            _check(restored, batch, first=block.start)
        except Invalid as fault:
            raise explained(fault, denoiser, restore) from None
        scores = scorer(restored.cpu(), batch.clean.cpu())
        scores["unchanged"] = (restored == batch.noisy).flatten(1).all(1).cpu()
        made = {name: value[: batch.real] for name, value in scores.items()}
        return made | _shown(batch, restored, block)

    size = cell.spec["micro_batch"]
    whole = joined(in_parts(context, make, count=len(noised.clean), size=size))
    if whole["unchanged"].all():
        _refuse_unchanged(plain.spec["denoiser"]["name"])
    scores = {name: whole[name] for name in HIGHER_IS_BETTER}
    row = {
        **noised.about(),
        **summary(scores, cell.spec["seed"]),
        **_trained(cell, context),
        **({ASSUMED: told.sigma} if plain is not cell else {}),
    }
    path = context.folder / "examples.safetensors"
    shown = {name: whole[name] for name in ("clean", "noisy", "restored")}
    shown |= {f"restored/{name}": values[:SHOWN].clone() for name, values in scores.items()}
    save_file(shown, path)
    sets = context.folder / RESTORED
    save_file({"restored": whole["all"]}, sets)
    return Outcome([row], {path.name: path, RESTORED: sets})


def _shown(batch: Batch, restored: Tensor, block: range) -> dict[str, Tensor]:
    """Return what is kept of the images: all restored ones, and the first of every kind."""
    images = {"clean": batch.clean, "noisy": batch.noisy, "restored": restored}
    rows = max(0, min(batch.real, SHOWN - block.start))
    shown = {name: to_bytes(value[:rows]) for name, value in images.items()}
    return shown | {"all": to_bytes(restored[: batch.real])}


def _told(cell: Cell, level: Level) -> tuple[Cell, Level]:
    """Return the cell without an assumed sigma in its denoiser's name, and the level it is told."""
    spec = cell.spec["denoiser"]
    plain, sigma = without_assumed(spec)
    if sigma is None:
        return cell, level
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not sigma > 0:
        raise BenchError(f"{spec['name']}: {ASSUMED} is {sigma}, expected a positive number")
    return replace(cell, spec={**cell.spec, "denoiser": plain}), replace(level, sigma=float(sigma))


def _check(restored: object, batch: Batch, *, first: int) -> None:
    """Refuse what is no restored batch.

    Raises:
        Invalid: If it is not a tensor of the images' shape, holds a NaN or an infinity, or values
            on another scale.
    """
    shape = list(batch.clean.shape)
    if not isinstance(restored, Tensor):
        raise Invalid(f"the denoiser returned {type(restored).__name__}, expected images {shape}")
    if list(restored.shape) != shape:
        raise Invalid(
            f"the denoiser returned images {list(restored.shape)}, expected {shape}, in the batch "
            f"of image {first}"
        )
    if not restored.is_floating_point():
        raise Invalid(f"the denoiser returned {restored.dtype}, expected floats in [0, 1]")
    finite(restored[: batch.real], "the restored set", first=first)
    outside, before = (_outside(x[: batch.real]) for x in (restored, batch.noisy))
    if outside > before + FURTHER:
        raise Invalid(
            f"the restored values lie {outside:.3g} outside [0, 1] on average, the noisy ones "
            f"{before:.3g}; expected images in [0, 1] (are these in [-1, 1] or 0..255?)"
        )


def _outside(images: Tensor) -> float:
    return float((images - images.clamp(0, 1)).abs().double().mean())


def _refuse_unchanged(name: str) -> None:
    """Refuse a denoiser that did nothing, unless it says of itself that it gains nothing.

    Raises:
        Invalid: If it does not lack `psnr-gain`, as `identity` does.
    """
    if Property.PSNR_GAIN not in declared(Kind.DENOISER, name):
        raise Invalid(
            f"{name} returned every noisy image as it was, to the last bit; one that is meant to "
            f"declares lacks=(Property.{Property.PSNR_GAIN.name},)"
        )


def _trained(cell: Cell, context: Context) -> Row:
    """Return how a classic denoiser was trained, and the lowest and the highest sigma of it."""
    used = cell.uses[0].spec if cell.uses else {}
    if not used.get("levels"):
        return {"trained": "-"}
    schedule = context.build(Kind.SCHEDULE, used["schedule"])
    sigmas = [schedule.level(t).sigma for t in used["levels"]]
    how = cell.spec.get("trained", {"name": "blind"})["name"]
    return {"trained": how, "trained_sigma": sorted({min(sigmas), max(sigmas)})}
