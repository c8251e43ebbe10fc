"""The continuous U-Net as the paper describes it: second order, with a live time embedding."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Kind, register
from models.blocks import Attention, Residual, TimeMLP, nonlinearity, scaled, sinusoid
from models.continuous import ContinuousUNet, Parts, Shape
from models.dynamics import PlainSecondOrder, SecondOrder
from models.solve import MOST, Integrator

ACTIVATION = "silu"
"""The default nonlinearity of every `cunet`; the paper's text says ReLU, its code softplus."""

SINUSOID_WIDTH = 256
EMBED_WIDTH = 32


class InitialVelocity(nn.Module):
    """Image to initial state y = [z | v].

    z is a plain convolution of the image, so noise level and mean colour survive; v has passed
    the two instance normalisations that the paper names.

    Source: section 3.1 of the paper, "initial velocity block".
    Differs: the paper does not say where the initial position comes from.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.position = nn.Conv2d(channels, half, 3, padding=1)
        self.velocity = nn.Sequential(
            nn.InstanceNorm2d(channels),
            nn.Conv2d(channels, half, 3, padding=1),
            nn.ReLU(),
            nn.InstanceNorm2d(half),
            nn.Conv2d(half, half, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map an image [B,channels,H,W] to y0 [B,C,H,W]."""
        return torch.cat([self.position(x), self.velocity(x)], dim=1)


class Sinusoid(nn.Module):
    """The sinusoidal embedding of the step alone, [B] -> [B, 256]."""

    def forward(self, step: Tensor) -> Tensor:
        """Map step [B] to its waves."""
        return sinusoid(step, SINUSOID_WIDTH)


class AddedTime(nn.Module):
    """Embedding of the step to an offset per channel: Linear, SiLU, Linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(SINUSOID_WIDTH, width)
        self.outer = nn.Linear(width, width)

    def forward(self, e: Tensor) -> Tensor:
        """Map e [B, 256] to an offset [B, C]."""
        return self.outer(F.silu(self.inner(e.to(self.inner.weight.dtype))))


@register(
    Kind.BACKBONE,
    "cunet",
    source="section 3 of the paper: second-order dynamics, time embedding in every field",
)
def cunet(  # noqa: PLR0913 - flat, so that each can be set by name from the command line
    *,
    channels: int = 3,
    image_size: int = 64,
    scale: float = 1.0,
    levels: int = 5,
    activation: str = ACTIVATION,
    solver: str = "rk4",
    solver_steps: int = 1,
    solver_path: str = "own",
    adjoint: bool = False,
    tolerance: float = 1e-3,
    most_evaluations: int = MOST,
    attention: bool = True,
    residual: bool = True,
    skip: bool = True,
) -> ContinuousUNet:
    """Return the continuous U-Net; 8,887,219 parameters and 36 evaluations at the defaults.

    Args:
        channels: Image channels.
        image_size: Side of the images; a multiple of 2 ** (levels - 1).
        scale: Multiplies every width (the state's 32 stays a multiple of 4, the time embedding's
            32 never falls below 16, the heads of the attentions never below 8).
        levels: Resolutions, and ODE blocks on the way down including the bottleneck.
        activation: "softplus", "silu" or "relu", in the fields and the transitions.
        solver: A registered solver.
        solver_steps: Fixed steps over s in [0, 1].
        solver_path: "own" or "torchdiffeq".
        adjoint: Whether gradients come from the adjoint ODE.
        tolerance: Relative and absolute tolerance of an adaptive solver.
        most_evaluations: Of a field, after which an adaptive solver gives up.
        attention: False removes the two attentions (paper: "wo/A").
        residual: False gives the paper's "no resblocks", which changes three things at once.
        skip: False removes "y +" from the field and nothing else.

    Differs: the paper leaves open the attention's place and whether its input is added (it is).
    """
    shape = Shape(channels, image_size, scale, levels)
    act = nonlinearity(activation)
    embed = scaled(EMBED_WIDTH, scale, least=16)
    parts = Parts(
        entry=InitialVelocity(channels, shape.base),
        time=TimeMLP(SINUSOID_WIDTH, embed) if residual else Sinusoid(),
        dynamics=partial(SecondOrder, embed=embed, act=act, skip=skip)
        if residual
        else partial(PlainSecondOrder, act=act),
        act=act,
        attention=lambda width: Residual(Attention(width, scale=scale)),
        attended=shape.attended(2 if attention else 0),
        inject=None if residual else AddedTime,
    )
    integrator = Integrator(
        solver, solver_steps, solver_path, adjoint, rtol=tolerance, atol=tolerance,
        most=most_evaluations,
    )  # fmt: skip
    return ContinuousUNet(shape, parts, integrator)
