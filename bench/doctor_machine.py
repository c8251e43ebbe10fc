"""The doctor's look at the machine and its folders."""

import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench import assets, locks, machine, provenance
from bench.api import BenchError
from bench.doctor_findings import BROKEN, OK, WARNING, Finding
from bench.machine import GIB

LITTLE_MEMORY_GIB = 3
LITTLE_DISK_GIB = 2
BUSY = 0.25
"""Load per core from which timings are likely to be disturbed."""
COARSE_S = 1e-3
STORE = Path("results/store")
SLOW_SYNC_S = 0.5


def processor() -> Iterator[Finding]:
    """Yield its name, and how much of it is ours."""
    total, usable, quota = os.cpu_count() or 1, machine.usable_cores(), machine.core_quota()
    words = f"{provenance.machine()['cpu']}; {usable} of {total} cores"
    if quota is not None and quota < usable:
        yield (
            WARNING,
            f"{words}; this container may use {quota:g} cores' worth of time",
            f"use --workers {max(1, int(quota))}; timings below one whole core are not steady",
        )
    else:
        yield OK, words, ""


def memory() -> Iterator[Finding]:
    """Yield how much there is, of the machine's and of the container's."""
    import psutil

    physical = psutil.virtual_memory()
    quota = machine.memory_quota()
    limited = quota is not None and quota < physical.total
    words = f"memory: {physical.total / GIB:.1f} GiB, {physical.available / GIB:.1f} GiB free"
    if limited:
        words += f"; this container may use {quota / GIB:.1f} GiB"
    if min(physical.available, quota or physical.available) < LITTLE_MEMORY_GIB * GIB:
        yield WARNING, words, "close other programs, or use --workers 1"
    else:
        yield OK, words, ""


def load() -> Iterator[Finding]:
    """Yield how busy the machine is."""
    found = machine.load()
    if found is None:
        return
    words = f"load: {found:.2f} over the last minute"
    if found > BUSY * machine.usable_cores():
        remedy = "timings would be noisy: close other programs before a run that times"
        yield WARNING, words, remedy
    else:
        yield OK, words, ""


def clock_rate() -> Iterator[Finding]:
    """Yield how the processor's clock rate is chosen, where it can be read."""
    found, boosting = machine.governor(), machine.boosts()
    boost = {True: "; boost is on", False: "; boost is off", None: ""}[boosting]
    if found is None:
        yield OK, f"clock rate: the system does not tell how it is chosen{boost}", ""
    elif found == "performance":
        yield OK, f"clock rate: governor {found}{boost}", ""
    else:
        remedy = "for steady timings: sudo cpupower frequency-set -g performance"
        yield WARNING, f"clock rate: governor {found}{boost}", remedy


def clock() -> Iterator[Finding]:
    """Yield how fine the clock is, and whether it moves."""
    resolution = time.get_clock_info("perf_counter").resolution
    start = time.monotonic()
    time.sleep(0.005)
    if time.monotonic() <= start:
        yield BROKEN, "the monotonic clock stands still", "ask who runs this machine"
    elif resolution > COARSE_S:
        yield WARNING, f"clock: only {resolution * 1e3:g} ms fine", "use longer timings"
    else:
        yield OK, f"clock: {resolution * 1e9:g} ns fine, moves forward", ""


def graphics() -> Iterator[Finding]:
    """Yield what the driver sees, and whether torch can use it."""
    found = _gpus()
    for gpu in found:
        size = "memory unknown" if gpu.memory_mib is None else f"{gpu.memory_mib / 1024:.1f} GiB"
        yield OK, f"{gpu.name}, {size}, driver {gpu.driver}", ""
    import torch

    built = torch.version.cuda or torch.version.hip
    if torch.cuda.is_available():
        yield OK, f"torch {torch.__version__} sees {torch.cuda.device_count()} GPU(s)", ""
    elif found and not built:
        remedy = "install the CUDA build of torch, or use --device cpu"
        yield WARNING, f"torch {torch.__version__} is a CPU build: it cannot use the GPU", remedy
    elif found:
        remedy = f"torch was built for CUDA {built}: update the driver, or use --device cpu"
        yield WARNING, f"torch {torch.__version__} finds no GPU although the driver does", remedy
    else:
        yield OK, "no GPU: everything runs on the processor", ""


