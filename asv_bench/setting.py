"""What all benchmarks share: their size, one thread, and counting of operators.

Whatever a revision of years ago may lack is imported where it is used: the suite of today measures
all commits.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.registry import build, names

SIZE = 32
SCALE = 0.25
PAIR = [name for name in names("backbone") if name in ("unet", "cunet")]
"""The two that the paper compares."""


class Dispatched(TorchDispatchMode):
    """Counts the operators that run inside."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


class Brief:
    """How long asv times: once, ten samples, so that the whole suite takes minutes."""

    rounds = 1
    repeat = (3, 10, 2.0)
    warmup_time = 0.05


def operators(call):
    """Count what is dispatched one by one, what a processor pays for in overhead.

    Not in the first call, in which libraries make what they keep.
    """
    call()
    with Dispatched() as counted:
        call()
    return counted.calls


def fixed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def network(name):
    fixed()
    return build("backbone", name, channels=3, image_size=SIZE, scale=SCALE)
