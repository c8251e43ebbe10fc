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

    From the PSNR follows the mean squared error of the clipped images, given for each of them, too:
    what two denoisers make of the same images can then be compared in pairs.
    """
    columns: Row = {}
    for name, values in scores.items():
        interval = bootstrap_mean(values.numpy(), seed=seed)
        columns |= {
            name: interval.value,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
        }
    if "psnr" in scores:
        mse = 10 ** (-scores["psnr"] / 10)
        columns |= {"mse": float(mse.mean()), "mse_per_image": mse.tolist()}
    return columns