def _gpus() -> list[machine.Gpu]:
    fields = "--query-gpu=name,memory.total,driver_version"
    try:
        asked = subprocess.run(
            ["nvidia-smi", fields, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=3,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return machine.gpus(asked.stdout) if asked.returncode == 0 else []


def results() -> Iterator[Finding]:
    """Yield whether results can be written here, and are safe once they are."""
    folder = _existing(STORE)
    elsewhere = "change to another folder, or use --out"
    try:
        started = time.perf_counter()
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"bench")
            file.flush()
            os.fsync(file.fileno())
        took = time.perf_counter() - started
    except OSError as error:
        yield BROKEN, f"results cannot be written below {folder}: {error.strerror}", elsewhere
        return
    if took > SLOW_SYNC_S:
        yield WARNING, f"making a file durable in {folder} takes {took:.1f} s", elsewhere
    else:
        yield OK, f"results go below {folder.resolve()}: it can be written, fsync works", ""
    yield _space(folder, "for results")


def earlier_runs() -> Iterator[Finding]:
    """Yield what the store of this folder holds."""
    if not STORE.is_dir():
        yield OK, "no earlier results in this folder", ""
        return
    files = [path for path in STORE.rglob("*") if path.is_file()]
    part = Counter(path.relative_to(STORE).parts[0] for path in files)
    records = sum(path.suffix == ".json" for path in (STORE / "cells").glob("*"))
    size = sum(path.stat().st_size for path in files)
    yield OK, f"{STORE}: {records} records, {size / 2**20:,.0f} MiB", ""
    half = sum(any(path.rglob("*")) for path in (STORE / "partial").glob("*"))
    if half:
        yield OK, f"{half} interrupted cells go on where they stopped", ""
    if part["quarantine"]:
        damaged = len(list((STORE / "quarantine").glob("*.json")))
        remedy = f"they are measured again; look at {STORE / 'quarantine'}, then remove it"
        yield WARNING, f"{damaged} damaged records were set aside", remedy


def cache() -> Iterator[Finding]:
    """Yield whether the cache can be written."""
    folder = assets.cache_dir()
    place = _existing(folder)
    if not place.is_dir() or not os.access(place, os.W_OK):
        remedy = f"name another folder by {assets.CACHE_DIR}; runs work without, slower"
        yield WARNING, f"the cache {folder} cannot be written", remedy
        return
    yield OK, f"cache: {folder}", ""
    yield _space(place, "for the cache")


def lock() -> Iterator[Finding]:
    """Yield whether runs on this machine can keep out of each other's timings."""
    path = locks._path()
    shown = f"machine lock {path}"
    remedy = "name a folder that everybody can write by BENCH_LOCK_DIR"
    try:
        with locks.machine_lock(alone=False, wanted=_give_up_at(time.monotonic() + 0.3)):
            yield OK, f"{shown}: shared by all runs and persons of this machine", ""
    except TimeoutError:
        busy = f"a timing is being measured now{locks.holders()}"
        yield WARNING, f"{shown}: {busy}", "wait until it is done"
    except BenchError as error:
        yield BROKEN, f"{shown} cannot be opened: {error}", remedy
    except OSError as error:
        yield BROKEN, f"{shown} cannot be opened: {error.strerror}", remedy


def _give_up_at(deadline: float):
    def wanted() -> None:
        if time.monotonic() > deadline:
            raise TimeoutError

    return wanted


def _space(folder: Path, purpose: str) -> Finding:
    free = shutil.disk_usage(folder).free / GIB
    if free < LITTLE_DISK_GIB:
        return WARNING, f"only {free:.1f} GiB free {purpose}", f"make room on {folder.resolve()}"
    return OK, f"{free:,.0f} GiB free {purpose}", ""


def _existing(folder: Path) -> Path:
    """Return the nearest folder that exists: where missing ones would be made."""
    for place in (folder, *folder.absolute().parents):
        if place.exists():
            return place
    return Path.cwd()
