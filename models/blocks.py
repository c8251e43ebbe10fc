"""Pieces that several networks share.

Notation: B batch, C channels, H height, W width, D width of the time embedding.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import BenchError

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Activation] = {"softplus": F.softplus, "silu": F.silu, "relu": F.relu}
"""Nonlinearities that a network can be built with, by name."""
IN_PLACE: dict[Activation, Activation] = {
    F.silu: partial(F.silu, inplace=True),
    F.relu: partial(F.relu, inplace=True),
}


def nonlinearity(name: str) -> Activation:
    """Return the nonlinearity of that name.

    Raises:
        BenchError: If there is none.
    """
    if name not in ACTIVATIONS:
        raise BenchError(f"no activation named '{name}'; expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def overwrite(act: Activation, x: Tensor) -> Tensor:
    """Return act(x), in the memory of x where no gradient needs it; nobody else may need x."""
    return act(x) if torch.is_grad_enabled() else IN_PLACE.get(act, act)(x)


def scaled(width: int, scale: float, *, multiple: int = 1, least: int = 1) -> int:
    """Return `width * scale` rounded to a multiple, but no less than `least`.

    Raises:
        BenchError: If the scale is not positive.
    """
    if not scale > 0:
        raise BenchError(f"scale is {scale}, expected a positive number; 1.0 is the paper's width")
    return max(least, multiple * round(width * scale / multiple))


def check_size(height: int, width: int, *, multiple: int, least: int = 0) -> None:
    """Refuse images that cannot be halved often enough.

    Raises:
        BenchError: If a side is not a multiple of `multiple`, or is smaller than `least`.
    """
    least = max(least, multiple)
    if height % multiple or width % multiple or min(height, width) < least:
        fit = max(least, multiple * math.ceil(max(height, width) / multiple))
        raise BenchError(
            f"images are {height}x{width}, this network needs sides that are a multiple of "
            f"{multiple} and at least {least}; resize or pad them, for example to {fit}x{fit}"
        )


def group_norm(width: int, most: int = 8) -> nn.GroupNorm:
    """Return group normalisation with `most` groups, or fewer where the width is small.

    The group count is the largest power of two up to `most` that divides the width and leaves at
    least four channels to a group: groups of one channel would erase each channel's amplitude,
    and with it the noise level.
    """
    count = most
    while count > 1 and (width % count or width // count < 4):
        count //= 2
    return nn.GroupNorm(count, width)


def modulated_norm(norm: nn.GroupNorm, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise x [B,C,H,W] with a gain and an offset [B, C] of each image's own.

    The images of a batch become groups of one: normalising, scaling and shifting is one pass over
    memory in place of three.
    """
    B, C, H, W = x.shape
    flat = x.reshape(1, B * C, H, W)
    y = F.group_norm(flat, B * norm.num_groups, weight.flatten(), bias.flatten(), norm.eps)
    return y.view(B, C, H, W)


def sinusoid(step: Tensor, width: int) -> Tensor:
    """Embed steps [B] as sines and cosines [B, width] of geometrically spaced frequencies.

    Source: Vaswani et al. 2017, section 3.5, in the form of Ho et al. 2020 (sines first; the
    slowest frequency is exactly 1/10,000).
    """
    half = width // 2
    ramp = torch.arange(half, device=step.device, dtype=torch.float32) / max(half - 1, 1)
    angle = step.to(torch.float32)[:, None] * torch.exp(-math.log(10_000.0) * ramp)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class TimeMLP(nn.Module):
    """Sinusoid of the diffusion step, then Linear, a nonlinearity, Linear: [B] -> [B, D]."""

    def __init__(self, sinusoid_width: int, width: int, *, act: Activation = F.silu) -> None:
        super().__init__()
        self.sinusoid_width = sinusoid_width
        self.act = act
        self.inner = nn.Linear(sinusoid_width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, step: Tensor) -> Tensor:
        """Map step [B] to e [B, D]."""
        waves = sinusoid(step, self.sinusoid_width).to(self.inner.weight.dtype)
        return self.outer(self.act(self.inner(waves)))


class FiLM(nn.Module):
    """Feature-wise scale and shift from the time embedding: h (1 + a) + b.

    Source: Perez et al. 2018, "FiLM"; section 3.1 of the paper ("scaling and shifting").
    """

    def __init__(self, embed: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embed, 2 * width)

    def forward(self, norm: nn.GroupNorm, e: Tensor) -> tuple[Tensor, Tensor]:
        """Return gain and offset [B, C] that do what `norm` does, then scale and shift by e [B, D].

        They are those of `modulated_norm`: (gamma h + beta) (1 + a) + b.
        """
        a, b = self.linear(F.silu(e)).chunk(2, dim=1)
        return norm.weight * (1 + a), norm.bias * (1 + a) + b


class ChannelRMSNorm(nn.Module):
    """Divides every pixel's channel vector by its root mean square; one gain per channel.

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    LEAST = 1e-24
    """Of the sum of squares; a vector of zeros stays one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [B,C,H,W] over C."""
        # A norm over channels is read pixel by pixel, eight times slower than this sum.
        squares = x.square().sum(dim=1, keepdim=True).clamp_min(self.LEAST)
        return x * (squares.rsqrt() * x.shape[1] ** 0.5) * self.gain


class Attention(nn.Module):
    """Softmax attention between all pixels, several heads: [B,C,H,W] -> [B,C,H,W].

    The products are spelt out rather than fused, so that every FLOP counter sees them. The
    caller decides whether the input is added to the result.

    Source: Vaswani et al. 2017, section 3.2.
    """

    HEADS = 4
    HEAD_WIDTH = 32

    def __init__(self, width: int, *, scale: float = 1.0) -> None:
        """Build it.

        Args:
            width: Channels C.
            scale: Multiplies the width of a head (32, never below 8); the four heads stay.
        """
        super().__init__()
        self.head_width = scaled(self.HEAD_WIDTH, scale, least=8)
        hidden = self.HEADS * self.head_width
        self.norm = ChannelRMSNorm(width)
        self.qkv = nn.Conv2d(width, 3 * hidden, 1, bias=False)
        self.out = nn.Conv2d(hidden, width, 1)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each [B, heads, head width, H W]."""
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=1)
        shape = (x.shape[0], self.HEADS, self.head_width, -1)
        return q.reshape(shape), k.reshape(shape), v.reshape(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B,C,H,W] to the attended features, without adding x."""
        q, k, v = self.heads(x)
        weight = (q.transpose(-2, -1) * self.head_width**-0.5 @ k).softmax(dim=-1)
        mixed = v @ weight.transpose(-2, -1)
        return self.out(mixed.reshape(x.shape[0], -1, *x.shape[-2:]))


class LinearAttention(Attention):
    """Attention whose cost is linear in the number of pixels; a second norm after the output.

    Source: Shen et al. 2021, "Efficient Attention".
    """

    def __init__(self, width: int, *, scale: float = 1.0) -> None:
        super().__init__(width, scale=scale)
        self.out_norm = ChannelRMSNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B,C,H,W] to the attended features, without adding x."""
        q, k, v = self.heads(x)
        context = k.softmax(dim=-1) @ v.transpose(-2, -1)
        mixed = context.transpose(-2, -1) @ (q.softmax(dim=-2) * self.head_width**-0.5)
        return self.out_norm(self.out(mixed.reshape(x.shape[0], -1, *x.shape[-2:])))


class Residual(nn.Module):
    """Adds the input of a module to its output."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Return x + inner(x)."""
        return x + self.inner(x)
