"""The machine's measured limits, and how much of them a network reaches."""

from dataclasses import dataclass

import pandas as pd

from bench.report.rows import RunLike, floating, integer, ok

COLUMNS = ("ceiling", "dtype", "device", "threads", "gmacs_per_s", "gb_per_s")
COMPUTE, MEMORY = "compute", "memory"


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one device does at most, with so many threads, in numbers of one kind."""

    compute: dict[str, float]
    """Billions of multiply-adds a second by what does them: matmul, conv3x3."""
    copy: float | None
    """Billions of bytes a second, read and written."""

    @property
    def peak(self) -> float | None:
        """The highest rate of multiply-adds."""
        return max(self.compute.values(), default=None)

    def bound(self, intensity: float) -> tuple[float, str] | None:
        """Return the highest rate at so many multiply-adds a byte, and what sets it.

        Source: Williams, Waterman and Patterson 2009, "Roofline", the attainable performance.
        """
        if self.peak is None:
            return None
        if self.copy is None or intensity * self.copy >= self.peak:
            return self.peak, COMPUTE
        return intensity * self.copy, MEMORY


def ceilings(run: RunLike, dtype: str = "float32") -> dict[tuple[str, int | None], Ceilings]:
    """Return the limits by device and threads; empty for a run that did not measure them."""
    rows = ok(run, "roofline", COLUMNS)
    rows = rows[rows["dtype"] == dtype]
    found = {}
    for (device, threads), part in rows.groupby(["device", "threads"], dropna=False):
        named = {str(r["ceiling"]).partition("-")[0]: r for _, r in part.iterrows()}
        compute = {
            name: rate
            for name, r in named.items()
            if (rate := floating(r["gmacs_per_s"])) is not None
        }
        copy = floating(named["copy"]["gb_per_s"]) if "copy" in named else None
        found[str(device), integer(threads)] = Ceilings(compute, copy)
    return found


@dataclass(frozen=True, slots=True)
class Reached:
    """One timed network under the machine's limits."""

    rate: float
    """Billions of multiply-adds a second."""
    intensity: float | None
    """Multiply-adds per byte moved."""
    share: float | None
    """Of the highest rate of multiply-adds."""
    bound: str
    """What limits it by the roofline; empty where that is not known."""


def reached(row: pd.Series, limits: dict[tuple[str, int | None], Ceilings]) -> Reached | None:
    """Return how a timing compares with the limits of its device and threads."""
    macs, seconds = floating(row["gmacs_torch"]), floating(row["latency_s"])
    if macs is None or not seconds:
        return None
    moved = floating(row["bytes_moved"])
    intensity = macs * 1e9 / moved if moved else None
    limit = limits.get((str(row["device"]), integer(row["threads"])))
    rate = macs / seconds
    if limit is None or limit.peak is None:
        return Reached(rate, intensity, None, "")
    bound = limit.bound(intensity) if intensity is not None else None
    return Reached(rate, intensity, rate / limit.peak, bound[1] if bound else "")
