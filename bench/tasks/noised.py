"""The noised test images that every denoiser of a study sees: one seam for Tables 2 to 4."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bench.api import Cell, Context, Dataset, Invalid, Kind, Level
from bench.batches import chosen, padded, padded_indices, to_float
from bench.metrics.lpips import LPIPS
from bench.seeds import ImageNoise


@dataclass(frozen=True)
class Batch:
    """One padded micro-batch of noised images."""

    clean: Tensor
    noisy: Tensor
    """clean + sigma * noise, never clipped but in the variant that says so."""
    noise: ImageNoise
    """For denoisers that draw more noise; independent of the noise on the images."""
    real: int
    """How many of the images count; the rest is padding."""


@dataclass(frozen=True)
class Noised:
    """The first `n` test images at one level; the noise depends on image and level, not method."""

    clean: Tensor
    level: Level
    micro_batch: int
    device: str
    seed: int
    dataset: str
    clipped: bool = False
    """Whether the noisy images are clipped to [0, 1]: a variant, stamped on every row."""

    @classmethod
    def of(cls, cell: Cell, context: Context, dataset: Dataset) -> "Noised":
        """Return the images that a cell's spec asks for.

        Raises:
            Invalid: If its noising step is none of the schedule's.
        """
        spec = cell.spec
        clean = to_float(chosen(dataset.images("test"), spec["n"]))
        level = _level(context.build(Kind.SCHEDULE), spec["t"])
        device, size = context.device, spec["micro_batch"]
        clipped = bool(spec.get("clipped"))
        return cls(clean, level, size, device, spec["seed"], dataset.name, clipped)

    def batch(self, block: range) -> Batch:
        """Return the micro-batch of some of the images."""
        indices = padded_indices(block, self.micro_batch)
        clean = padded(self.clean[list(block)], self.micro_batch).to(self.device)
        about = (self.dataset, self.level.schedule, self.level.t, self.seed)
        noise = ImageNoise("noise", *about, images=indices)(clean)
        noisy = clean + self.level.sigma * noise
        further = ImageNoise("restore", *about, images=indices)
        return Batch(clean, noisy.clamp(0, 1) if self.clipped else noisy, further, len(block))

    def about(self) -> dict[str, object]:
        """Return the columns that say what was restored."""
        return {
            "sigma": self.level.sigma,
            "clipped": self.clipped,
            "n": len(self.clean),
            "channels": self.clean.shape[1],
            "split": "test",
            "lpips_resize": LPIPS.resize_of(self.clean),
        }


def _level(schedule: Any, t: int) -> Level:
    if not 1 <= t <= schedule.steps:
        raise Invalid(
            f"noising step {t} of schedule '{schedule.name}', expected 1 to {schedule.steps}"
        )
    return schedule.level(t)
