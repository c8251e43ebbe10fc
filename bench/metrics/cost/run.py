"""Running a network once in order to count; FLOPs that really ran."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.api import BenchError, Invalid, Skip, image_to_image

PASSED_ON = (BenchError, Invalid, Skip, MemoryError, torch.OutOfMemoryError)
"""Faults that mean something of their own; all others mean that the network is broken."""


@contextmanager
def counting(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Iterator[None]:
    """Run the body in evaluation mode, without gradients, with attention as matrix products.

    Fused attention kernels are invisible to the counters; the plain one is exact. So are torch's
    fused transformer layers, which are switched off as well.

    Raises:
        Invalid: If the body fails.
    """
    training = [part for part in module.modules() if part.training]
    fused = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    except PASSED_ON:
        raise
    except Exception as error:
        shapes = ", ".join(str(list(x.shape)) for x in inputs)
        raise Invalid(
            f"{type(module).__name__} failed on inputs {shapes}: {type(error).__name__}: {error}"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for part in training:
            part.training = True


def run_once(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the output of an image-to-image network.

    Raises:
        Invalid: If it fails, or if its output has not the shape of its first input.
    """
    with counting(module, inputs):
        return image_to_image(module, *inputs)


def arguments_of(layer: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """Return what a layer was called with in the order of its signature, however it was called."""
    if not kwargs:
        return list(args)
    bound = inspect.signature(layer.forward).bind(*args, **kwargs)
    return list(bound.arguments.values())


def torch_flops(module: nn.Module, *inputs: torch.Tensor) -> int:
    """Return the FLOPs (2 per multiply-add) of all convolutions and matrix products that ran.

    Every evaluation inside an ODE solver counts, adaptive ones too: this is the reference for
    costs that depend on the data.

    Raises:
        Invalid: If the network fails or changes the shape of its input.
    """
    with FlopCounterMode(display=False) as counter:
        run_once(module, inputs)
    return counter.get_total_flops()
