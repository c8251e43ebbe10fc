"""A trained diffusion network as a map of its input, to be examined at noised held-out images."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.api import BenchError, Cell, Context, Kind
from bench.batches import padded_indices
from bench.metrics.lipschitz import Linearised, lengths, unit
from bench.seeds import ImageNoise
from bench.tasks.denoisers import finite, trained_denoiser
from bench.tasks.noised import Noised

OUTPUT, X0 = "output", "x0"
MAPS = (OUTPUT, X0)
"""What the network says, and the clean image that follows from it (before any clipping)."""
TOGETHER = 8
"""Images whose Jacobians are iterated at once; autograd keeps what each of them needs."""


@dataclass(frozen=True)
class Examined:
    """A network at one noise level."""

    name: str
    diffusion: Any
    t: float
    noised: Noised

    @classmethod
    def of(cls, cell: Cell, context: Context) -> "Examined":
        """Return the trained network of a cell.

        Raises:
            BenchError: If its denoiser is no diffusion model.
        """
        dataset = context.build(Kind.DATASET)
        name = cell.spec["denoiser"]["name"]
        denoiser = trained_denoiser(cell, context, dataset)
        if not hasattr(denoiser, "diffusion"):
            raise BenchError(
                f"'{name}' is no diffusion model, whose network could be examined; expected "
                "diffusion:<backbone>"
            )
        denoiser.requires_grad_(False)  # derivatives are by the input alone
        noised = Noised.of(cell, context, dataset)
        t = denoiser.diffusion.schedule.step_of_sigma(noised.level.sigma)
        return cls(name, denoiser.diffusion, t, noised)

    def first(self, count: int) -> "Examined":
        """Return the same with the first images alone, in batches small enough for Jacobians."""
        size = min(TOGETHER, self.noised.micro_batch)
        return replace(
            self, noised=replace(self.noised, clean=self.noised.clean[:count], micro_batch=size)
        )

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.noised.clean)

    def states(self, block: range) -> Tensor:
        """Return the network's inputs x_t [B,C,H,W] of a padded micro-batch."""
        share = self.diffusion.schedule.share(self.t)
        return (2 * self.noised.batch(block).noisy - 1) * share**0.5

    def directions(self, block: range, purpose: str) -> Tensor:
        """Return random directions of length 1, each image's from a seed of its own."""
        seeds = self.noised
        indices = padded_indices(block, seeds.micro_batch)
        about = (seeds.dataset, seeds.level.schedule, seeds.level.t, seeds.seed)
        noise = ImageNoise(purpose, *about, images=indices)
        return unit(noise(self.states(block)))

    def both(self, x_t: Tensor) -> dict[str, Tensor]:
        """Return what the network says of states [B,C,H,W], and the predicted clean images."""
        said: list[Tensor] = []
        hook = self.diffusion.backbone.register_forward_hook(
            lambda module, args, output: said.append(output)
        )
        try:
            x0 = self.diffusion.predict(x_t, self.t, clip=False).x0
        finally:
            hook.remove()
        return {OUTPUT: said[-1], X0: x0}

    def outputs(self, x_t: Tensor) -> dict[str, Tensor]:
        """Return the same without derivatives.

        Raises:
            Invalid: If one is not finite.
        """
        found = self.both(x_t.clone())
        return {name: finite(value, f"the {name} of {self.name}") for name, value in found.items()}

    def near(self, x_t: Tensor, of: str) -> Linearised:
        """Return one of both maps near some states."""
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
            return Linearised(lambda x: self.both(x)[of], x_t, f"{self.name} ({of})")


def moved(x_t: Tensor, direction: Tensor, size: float) -> Tensor:
    """Return states moved along directions of length 1 by a share of their own length."""
    by = (size * lengths(x_t)).reshape(-1, *[1] * (x_t.dim() - 1))
    return x_t + (by * direction.double()).to(x_t.dtype)
