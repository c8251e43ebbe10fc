"""Scores of restored images: PSNR, SSIM and LPIPS per image, and their means with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.api import Row
from bench.metrics.fidelity import psnr
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import ssim
from bench.statistics import bootstrap_mean

HIGHER_IS_BETTER = {"psnr": True, "ssim": True, "lpips": False}


@dataclass(frozen=True)
class Scorer:
    """Scores images in [0, 1] against clean ones; estimates are clipped for the metrics only."""

    lpips: LPIPS

    @classmethod
    def on(cls, device: str) -> "Scorer":
        """Return a scorer whose network is on a device."""
        return cls(LPIPS().to(device).eval())

    @torch.inference_mode()
    def __call__(self, estimate: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return metric -> [B] float64 on the CPU."""
        shown = estimate.clamp(0, 1)
        scores = {
            "psnr": psnr(shown, clean),
            "ssim": ssim(shown, clean),
            "lpips": self.lpips(shown, clean),
        }
        return {name: value.double().cpu() for name, value in scores.items()}


def summary(scores: Mapping[str, Tensor], seed: int) -> Row:
    """Return the mean of each metric over images with its 95 % bootstrap interval as columns.

    What two denoisers make of the same images is compared in pairs, so the row holds the SSIM and
    the LPIPS of each of them, and from the PSNR the mean squared error of the clipped image.

    An image that is restored exactly has an infinite PSNR. It is counted in `exact` and left out of
    the mean PSNR (and only there), which it would make infinite: that mean errs on the low side.
    Where fewer than two images are left, there is no mean PSNR (None).
    """
    columns: Row = {}
    for name, values in scores.items():
        counted = values[values != torch.inf] if name == "psnr" else values
        columns |= _mean(name, counted, seed)
    if "psnr" in scores:
        mse = 10 ** (-scores["psnr"] / 10)
        columns |= {
            "exact": int((scores["psnr"] == torch.inf).sum()),
            "mse": float(mse.mean()),
            "mse_per_image": mse.tolist(),
        }
    kept = [name for name in ("ssim", "lpips") if name in scores]
    return columns | {f"{name}_per_image": scores[name].tolist() for name in kept}


def _mean(name: str, values: Tensor, seed: int) -> Row:
    if len(values) < 2:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    interval = bootstrap_mean(values.numpy(), seed=seed)
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
