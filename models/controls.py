"""Controls: without them the paper's claim is only that a smaller network is cheaper."""

from collections.abc import Iterable

from torch import Tensor, nn

from bench.api import Kind, register
from models.continuous import ContinuousUNet
from models.cunet import cunet
from models.dynamics import SecondOrderField
from models.unet import UNet

STEPS = 4
"""As many residual steps as rk4 evaluates the field."""


class PerStep(SecondOrderField):
    """A field with its own weights in each of n equal parts of s in [0, 1]."""

    def __init__(self, fields: Iterable[SecondOrderField]) -> None:
        super().__init__()
        self.fields = nn.ModuleList(fields)

    def condition(self, e: Tensor) -> tuple[Tensor, ...]:
        """Return what all fields need of e, one after the other."""
        return tuple(needed for field in self.fields for needed in field.condition(e))

    def acceleration(self, s: float | Tensor, y: Tensor, *conditions: Tensor) -> Tensor:
        """Return dv/ds from the field of the part that s lies in."""
        count = len(self.fields)
        n, each = min(int(float(s) * count + 1e-6), count - 1), len(conditions) // count
        return self.fields[n].acceleration(s, y, *conditions[n * each : (n + 1) * each])


@register(Kind.BACKBONE, "unet-8.8m", source="ours: unet with the parameters of cunet")
def unet_parameters(channels: int = 3, image_size: int = 64, scale: float = 1.0) -> UNet:
    """Return `unet` at half width; 8,940,227 parameters."""
    return UNet(channels, image_size, scale / 2)


@register(Kind.BACKBONE, "unet-2.9g", source="ours: unet with the multiply-adds of cunet")
def unet_macs(channels: int = 3, image_size: int = 64, scale: float = 1.0) -> UNet:
    """Return `unet` at 5/8 of its width; 2,824,375,040 multiply-adds at 3x64x64."""
    return UNet(channels, image_size, scale * 5 / 8)


@register(
    Kind.BACKBONE, "discrete-tied", source="ours: four residual steps, one set of weights a block"
)
def discrete_tied(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return `cunet` with each ODE replaced by y <- y + f(y) / 4, four times."""
    size = {"channels": channels, "image_size": image_size, "scale": scale}
    return cunet(**size, solver="euler", solver_steps=STEPS)


@register(
    Kind.BACKBONE, "discrete-untied", source="ours: four residual steps, each with its own weights"
)
def discrete_untied(
    *, channels: int = 3, image_size: int = 64, scale: float = 1.0
) -> ContinuousUNet:
    """Return `discrete-tied` with a field of its own for every step."""
    size = {"channels": channels, "image_size": image_size, "scale": scale}
    nets = [discrete_tied(**size) for _ in range(STEPS)]
    for blocks in zip(*(net.blocks for net in nets), strict=True):
        blocks[0].dynamics = PerStep([block.dynamics for block in blocks])
    return nets[0]
