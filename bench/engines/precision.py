"""The numbers that an engine computes with."""

import torch
from torch import Tensor, nn

from bench.api import BenchError, Skip
from bench.metrics.audit import BFLOAT16, REORDERED

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Autocast(nn.Module):
    """Runs a network with convolutions and matrix products in a lower precision."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        """Map x_t [B,C,H,W] and step [B] to [B,C,H,W], in the type of x_t."""
        with torch.autocast(x_t.device.type, self.dtype):
            return self.network(x_t, step).to(x_t.dtype)


class Engine:
    """What all engines are built with: the numbers that they compute with."""

    def __init__(self, dtype: str = "float32") -> None:
        """Build it.

        Raises:
            BenchError: If there is no such precision.
        """
        if dtype not in DTYPES:
            raise BenchError(f"no precision '{dtype}' of an engine; known: {', '.join(DTYPES)}")
        self.dtype = dtype

    @property
    def tolerance(self) -> float:
        """How far its results may be from those of the network itself: sums change their order."""
        return BFLOAT16 if self.dtype == "bfloat16" else REORDERED


def in_precision(network: nn.Module, dtype: str, *, device: torch.device) -> nn.Module:
    """Return a network that computes in float32, or with bfloat16 products.

    Raises:
        Skip: If the processor would have to imitate bfloat16.
    """
    if dtype == "float32":
        return network
    if device.type == "cpu" and not has_bfloat16():
        raise Skip("this processor has no units for bfloat16 (AVX512-BF16 or AMX)")
    return Autocast(network, DTYPES[dtype])


def has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 numbers by itself."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)
