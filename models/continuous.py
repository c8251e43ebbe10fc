"""The U shape that all continuous networks share: an ODE block at every level, 1x1 transitions.

Notation: level 0 is the image's resolution; stage n of 2 * levels - 1 counts the ODE blocks from
the entry over the bottleneck to the exit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import BenchError, Solution
from models.blocks import Activation, check_size, scaled
from models.dynamics import ODEBlock
from models.solve import Integrator

BASE_WIDTH = 32


@dataclass(frozen=True)
class Shape:
    """Sizes of a continuous U-Net.

    `scale` multiplies every width; the first is a multiple of 4, so that both halves of a
    second-order state can be split into pairs.
    """

    channels: int = 3
    image_size: int = 64
    scale: float = 1.0
    levels: int = 5
    least_side: int = 0
    """Smallest image that the normalisations can stand."""

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise BenchError(f"levels is {self.levels}, expected 2 or more (the paper has 5)")
        self.check(self.image_size, self.image_size)

    def check(self, height: int, width: int) -> None:
        """Refuse images that the network cannot halve often enough."""
        check_size(height, width, multiple=2 ** (self.levels - 1), least=self.least_side)

    @property
    def base(self) -> int:
        """Width of level 0."""
        return scaled(BASE_WIDTH, self.scale, multiple=4, least=4)

    @property
    def widths(self) -> list[int]:
        """State width of each stage: 32, 64, ..., 512, ..., 64, 32 at full width."""
        down = [self.base * 2**level for level in range(self.levels)]
        return down + down[-2::-1]

    def attended(self, count: int) -> tuple[int, ...]:
        """Return the stages with attention: 2 are the ones beside the bottleneck; 5 adds more."""
        bottom, last = self.levels - 1, 2 * self.levels - 2
        stages = {
            0: (),
            2: (bottom - 1, bottom + 1),
            5: (1, bottom - 1, bottom, bottom + 1, last - 1),
        }
        if count not in stages:
            raise BenchError(f"{count} attention layers asked for, expected 0, 2 or 5")
        return tuple(sorted(set(stages[count])))


@dataclass(frozen=True)
class Parts:
    """What distinguishes one continuous U-Net from another."""

    entry: nn.Module
    """Image to first state."""
    time: nn.Module
    """Step [B] to the embedding e [B, D] that every block gets."""
    dynamics: Callable[[int], nn.Module]
    """Width to a field f(s, y, e)."""
    act: Activation
    """Nonlinearity of the transitions."""
    attention: Callable[[int], nn.Module] | None = None
    """Width to what is applied to the output of a block."""
    attended: tuple[int, ...] = ()
    """The stages that have it."""
    inject: Callable[[int], nn.Module] | None = None
    """Width to a map from e to what is added at the entry and in every transition."""


class ContinuousUNet(nn.Module):
    """ODE blocks in a U: bilinear resizing by 2, 1x1 transitions, skips by concatenation.

    Source: section 3 and Figure 1 of the paper; layer list from its released measurements.

    Attributes:
        integrator: How the blocks are solved; may be exchanged at any time.
    """

    def __init__(self, shape: Shape, parts: Parts, integrator: Integrator) -> None:
        super().__init__()
        widths = shape.widths
        self.shape = shape
        self.integrator = integrator
        self.act = parts.act
        self.entry = parts.entry
        self.time = parts.time
        self.blocks = nn.ModuleList(
            ODEBlock(parts.dynamics(width), f"ODE block {n} of {len(widths)} ({width} channels)")
            for n, width in enumerate(widths, 1)
        )
        attention = parts.attention
        self.attentions = nn.ModuleDict(
            {str(n): attention(widths[n]) for n in parts.attended} if attention else {}
        )
        self.transitions = nn.ModuleList(
            # On the way up the skip of the target level is concatenated first.
            nn.Conv2d(wide if wide < next_ else wide + next_, next_, 1)
            for wide, next_ in pairwise(widths)
        )
        inject = parts.inject
        self.injections = nn.ModuleList([inject(width) for width in widths] if inject else [])
        self.head = nn.Conv2d(widths[-1], shape.channels, 1)

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        """Map x_t [B,C,H,W] and step [B] to [B,C,H,W]."""
        return self.trace(x_t, step).y

    def trace(self, x_t: Tensor, step: Tensor) -> Solution:
        """Return the output and the number of field evaluations of all blocks together."""
        self.shape.check(*x_t.shape[-2:])
        bottom = self.shape.levels - 1
        e = self.time(step)
        y = self._with_time(self.entry(x_t), e, 0)
        skips: list[Tensor] = []
        nfe = 0
        for stage, block in enumerate(self.blocks):
            if stage:
                y = self._down(y, e, stage) if stage <= bottom else self._up(y, skips, e, stage)
            # A state has its parameters' precision, also where its field's products have less:
            # increments of many steps would be rounded away.
            solution = block(y.to(self.head.weight.dtype), e, self.integrator)
            y, nfe = solution.y, nfe + solution.nfe
            if str(stage) in self.attentions:
                y = self.attentions[str(stage)](y)
            if stage < bottom:
                skips.append(y)
        return Solution(self.head(y), nfe)

    def fields(self) -> Iterator[tuple[Callable[[float, Tensor, Tensor], Tensor], int]]:
        """Yield each block's f(s, y, e) with the number of channels of its state y."""
        for block, width in zip(self.blocks, self.shape.widths, strict=True):
            yield block.dynamics, width

    def _down(self, y: Tensor, e: Tensor, stage: int) -> Tensor:
        y = self.act(self._with_time(self.transitions[stage - 1](y), e, stage))
        return F.interpolate(y, scale_factor=0.5, mode="bilinear", align_corners=False)

    def _up(self, y: Tensor, skips: list[Tensor], e: Tensor, stage: int) -> Tensor:
        y = F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
        y = self.transitions[stage - 1](torch.cat([y, skips.pop()], dim=1))
        return self.act(self._with_time(y, e, stage))

    def _with_time(self, y: Tensor, e: Tensor, stage: int) -> Tensor:
        return y + self.injections[stage](e)[:, :, None, None] if self.injections else y
