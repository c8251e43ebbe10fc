"""What this process may use of the machine, and how quiet the machine is. Reads, changes nothing.

Every function returns None where the system does not tell.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
"""Where /proc and /sys are; another place in tests."""
GIB = 2**30
UNLIMITED = 2**60
"""Limits beyond this are the kernel's way of saying that there is none."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One graphics processor as its driver sees it."""

    name: str
    memory_mib: float | None
    driver: str


def usable_cores() -> int:
    """Return on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_quota(root: Path = ROOT) -> float | None:
    """Return how many cores' worth of time a container grants; None without a limit."""
    found = []
    for folder in _groups(root, "cpu"):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit():
            found.append(int(words[0]) / int(words[1]))
        quota, period = (_number(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period"))
        if quota and period and quota > 0:
            found.append(quota / period)
    return min(found, default=None)


def memory_quota(root: Path = ROOT) -> int | None:
    """Return how many bytes of memory a container grants; None without a limit."""
    found = [
        limit
        for folder in _groups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (limit := _number(folder / name)) is not None and 0 < limit < UNLIMITED
    ]
    return min(found, default=None)


def load() -> float | None:
    """Return how many processes wanted a core, on average over the last minute."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def governor(root: Path = ROOT) -> str | None:
    """Return how the processor's clock rate is chosen."""
    return _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None


def boosts(root: Path = ROOT) -> bool | None:
    """Return whether the processor may raise its clock rate for a while."""
    cpu = root / "sys/devices/system/cpu"
    if _read(cpu / "intel_pstate/no_turbo"):
        return _read(cpu / "intel_pstate/no_turbo") == "0"
    boost = _read(cpu / "cpufreq/boost")
    return boost == "1" if boost else None


def gpus(text: str) -> list[Gpu]:
    """Return what `nvidia-smi --query-gpu=name,memory.total,driver_version` printed."""
    found = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 3:
            memory = words[1].split()[0]
            mib = float(memory) if memory.replace(".", "").isdigit() else None
            found.append(Gpu(words[0], mib, words[2]))
    return found


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders that may limit this process: its own control group and those above."""
    base = root / "sys/fs/cgroup"
    yield from (base, base / controller)
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        place = base / controller if controllers else base
        for part in Path(path.lstrip("/")).parts:
            place = place / part
            yield place


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text.lstrip("-").isdigit() else None
