"""Peak memory of a call, apart from what else the process or the GPU holds."""

import ctypes
import gc
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

MIB = 2**20
STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What Linux takes as "forget the high-water mark" (man 5 proc)."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Memory that a network needs by itself, whatever else was there before the call."""

    weights_mib: float
    """Its own parameters and buffers, there before the call."""
    rss_rise_mib: float
    """How far the process's resident memory rose above what it was before the call."""
    rss_reset: bool
    """Whether the high-water mark was reset before; else the rise is that of the process's whole
    life up to the end of the call, an upper bound."""
    cuda_allocated_mib: float | None = None
    """Peak of live tensors less those of before, and the weights; None without a GPU (not 0)."""
    cuda_reserved_mib: float | None = None
    """The same of what the allocator held. Gaps between older tensors that the call could use are
    not in it, so that it may even be less than what was allocated."""

    @property
    def memory_mib(self) -> float:
        """Weights and what the call added, on the device of the network."""
        if self.cuda_allocated_mib is not None:
            return self.cuda_allocated_mib
        return self.weights_mib + self.rss_rise_mib


def measure_peak(
    call: Callable[[], object], device: str = "cpu", *, weights_mib: float = 0.0
) -> Peak:
    """Run `call`, on a GPU twice, and return the peak memory meanwhile.

    Args:
        call: What is measured.
        device: Where it runs.
        weights_mib: What it needs and was there before.
    """
    _return_free_memory()
    before = rss_mib()
    reset = reset_peak_rss()
    cuda: tuple[float, ...] = ()
    if device.startswith("cuda"):
        cuda = _cuda_rises(call, device)
    else:
        call()
    # The kernel counts resident pages in batches per thread: a rise of 0 can read as less.
    rise = max(0.0, peak_rss_mib() - before)
    return Peak(weights_mib, rise, reset, *(weights_mib + mib for mib in cuda))


def mib_of_weights(network: "nn.Module") -> float:
    """Return the MiB of a network's parameters and buffers."""
    held = itertools.chain(network.parameters(), network.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in held) / MIB


def _cuda_rises(call: Callable[[], object], device: str) -> tuple[float, float]:
    """Return by how many MiB allocated and reserved memory rose at most during a call."""
    import torch

    call()  # the first of a process makes what libraries then keep: cuBLAS's workspace
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()  # what earlier calls reserved would serve this one, unseen
    torch.cuda.reset_peak_memory_stats(device)
    allocated, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    call()
    torch.cuda.synchronize(device)
    return (
        (torch.cuda.max_memory_allocated(device) - allocated) / MIB,
        (torch.cuda.max_memory_reserved(device) - reserved) / MIB,
    )


def reset_peak_rss() -> bool:
    """Set the high-water mark back to the present; return whether the system allowed it."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return False
    # Some sandboxes accept the write and do nothing: believe the mark, not the write.
    mark = _status_mib("VmHWM")
    return mark is not None and mark <= rss_mib() * 1.01 + 1


def peak_rss_mib() -> float:
    """Return the process's high-water mark of resident memory in MiB."""
    mark = _status_mib("VmHWM")
    if mark is not None:
        return mark
    import resource

    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def rss_mib() -> float:
    """Return the resident memory of this process now in MiB."""
    now = _status_mib("VmRSS")
    if now is not None:
        return now
    import psutil

    return psutil.Process().memory_info().rss / MIB


def _return_free_memory() -> None:
    """Give what is free back to the system; else the call would reuse it without being seen."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        return  # not glibc: nothing to trim


def _status_mib(key: str) -> float | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) / 1024
    return None
