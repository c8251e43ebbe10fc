"""SSIM and LPIPS of the same images by every combination of some choices that papers leave open.

A choice is made as in the tables ("ours") or otherwise; a set of names says which of them are made
otherwise. `CHOICES` says what either means.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import NOTEBOOK_WINDOW, WINDOW, Truth, ssim_authors
from bench.metrics.trunk import SMALLEST

Choice = frozenset[str]
"""Names of the choices that are made otherwise."""
OURS: Choice = frozenset()
Score = Callable[[Tensor], Tensor]
"""Estimates [B,C,H,W] in [0, 1] -> scores [B]."""
Against = Callable[[Tensor], Score]
"""Clean images [B,C,H,W] in [0, 1] -> what scores estimates of them."""

CHOICES: Mapping[str, tuple[str, str]] = {
    "window": (f"Gaussian, {WINDOW} pixels", f"flat, {NOTEBOOK_WINDOW} pixels"),
    "data range": ("1", "2"),
    "input range": ("[-1, 1]", "[0, 1]"),
    "size": ("as it is", "resized"),
    "estimate": ("current sample", "predicted clean image"),
    "step": ("best by hindsight", "last"),
    "schedule": ("the study's", "linear"),
    "told sigma": ("the noise's", "0.05"),
    "images": ("all", "one"),
}
"""Name -> what is done here, and what else is done."""


def metrics(lpips: LPIPS) -> dict[str, dict[Choice, Against]]:
    """Return metric -> choices -> what scores images.

    "input range": LPIPS that is handed images in [0, 1] as if they were in [-1, 1], which is what
    its package does unless told otherwise.
    """
    wide, flat = frozenset({"data range"}), frozenset({"window"})

    def perceptual(y: Tensor) -> Score:
        features = lpips.features(y)
        return lambda x: lpips.between(lpips.features(x), features)

    def gaussian(y: Tensor) -> Score:
        return Truth.of(y).ssim

    def authors(y: Tensor) -> Score:
        return lambda x: ssim_authors(x, y, data_range=1.0)

    return {
        "ssim": {
            OURS: gaussian,
            # Twice the data range is exactly half the brightness.
            wide: lambda y: _of(gaussian(y / 2), lambda x: x / 2),
            flat: authors,
            wide | flat: lambda y: _of(authors(y / 2), lambda x: x / 2),
        },
        "lpips": {
            OURS: perceptual,
            frozenset({"input range"}): lambda y: _of(
                perceptual((y + 1) / 2), lambda x: (x + 1) / 2
            ),
        },
    }


def _of(score: Score, change: Callable[[Tensor], Tensor]) -> Score:
    return lambda x: score(change(x))


def resized(images: Tensor, metric: str) -> Tensor:
    """Return images [B,C,H,W] in another size, as some score them.

    Images of 64 pixels or more are halved, each pixel the mean of four. Smaller ones are enlarged
    to 64: bilinearly for SSIM, for LPIPS (whose own rule that is) by repeating the nearest pixel.
    """
    if min(images.shape[-2:]) >= SMALLEST:
        return nn.functional.avg_pool2d(images, 2)
    size = [round(side * SMALLEST / min(images.shape[-2:])) for side in images.shape[-2:]]
    if metric == "lpips":
        return nn.functional.interpolate(images, size=size, mode="nearest")
    return nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


def resize_words(height: int, width: int, metric: str) -> str:
    """Return what `resized` does to images of this size."""
    if min(height, width) >= SMALLEST:
        return "halved, mean of four pixels"
    return f"enlarged to {SMALLEST}, {'nearest' if metric == 'lpips' else 'bilinear'}"


@torch.inference_mode()
def scores(
    sets: Mapping[Choice, Tensor], clean: Tensor, ways: Mapping[str, Mapping[Choice, Against]]
) -> dict[tuple[str, Choice], Tensor]:
    """Return (metric, choices) -> the scores [B,S] of the states of every set.

    Args:
        sets: Choices of what is scored -> images [B,S,C,H,W] in [0, 1].
        clean: [B,C,H,W].
        ways: Of `metrics`.
    """
    found = {}
    for metric, against in ways.items():
        for size in (OURS, frozenset({"size"})):
            truth = resized(clean, metric) if size else clean
            score = {way: make(truth) for way, make in against.items()}
            for what, images in sets.items():
                states = [resized(one, metric) if size else one for one in images.unbind(1)]
                for way, scored in score.items():
                    values = [scored(one).double().cpu() for one in states]
                    found[metric, size | what | way] = torch.stack(values, dim=1)
    return found
