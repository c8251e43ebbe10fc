"""What a machine can do at most: multiply-adds of products and convolutions, bytes copied.

Source: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model".
Differs: ceilings are the best of some measured calls of torch itself, not the processor's data
    sheet, so that a network cannot be blamed for what the library does not reach.
"""

import functools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from bench.api import BenchError
from bench.metrics.latency import Pace, Stopwatch, compare_latency

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LEAST_S = 0.02
"""Work is made larger until it takes so long, so that starting it does not count."""
SIDES = (512, 1024, 2048, 4096, 8192)
"""Sides of the matrices; 512 already do not fit the nearest cache."""
CONV_WIDTH, CONV_SIDE = 128, 64
"""Channels and pixels of the convolution, as in the networks' middle levels."""
CONV_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Images of the convolution; 256 take a GPU milliseconds, and half a GiB for either tensor."""
COPIED_BYTES = {"cpu": 128 * 2**20, "cuda": 2**30}
"""Larger than caches: what is copied, not what it moves, which is twice that."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One measured limit of the machine."""

    name: str
    """`matmul-float32`, `conv3x3-bfloat16`, `copy-float32`."""
    best_s: float
    median_s: float
    macs: int | None
    """Multiply-adds of one call; None for a copy."""
    bytes_moved: int
    """Read and written by one call."""


def ceilings(
    device: str, *, repeats: int, rng: random.Random, stopwatch: Stopwatch
) -> list[Ceiling]:
    """Measure the ceilings of a device, taking turns, with the threads that torch has.

    Raises:
        BenchError: If nothing is to be repeated.
    """
    if repeats < 1:
        raise BenchError(f"{repeats} repeats of the ceilings, expected at least one")
    works = {}
    for name, dtype in DTYPES.items():
        for kind, make, sizes in (
            ("matmul", _product, SIDES),
            ("conv3x3", _convolution, CONV_BATCHES),
        ):
            sized = (functools.partial(make, device, dtype, size) for size in sizes)
            works[f"{kind}-{name}"] = _long_enough(sized, stopwatch)
        works[f"copy-{name}"] = _copy(device, dtype)
    calls = {name: work.call for name, work in works.items()}
    pace = Pace(repeats, 1, repeats, 0.0)
    timings = compare_latency(calls, pace, rng=rng, stopwatch=stopwatch).timings
    return [
        Ceiling(
            name, min(timings[name].samples), timings[name].median_s, work.macs, work.bytes_moved
        )
        for name, work in works.items()
    ]


@dataclass(frozen=True, slots=True)
class _Work:
    call: Callable[[], object]
    macs: int | None
    bytes_moved: int


def _long_enough(makes: Iterable[Callable[[], _Work]], stopwatch: Stopwatch) -> _Work:
    """Return the first, smallest work that takes long enough, else the largest that fits."""
    found = None
    for make in makes:
        try:
            work = make()
            elapsed = min(stopwatch(work.call) for _ in range(2))
        except torch.OutOfMemoryError:
            if found is None:
                raise
            break
        found = work
        if elapsed >= LEAST_S:
            break
    assert found is not None  # there are sizes
    return found


def _product(device: str, dtype: torch.dtype, side: int) -> _Work:
    a, b = (_numbers((side, side), device, dtype) for _ in range(2))
    out = torch.empty_like(a)
    call = functools.partial(torch.mm, a, b, out=out)
    return _Work(call, side**3, 3 * side**2 * dtype.itemsize)


def _convolution(device: str, dtype: torch.dtype, batch: int) -> _Work:
    x = _numbers((1, CONV_WIDTH, CONV_SIDE, CONV_SIDE), device, dtype).repeat(batch, 1, 1, 1)
    weight = _numbers((CONV_WIDTH, CONV_WIDTH, 3, 3), device, dtype)
    call = torch.inference_mode()(functools.partial(F.conv2d, x, weight, padding=1))
    moved = (2 * x.numel() + weight.numel()) * dtype.itemsize
    return _Work(call, x.numel() * CONV_WIDTH * 9, moved)


def _copy(device: str, dtype: torch.dtype) -> _Work:
    count = COPIED_BYTES[device.partition(":")[0]] // dtype.itemsize
    source = torch.ones(count, device=device, dtype=dtype)
    target = torch.empty_like(source)
    return _Work(functools.partial(target.copy_, source), None, 2 * count * dtype.itemsize)


def _numbers(shape: tuple[int, ...], device: str, dtype: torch.dtype) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=drawn).to(device, dtype)
