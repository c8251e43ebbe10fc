"""The continuous U-Nets of the paper's released code, with what that code really computes.

Findings, each checked by a test: the step has no effect on the full networks (bit for bit), the
ODE is of first order in the whole state, and the instance normalisation of the image makes the
output blind to each channel's gain and offset.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from bench.api import Kind, Property, register
from models.blocks import Activation, Attention, group_norm, nonlinearity, sinusoid
from models.continuous import ContinuousUNet, Parts, Shape
from models.cunet import SINUSOID_WIDTH, AddedTime
from models.solve import Integrator

STEPS = 1000
DEAD = "The time embedding is looked up and never used: the output is the same for every step."
CONFOUNDED = (
    "Not only without residual: its second convolution is 1x1 and, unlike the full network, it "
    "does use the step."
)


DEAD_LACKS = (Property.STEP_DEPENDENCE, Property.SECOND_ORDER)
LIVE_LACKS = (Property.SECOND_ORDER,)


class FirstOrder(nn.Module):
    """dy/ds = y + act(conv3x3 (norm (act(conv3x3 (norm(y)))))), on the whole state.

    Source: released code. It takes e and ignores it.
    """

    def __init__(self, width: int, norm: Callable[[int], nn.Module], act: Activation) -> None:
        super().__init__()
        self.act = act
        self.norm1, self.norm2 = norm(width), norm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, s: float | Tensor, y: Tensor, e: Tensor) -> Tensor:
        """Return dy/ds [B,C,H,W]."""
        h = self.act(self.conv1(self.norm1(y)))
        return y + self.act(self.conv2(self.norm2(h)))


class PlainFirstOrder(FirstOrder):
    """dy/ds = act(conv1x1 (norm (act(conv3x3 (norm(y)))))): no residual, a smaller convolution."""

    def __init__(self, width: int, norm: Callable[[int], nn.Module], act: Activation) -> None:
        super().__init__(width, norm, act)
        self.conv2 = nn.Conv2d(width, width, 1)

    def forward(self, s: float | Tensor, y: Tensor, e: Tensor) -> Tensor:
        """Return dy/ds [B,C,H,W]."""
        h = self.act(self.conv1(self.norm1(y)))
        return self.act(self.conv2(self.norm2(h)))


class FrozenTable(nn.Module):
    """A table of 1000 sinusoids that is stored as a parameter and not trained.

    Steps between the rows take the nearest one.
    """

    def __init__(self) -> None:
        super().__init__()
        rows = sinusoid(torch.arange(STEPS), SINUSOID_WIDTH)
        self.table = nn.Parameter(rows, requires_grad=False)

    def forward(self, step: Tensor) -> Tensor:
        """Map step [B] to rows [B, 256]."""
        return self.table[step.round().long().clamp(0, STEPS - 1)]


def build(
    shape: Shape,
    *,
    attentions: int,
    residual: bool = True,
    norm: Callable[[int], nn.Module] = nn.InstanceNorm2d,
) -> ContinuousUNet:
    """Return one network of the released family.

    Args:
        shape: Its sizes.
        attentions: 0, 2 or 5; each replaces the features, nothing is added to it.
        residual: Whether the field has its residual (and time is dead).
        norm: Normalisation inside the field.
    """
    act = nonlinearity("softplus")
    half = shape.base // 2
    parts = Parts(
        entry=nn.Sequential(
            nn.InstanceNorm2d(shape.channels),
            nn.Conv2d(shape.channels, half, 3, padding=1),
            nn.Softplus(),
            nn.InstanceNorm2d(half),
            nn.Conv2d(half, shape.base, 1),
            nn.Softplus(),
        ),
        time=FrozenTable(),
        dynamics=partial(FirstOrder if residual else PlainFirstOrder, norm=norm, act=act),
        act=act,
        attention=partial(Attention, scale=shape.scale),
        attended=shape.attended(attentions),
        inject=None if residual else AddedTime,
    )
    return ContinuousUNet(shape, parts, Integrator("rk4"))


def _shape(channels: int, image_size: int, scale: float) -> Shape:
    # The instance normalisation of the bottleneck needs more than one pixel.
    return Shape(channels, image_size, scale, least_side=32)


@register(
    Kind.BACKBONE,
    "cunet-released",
    source="released code, 2 attentions: the 8.8 M parameters of Table 5",
    lacks=DEAD_LACKS,
    note=DEAD,
)
def released(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return the network behind the paper's 8.8 M; 8,811,875 parameters."""
    return build(_shape(channels, image_size, scale), attentions=2)


@register(
    Kind.BACKBONE,
    "cunet-released-a5",
    source="released code, 5 attentions: the 2.90 GFLOPS of Table 5",
    lacks=DEAD_LACKS,
    note=DEAD,
)
def released_a5(*, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> ContinuousUNet:
    """Return the network behind the paper's 2.90 GFLOPS; 9,140,835 parameters."""
    return build(_shape(channels, image_size, scale), attentions=5)


@register(
    Kind.BACKBONE,
    "cunet-released-a5-groupnorm",
    source="released notebook, 5 attentions, GroupNorm: the 137.9 MB of Table 5",
    lacks=DEAD_LACKS,
    note=DEAD,
)
def released_a5_groupnorm(
    *, channels: int = 3, image_size: int = 64, scale: float = 1.0
) -> ContinuousUNet:
    """Return the network behind the paper's 137.9 MB; 9,146,723 parameters."""
    return build(_shape(channels, image_size, scale), attentions=5, norm=group_norm)


@register(
    Kind.BACKBONE,
    "cunet-released-no-attention",
    source="released code: Table 5, row wo/A",
    lacks=DEAD_LACKS,
    note=DEAD,
)
def released_no_attention(
    *, channels: int = 3, image_size: int = 64, scale: float = 1.0
) -> ContinuousUNet:
    """Return the released network without attention; 8,548,707 parameters."""
    return build(_shape(channels, image_size, scale), attentions=0)


@register(
    Kind.BACKBONE,
    "cunet-released-no-residual",
    source="released code: Table 5, row wo/R",
    lacks=LIVE_LACKS,
    note=CONFOUNDED,
)
def released_no_residual(
    *, channels: int = 3, image_size: int = 64, scale: float = 1.0
) -> ContinuousUNet:
    """Return the released "no resblocks"; 6,138,083 parameters."""
    return build(_shape(channels, image_size, scale), attentions=2, residual=False)


@register(
    Kind.BACKBONE,
    "cunet-released-no-attention-no-residual",
    source="released code: Table 5, row wo/A/R",
    lacks=LIVE_LACKS,
    note=CONFOUNDED,
)
def released_no_attention_no_residual(
    *, channels: int = 3, image_size: int = 64, scale: float = 1.0
) -> ContinuousUNet:
    """Return the released network without both; 5,874,915 parameters."""
    return build(_shape(channels, image_size, scale), attentions=0, residual=False)
