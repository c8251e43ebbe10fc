"""How much detail estimates have, by octaves of spatial frequency, beside their clean images."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.api import Row
from bench.metrics.spectrum import NYQUIST, in_band, power, radial

OCTAVES = ((NYQUIST / 8, NYQUIST / 4), (NYQUIST / 4, NYQUIST / 2), (NYQUIST / 2, NYQUIST))
"""Bands of radial frequency in cycles a pixel, up to the finest that pixels can show."""
COMMON = "common"


def detail(estimates: Mapping[str, Tensor], clean: Tensor) -> dict[str, Tensor]:
    """Return the power of estimates, and of their clean images, in every octave.

    Args:
        estimates: Name -> images [B,C,H,W], as they are: not clipped.
        clean: [B,C,H,W].

    Returns:
        "<name>/power" [B,octaves], "<name>/common" (the covariance with the clean image there:
        the part of that power which is where it belongs) and "<name>/radial" [B,R]. "clean"
        has "clean/variance" [B] in place of the second.
    """
    made = {}
    for name, images in {**estimates, "clean": clean}.items():
        spectrum = power(images)
        made[f"{name}/power"] = _octaves(spectrum)
        made[f"{name}/radial"] = radial(spectrum)[1]
        if name == "clean":
            made["clean/variance"] = spectrum.sum(dim=(-2, -1))
        else:
            made[f"{name}/{COMMON}"] = _octaves(power(images, clean))
    return made


def _octaves(spectrum: Tensor) -> Tensor:
    return torch.stack([in_band(spectrum, *octave) for octave in OCTAVES], dim=-1)


def detail_rows(whole: Mapping[str, Tensor], names: Mapping[str, str]) -> list[Row]:
    """Return a row for every estimate and octave, and one with its radial spectrum.

    Args:
        whole: What `detail` returned, of all images.
        names: Name in `whole` -> what rows call it.
    """
    rows: list[Row] = []
    for name, called in names.items():
        for place, (low, high) in enumerate(OCTAVES):
            rows.append(
                {
                    "part": "octave",
                    "estimate": called,
                    "low_cycles_per_pixel": low,
                    "high_cycles_per_pixel": high,
                    "power_per_image": whole[f"{name}/power"][:, place].tolist(),
                    "common_per_image": whole[f"{name}/{COMMON}"][:, place].tolist(),
                    "clean_power_per_image": whole["clean/power"][:, place].tolist(),
                    # Of all frequencies, to tell which octave holds any of it.
                    "clean_share": _share(whole, place),
                }
            )
        rows.append(
            {
                "part": "spectrum",
                "estimate": called,
                "power_density": whole[f"{name}/radial"].mean(dim=0).tolist(),
                "clean_power_density": whole["clean/radial"].mean(dim=0).tolist(),
            }
        )
    return rows


def _share(whole: Mapping[str, Tensor], place: int) -> float:
    return float(whole["clean/power"][:, place].mean() / whole["clean/variance"].mean())
