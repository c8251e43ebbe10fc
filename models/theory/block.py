"""A dynamic block of the continuous U-Net by itself: small, random, in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.blocks import nonlinearity
from models.dynamics import SecondOrder
from models.released import FirstOrder

WIDTH = 16
"""Channels of the whole state."""
SIDE = 8
EMBEDDING = 8
GAIN = 1.5
"""Random weights are enlarged so much that the trajectory bends."""


@dataclass(frozen=True)
class Block:
    """A field f(s, y), a state to begin with, and what both depend on."""

    dynamics: nn.Module
    y0: Tensor
    """[B, WIDTH, SIDE, SIDE]: position z and velocity v, one after the other."""
    e: Tensor
    """[B, EMBEDDING], the embedded diffusion step."""

    @property
    def field(self) -> Callable[[float, Tensor], Tensor]:
        """The right-hand side."""
        return lambda s, y: self.dynamics(s, y, self.e)


def second_order(seed: int, batch: int = 2) -> Block:
    """Return the block of Section 3.1: z'' = f(z, z', e)."""
    torch.manual_seed(seed)
    return _block(SecondOrder(WIDTH, EMBEDDING, nonlinearity("silu")), batch)


def released(seed: int, batch: int = 2) -> Block:
    """Return the block of the released code, of which `WIDTH` channels are one state."""
    torch.manual_seed(seed)
    return _block(FirstOrder(WIDTH, nn.InstanceNorm2d, nonlinearity("softplus")), batch)


def _block(dynamics: nn.Module, batch: int) -> Block:
    dynamics.double()
    with torch.no_grad():
        for parameter in dynamics.parameters():
            parameter.mul_(GAIN)
    y0 = torch.randn(batch, WIDTH, SIDE, SIDE, dtype=torch.float64)
    return Block(dynamics, y0, torch.randn(batch, EMBEDDING, dtype=torch.float64))


def halves(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return position and velocity of a state [B,C,H,W], [B,C/2,H,W] each."""
    z, v = y.chunk(2, dim=1)
    return z, v


def relative(wrong: Tensor, right: Tensor) -> float:
    """Return the relative error in the Euclidean norm."""
    return float((wrong - right).norm() / right.norm())
