"""Scores of many estimates of the same images, whose own part of every metric is made once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.metrics.fidelity import psnr
from bench.metrics.lpips import LPIPS
from bench.metrics.ssim import Truth
from bench.tasks.scoring import Scorer


@dataclass(frozen=True, eq=False)
class Against:
    """Scores estimates of one batch of clean images; bit for bit what a `Scorer` says of them.

    Of LPIPS half is done beforehand, of SSIM two fifths.
    """

    lpips: LPIPS
    clean: Tensor
    """[B,C,H,W] in [0, 1]."""
    truth: Truth
    features: list[Tensor]

    @classmethod
    @torch.inference_mode()
    def of(cls, scorer: Scorer, clean: Tensor) -> "Against":
        """Return what scores estimates of these images."""
        return cls(scorer.lpips, clean, Truth.of(clean), scorer.lpips.features(clean))

    @torch.inference_mode()
    def __call__(self, estimate: Tensor) -> dict[str, Tensor]:
        """Return metric -> [B] float64 on the CPU; estimates are clipped for the metrics only."""
        shown = estimate.clamp(0, 1)
        scores = {
            "psnr": psnr(shown, self.clean),
            "ssim": self.truth.ssim(shown),
            "lpips": self.lpips.between(self.lpips.features(shown), self.features),
        }
        return {name: value.double().cpu() for name, value in scores.items()}
