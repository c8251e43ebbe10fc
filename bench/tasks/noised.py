"""The noised test images that every denoiser of a study sees: one seam for Tables 2 to 4."""

from dataclasses import dataclass

from torch import Tensor

from bench.api import Cell, Context, Dataset, Kind, Level
from bench.batches import chosen, padded, padded_indices, to_float
from bench.metrics.lpips import LPIPS
from bench.seeds import ImageNoise


@dataclass(frozen=True)
class Batch:
    """One padded micro-batch of noised images."""

    clean: Tensor
    noisy: Tensor
    """clean + sigma * noise, never clipped."""
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

    @classmethod
    def of(cls, cell: Cell, context: Context, dataset: Dataset) -> "Noised":
        """Return the images that a cell's spec asks for."""
        spec = cell.spec
        clean = to_float(chosen(dataset.images("test"), spec["n"]))
        level = context.build(Kind.SCHEDULE).level(spec["t"])
        return cls(clean, level, spec["micro_batch"], context.device, spec["seed"], dataset.name)

    def batch(self, block: range) -> Batch:
        """Return the micro-batch of some of the images."""
        indices = padded_indices(block, self.micro_batch)
        clean = padded(self.clean[list(block)], self.micro_batch).to(self.device)
        about = (self.dataset, self.level.schedule, self.level.t, self.seed)
        noise = ImageNoise("noise", *about, images=indices)(clean)
        further = ImageNoise("restore", *about, images=indices)
        return Batch(clean, clean + self.level.sigma * noise, further, len(block))

    def about(self) -> dict[str, object]:
        """Return the columns that say what was restored."""
        return {
            "sigma": self.level.sigma,
            "n": len(self.clean),
            "channels": self.clean.shape[1],
            "split": "test",
            "lpips_resize": LPIPS.resize_of(self.clean),
        }
