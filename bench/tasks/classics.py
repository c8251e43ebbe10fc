"""Denoise the whole pictures of a published test set, as the field's own tables do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from bench import weights
from bench.api import BenchError, Cell, Context, Invalid, Kind, Level, Outcome, Row, register
from bench.batches import to_bytes, to_float
from bench.metrics.fidelity import psnr
from bench.metrics.noise_floor import noise_mse
from bench.metrics.ssim import ssim
from bench.parts import in_parts, joined
from bench.seeds import ImageNoise
from bench.shards import shardable
from bench.statistics import bootstrap_mean
from bench.tasks.denoisers import build_denoiser, finite

SMALLEST = 12
"""Pictures in the smallest of the published test sets."""


@dataclass(frozen=True)
class _Shape:
    """What a denoiser is built for."""

    channels: int
    image_size: int
    """The shortest side of all pictures."""


@register(Kind.TASK, "classics", source="Zhang et al. 2017, section IV; protocol, Classics")
@shardable(lambda cell: cell.spec.get("n", SMALLEST))
def classics(cell: Cell, context: Context) -> Outcome:
    """Score one denoiser on one test set at one level; every picture alone, in its own size.

    The noise on a picture depends on the set, the picture, the level and the seed alone. It is
    never clipped; estimates are clipped and rounded to 8 bits before they are scored, as the
    authors of the published values do.
    """
    spec = cell.spec
    testset = context.build(Kind.TESTSET)
    every = testset.pictures()
    pictures = every[: spec.get("n")]
    sides = [side for picture in pictures for side in picture.shape[1:]]
    denoiser = build_denoiser(cell, context, _Shape(testset.channels, min(sides)))
    _refuse_learners(denoiser, spec["denoiser"]["name"])
    level = Level(spec["sigma_255"] / 255)
    about = (testset.name, float(spec["sigma_255"]), spec["seed"])

    def make(block: range) -> dict[str, Tensor]:
        (index,) = block
        clean = to_float(pictures[index][None])
        y = clean + level.sigma * ImageNoise("noise", *about, images=[index])(clean)
        further = ImageNoise("restore", *about, images=[index])
        restored = denoiser.denoise(y.to(context.device), level, further).cpu()
        return _scores(restored, clean, f"picture {index} of {testset.name}")

    whole = joined(in_parts(context, make, count=len(pictures), size=1))
    row = {
        "sigma": level.sigma,
        "n": len(pictures),
        "pictures": len(every),
        "channels": testset.channels,
        "same_data": testset.same_data,
        **_columns(whole, spec["seed"]),
        "psnr_of_noisy": _psnr_of_noisy(pictures, spec["sigma_255"]),
    }
    named = getattr(denoiser, "weights", None)
    if named in weights.TABLE:
        row["weights_sha"] = weights.TABLE[named].sha256
    return Outcome([row])


def _refuse_learners(denoiser: object, name: str) -> None:
    """Refuse what has to be trained: a test set has no training images."""
    if hasattr(denoiser, "loss"):
        raise BenchError(
            f"{name} learns from images, and a test set has none to learn from; expected a "
            "denoiser that needs no training, or one with published weights"
        )


def _scores(restored: Tensor, clean: Tensor, what: str) -> dict[str, Tensor]:
    """Return what is kept of a picture: its scores [1], in float64."""
    if restored.shape != clean.shape:
        raise Invalid(f"{what} came back as {list(restored.shape)}, expected {list(clean.shape)}")
    finite(restored, what)
    shown = restored.float().clamp(0, 1)
    rounded = to_bytes(shown).float() / 255
    return {
        "psnr": psnr(rounded, clean),
        "ssim": ssim(rounded, clean),
        "psnr_unrounded": psnr(shown, clean),
    }


def _columns(scores: dict[str, Tensor], seed: int) -> Row:
    """Return means over pictures with 95 % bootstrap intervals, and every picture's scores."""
    columns: Row = {"psnr_unrounded": float(scores["psnr_unrounded"].mean())}
    for name in ("psnr", "ssim"):
        interval = bootstrap_mean(scores[name].numpy(), seed=seed)
        columns |= {
            name: interval.value,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
            f"{name}_per_image": scores[name].tolist(),
        }
    return columns


def _psnr_of_noisy(pictures: Sequence[np.ndarray], sigma_255: float) -> float:
    """Return the mean PSNR of the noisy pictures themselves, in closed form: the floor."""
    errors = [noise_mse(picture, sigma_255) for picture in pictures]
    return float(np.mean(-10 * np.log10(errors)))
