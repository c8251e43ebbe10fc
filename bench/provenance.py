"""On what, and with what, a number was measured."""

import functools
import importlib.metadata
import platform
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import code, installation
from bench.errors import BenchError
from bench.machine import core_quota, usable_cores
from bench.shared.address import without_secrets

GPU_PATIENCE_S = 60
"""A driver that has been asleep takes seconds for each GPU."""
UNKNOWN = "unknown"
ABSENT = "not installed"
LIBRARIES = (
    "torch",
    "torchdiffeq",
    "accelerate",
    "numpy",
    "fvcore",
    "torchmetrics",
    "lpips",
    "bm3d",
    "bm4d",
    "torchode",
    "diffusers",
    "pillow",
    "pandas",
)
DECIDING = ("torch", "torchdiffeq", "accelerate", "numpy", "fvcore", "bm3d", "pillow")
BY_NEED = ("bm4d", "torchode", "diffusers")
"""What decides some cells' values only: those of BM3D, dopri5-each and folders of diffusers."""


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ABSENT
    return found


def deciding_versions() -> dict[str, str]:
    """Return the versions that a measured value depends on: part of every cell's key."""
    return {name: versions()[name] for name in DECIDING}


def needed_versions(needs: Iterable[str]) -> dict[str, str]:
    """Return the versions of what plug-ins need beside that: part of the keys of who uses them.

    Args:
        needs: Distributions, as plug-ins declare them (`torchode>=1.0`).
    """
    found = {part.name: part.found or ABSENT for part in installation.parts(needs)}
    return {name: version for name, version in found.items() if name not in DECIDING}


def telling_versions() -> dict[str, str]:
    """Return the versions in which two machines must agree to measure the same, whatever it is."""
    return {name: versions()[name] for name in (*DECIDING, *BY_NEED)}


@functools.cache
def machine() -> dict[str, Any]:
    """Return what identifies this machine for timings: processor, cores, memory, GPUs.

    A container's share of the cores is told where it is limited.

    Raises:
        BenchError: If the driver's tool is there and does not answer.
    """
    import psutil

    quota = core_quota()
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        **({} if quota is None else {"core_quota": round(quota, 3)}),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "gpu": _gpu_names(),
    }


def made(device: str, seconds: float, peak_rss_mib: float = 0) -> dict[str, Any]:
    """Return what a record says of how it was made, here and now.

    Args:
        device: "cpu" or "cuda".
        seconds: That it took.
        peak_rss_mib: The most memory that was seen.
    """
    return {
        "machine": machine(),
        "versions": versions(),
        "git": git(),
        "device": device,
        "seconds": round(seconds, 3),
        "peak_rss_mib": peak_rss_mib,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or UNKNOWN


def _gpu_names() -> list[str]:
    """Ask the driver's own tool, so that reading a machine's name does not import torch.

    Timings are filed under the answer, so it must not depend on the moment. No tool: no GPU. A tool
    that says no - there is no driver, or no device - says so again: the GPUs are "unknown". A tool
    that is silent may answer the next time, and is a fault.
    """
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GPU_PATIENCE_S,
        )
    except FileNotFoundError:
        return []
    except OSError:
        return [UNKNOWN]
    except subprocess.TimeoutExpired as silent:
        raise BenchError(
            f"nvidia-smi did not answer in {GPU_PATIENCE_S} s, and timings are filed under this "
            "machine's GPUs; see that it answers, and run the command again"
        ) from silent
    names = [line.strip() for line in asked.stdout.splitlines() if line.strip()]
    return names if asked.returncode == 0 else [UNKNOWN]


@functools.cache
def git() -> dict[str, Any]:
    """Return the commit of this checkout and whether files differ from it; empty outside one.

    A new file counts where it can be code or weights: what runs write elsewhere decides nothing.
    """
    home = Path(__file__).resolve().parent.parent

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(home), *words], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    top = ask("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != home:
        return {}
    changed = ask("status", "--short", "--untracked-files=no")
    added = ask("ls-files", "--others", "--exclude-standard", "--", *code.OURS)
    return {"commit": ask("rev-parse", "HEAD") or "none", "changed": bool(changed or added)}


def command(arguments: Sequence[str]) -> str:
    """Return the command line as a person would type it, without passwords in addresses."""
    return f"python -m bench {shlex.join(map(without_secrets, arguments))}"
