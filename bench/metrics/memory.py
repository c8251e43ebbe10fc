"""Peak memory of a call: of the process, and on the GPU."""

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What Linux takes as "forget the high-water mark" (man 5 proc)."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Peak memory during a call."""

    rss_mib: float
    """High-water mark of the whole process, libraries and weights included."""
    rss_before_mib: float
    """Resident memory before the call."""
    rss_reset: bool
    """Whether the mark was reset before; else it is that of the process's whole life."""
    cuda_allocated_mib: float | None = None
    """Peak of live tensors; None without a GPU (not 0)."""
    cuda_reserved_mib: float | None = None
    """Peak of what the allocator held."""


def measure_peak(call: Callable[[], object], device: str = "cpu") -> Peak:
    """Run `call` and return the peak memory meanwhile."""
    _return_free_memory()
    before = rss_mib()
    reset = reset_peak_rss()
    if not device.startswith("cuda"):
        call()
        return Peak(peak_rss_mib(), before, reset)
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    allocated = torch.cuda.max_memory_allocated(device) / MIB
    reserved = torch.cuda.max_memory_reserved(device) / MIB
    return Peak(peak_rss_mib(), before, reset, allocated, reserved)


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
