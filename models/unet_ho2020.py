"""The U-Net of Ho et al. 2020, which the paper names as its baseline."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Kind, register
from models.blocks import TimeMLP, check_size, group_norm, overwrite, scaled

WIDTH = 128
MULTIPLIERS = (1, 2, 2, 2)
BLOCKS = 2
ATTENTION_SIDE = 16
GROUPS = 32


class Block(nn.Module):
    """Norm, nonlinearity, convolution, twice; time is added in between; a shortcut."""

    def __init__(self, inside: int, outside: int, embed: int) -> None:
        super().__init__()
        self.norm1 = group_norm(inside, GROUPS)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.time = nn.Linear(embed, outside)
        self.norm2 = group_norm(outside, GROUPS)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.shortcut = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Map x [B,inside,H,W] and e [B, D] to [B,outside,H,W]."""
        h = self.conv1(overwrite(F.silu, self.norm1(x))) + self.time(F.silu(e))[:, :, None, None]
        return self.conv2(overwrite(F.silu, self.norm2(h))) + self.shortcut(x)


class SelfAttention(nn.Module):
    """One head as wide as the features; adds its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = group_norm(width, GROUPS)
        self.q = nn.Conv2d(width, width, 1)
        self.k = nn.Conv2d(width, width, 1)
        self.v = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return x [B,C,H,W] plus its attended features."""
        h = self.norm(x)
        q, k, v = (project(h).flatten(2) for project in (self.q, self.k, self.v))
        weight = (q.transpose(1, 2) * x.shape[1] ** -0.5 @ k).softmax(dim=-1)
        return x + self.out((v @ weight.transpose(1, 2)).reshape(x.shape))


class Stage(nn.Module):
    """A block, with attention behind it at the one resolution that has it."""

    def __init__(self, inside: int, outside: int, embed: int, *, attend: bool) -> None:
        super().__init__()
        self.block = Block(inside, outside, embed)
        self.attend = SelfAttention(outside) if attend else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Map x [B,inside,H,W] and e [B, D] to [B,outside,H,W]."""
        return self.attend(self.block(x, e))


@register(
    Kind.BACKBONE,
    "unet-ho2020",
    source="Ho et al. 2020, appendix B: the baseline that section 4.1 of the paper names",
    note="The paper's numbers belong to another U-Net; see unet.",
)
class UNetHo2020(nn.Module):
    """U-Net of width 128, multipliers 1, 2, 2, 2, two blocks a level, attention at 16x16.

    35,746,307 parameters at 3 channels. `scale` multiplies every width, rounded to a multiple of
    4 and never below 8.

    Source: Ho et al. 2020, appendix B.
    Differs: no dropout (it was 0.1 on CIFAR-10 and 0 elsewhere); symmetric padding before the
    strided convolutions.
    """

    MULTIPLE = 2 ** (len(MULTIPLIERS) - 1)

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0) -> None:
        """Build it.

        Args:
            channels: Image channels.
            image_size: Side of the images; a multiple of 8. It decides which level has 16x16
                pixels and so attention (32: the second, 64: the third).
            scale: Multiplies every width.
        """
        super().__init__()
        check_size(image_size, image_size, multiple=self.MULTIPLE)
        base = scaled(WIDTH, scale, multiple=4, least=8)
        embed = 4 * base
        widths = [base, *(base * m for m in MULTIPLIERS)]
        attends = [image_size >> level == ATTENTION_SIDE for level in range(len(MULTIPLIERS))]

        self.stem = nn.Conv2d(channels, base, 3, padding=1)
        self.time = TimeMLP(base, embed)
        self.downs, self.shrinks, skips = nn.ModuleList(), nn.ModuleList(), [base]
        for level, (inside, outside) in enumerate(pairwise(widths)):
            for n in range(BLOCKS):
                width = outside if n else inside
                self.downs.append(Stage(width, outside, embed, attend=attends[level]))
                skips.append(outside)
            if level + 1 < len(MULTIPLIERS):
                self.shrinks.append(nn.Conv2d(outside, outside, 3, stride=2, padding=1))
                skips.append(outside)

        width = widths[-1]
        self.middle1 = Stage(width, width, embed, attend=True)
        self.middle2 = Stage(width, width, embed, attend=False)

        self.ups, self.grows = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(MULTIPLIERS))):
            for _ in range(BLOCKS + 1):
                outside = widths[level + 1]
                self.ups.append(Stage(width + skips.pop(), outside, embed, attend=attends[level]))
                width = outside
            if level:
                conv = nn.Conv2d(width, width, 3, padding=1)
                self.grows.append(nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv))
        self.norm = group_norm(base, GROUPS)
        self.head = nn.Conv2d(base, channels, 3, padding=1)

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        """Map x_t [B,C,H,W] and step [B] to [B,C,H,W]."""
        check_size(*x_t.shape[-2:], multiple=self.MULTIPLE)
        e = self.time(step)
        skips = [x := self.stem(x_t)]
        for n, down in enumerate(self.downs):
            skips.append(x := down(x, e))
            level, at = divmod(n, BLOCKS)
            if at == BLOCKS - 1 and level < len(self.shrinks):
                skips.append(x := self.shrinks[level](x))
        x = self.middle2(self.middle1(x, e), e)
        for n, up in enumerate(self.ups):
            x = up(torch.cat([x, skips.pop()], dim=1), e)
            level, at = divmod(n, BLOCKS + 1)
            if at == BLOCKS and level < len(self.grows):
                x = self.grows[level](x)
        return self.head(overwrite(F.silu, self.norm(x)))
