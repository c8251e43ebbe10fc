"""How well the averaged weights denoise images that training never sees, while it goes on."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import Level
from bench.seeds import ImageNoise, seed_globals

VALIDATION = "validation.csv"
IMAGES = 12
"""How many, so that it takes less than a fiftieth of the shortest training."""
THIRDS = ("low", "middle", "high")
"""The columns: a level for each third of the noise range."""
PARTS = (1 / 6, 1 / 2, 5 / 6)
"""Where the middles of the thirds lie, from no noise to the most."""
Points = list[tuple[int, tuple[float, ...]]]
"""(update, error at each level) so far."""


def points(total: int, count: int) -> set[int]:
    """Return the updates, counted from 1, after which is validated: evenly spaced, the last one."""
    return {-(-total * i // count) for i in range(1, count + 1)}


def middles(schedule: Any) -> list[Level]:
    """Return the middle level of each third of a schedule's noising steps."""
    return [schedule.level(round(schedule.steps * part)) for part in PARTS]


def ends(levels: Sequence[Level]) -> list[Level]:
    """Return the least noisy, the middle and the noisiest of some levels."""
    rising = sorted(levels, key=lambda level: level.sigma)
    return [rising[0], rising[len(rising) // 2], rising[-1]]


def one_step_errors(
    images: Tensor, levels: Sequence[Level], seed: int
) -> Callable[[nn.Module], tuple[float, ...]]:
    """Return what measures a denoiser: its mean squared error on [0, 1] at each level, in one step.

    Args:
        images: Clean images [N,C,H,W] in [0, 1], always the same, as is their noise.
        levels: One or more.
        seed: Of the noise.
    """
    draws = ImageNoise("validation", seed, images=range(len(images)))
    noisy = [images + level.sigma * draws(images) for level in levels]

    def errors(denoiser: nn.Module) -> tuple[float, ...]:
        found = []
        for number, (y, level) in enumerate(zip(noisy, levels, strict=True)):
            seed_globals("validation", seed, number)  # for networks that draw from them
            fresh = ImageNoise("validation-step", seed, number, images=range(len(images)))
            with torch.no_grad():
                # A copy, as a denoiser may write into what it is given.
                error = denoiser.denoise(y.clone(), level, fresh) - images
            found.append(float(error.double().square().mean()))
        return tuple(found)

    return errors


def write_validation(path: Path, found: Points) -> None:
    """Write a validation curve as CSV: the update, and the error in each third of the range."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["update", *THIRDS])
        for update, errors in found:
            writer.writerow([update, *(f"{error:.6g}" for error in errors)])
