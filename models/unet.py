"""The baseline U-Net that the paper's measurements used."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Kind, register
from models.blocks import (
    Attention,
    FiLM,
    LinearAttention,
    Residual,
    TimeMLP,
    check_size,
    group_norm,
    modulated_norm,
    overwrite,
    scaled,
)

WIDTH = 64
MULTIPLIERS = (1, 2, 4, 8)


class Block(nn.Module):
    """Two convolutions with time entering between them, and a shortcut."""

    def __init__(self, inside: int, outside: int, embed: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm1 = group_norm(outside)
        self.film = FiLM(embed, outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.norm2 = group_norm(outside)
        self.shortcut = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Map x [B,inside,H,W] and e [B, D] to [B,outside,H,W]."""
        h = modulated_norm(self.norm1, self.conv1(x), *self.film(self.norm1, e))
        h = self.norm2(self.conv2(overwrite(F.silu, h)))
        return overwrite(F.silu, h) + self.shortcut(x)


class Down(nn.Module):
    """One encoder level; returns both skips, the second of which feeds `shrink`."""

    def __init__(self, inside: int, outside: int, embed: int, *, last: bool, scale: float) -> None:
        super().__init__()
        attention = Attention if last else LinearAttention
        self.block1 = Block(inside, inside, embed)
        self.block2 = Block(inside, inside, embed)
        self.attend = Residual(attention(inside, scale=scale))
        self.shrink: nn.Module = (
            nn.Conv2d(inside, outside, 3, padding=1)
            if last
            else nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * inside, outside, 1))
        )

    def forward(self, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features behind the first block and behind the attention."""
        first = self.block1(x, e)
        return first, self.attend(self.block2(first, e))


class Up(nn.Module):
    """One decoder level: the mirror image of `Down`, fed with both of its skips."""

    def __init__(
        self, inside: int, outside: int, embed: int, *, first: bool, last: bool, scale: float
    ) -> None:
        super().__init__()
        attention = Attention if first else LinearAttention
        self.block1 = Block(outside + inside, outside, embed)
        self.block2 = Block(outside + inside, outside, embed)
        self.attend = Residual(attention(outside, scale=scale))
        grow = [] if last else [nn.Upsample(scale_factor=2, mode="nearest")]
        self.grow = nn.Sequential(*grow, nn.Conv2d(outside, inside, 3, padding=1))

    def forward(self, x: Tensor, skips: tuple[Tensor, Tensor], e: Tensor) -> Tensor:
        """Map x, with the two skips of the same level, to the next finer level."""
        x = self.block1(torch.cat([x, skips[1]], dim=1), e)
        x = self.block2(torch.cat([x, skips[0]], dim=1), e)
        return self.grow(self.attend(x))


@register(
    Kind.BACKBONE,
    "unet",
    source="Table 5, row U-Net: the network behind the paper's 35.7 M parameters and 7.21 GFLOPS",
    note="Not the U-Net of Ho et al. 2020 that the paper names as its baseline; see unet-ho2020.",
)
class UNet(nn.Module):
    """U-Net of width 64 with multipliers 1, 2, 4, 8 and attention at every level.

    `scale` multiplies every width, rounded to a multiple of 4 and never below 8; the heads of the
    attentions keep their number (4) and shrink in width (32, never below 8).

    Source: the architecture family of Ho et al. 2020, with space-to-depth downsampling, linear
    attention and scale-and-shift conditioning; layer list from the released measurements of the
    paper (35,710,339 parameters; 7,206,256,640 multiply-adds at 3x64x64).
    """

    MULTIPLE = 2 ** (len(MULTIPLIERS) - 1)

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> None:
        """Build it.

        Args:
            channels: Image channels.
            image_size: Side of the images it is meant for; a multiple of 8.
            scale: Multiplies every width.
        """
        super().__init__()
        check_size(image_size, image_size, multiple=self.MULTIPLE)
        base = scaled(WIDTH, scale, multiple=4, least=8)
        embed = 4 * base
        widths = [base, *(base * m for m in MULTIPLIERS)]
        pairs = list(pairwise(widths))
        last = len(pairs) - 1

        self.stem = nn.Conv2d(channels, base, 7, padding=3)
        self.time = TimeMLP(base, embed, act=F.gelu)
        self.downs = nn.ModuleList(
            Down(i, o, embed, last=n == last, scale=scale) for n, (i, o) in enumerate(pairs)
        )
        self.middle1 = Block(widths[-1], widths[-1], embed)
        self.middle_attend = Residual(Attention(widths[-1], scale=scale))
        self.middle2 = Block(widths[-1], widths[-1], embed)
        self.ups = nn.ModuleList(
            Up(i, o, embed, first=n == 0, last=n == last, scale=scale)
            for n, (i, o) in enumerate(reversed(pairs))
        )
        self.final = Block(2 * base, base, embed)
        self.head = nn.Conv2d(base, channels, 1)

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        """Map x_t [B,C,H,W] and step [B] to [B,C,H,W]."""
        check_size(*x_t.shape[-2:], multiple=self.MULTIPLE)
        e = self.time(step)
        x = stem = self.stem(x_t)
        skips = []
        for down in self.downs:
            first, second = down(x, e)
            skips.append((first, second))
            x = down.shrink(second)
        x = self.middle2(self.middle_attend(self.middle1(x, e)), e)
        for up in self.ups:
            x = up(x, skips.pop(), e)
        return self.head(self.final(torch.cat([x, stem], dim=1), e))
