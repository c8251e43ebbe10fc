"""The latency of one network call, looked up for the very network that a quality row used."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.comparison import Value
from bench.report.rows import RunLike, floating, integer, listed, ok, plural, text_of, true

COLUMNS = (
    "backbone",
    "batch",
    "threads",
    "device",
    "engine",
    "image_size",
    "channels",
    "scale",
    "latency_s",
    "latency_q1_s",
    "latency_q3_s",
    "repeats",
    "noisy",
    "peak_memory_mib",
    "peak_rss_reset",
    "samples_s",
)
MEDIAN_REACH = 1.96 * math.sqrt(math.pi / 2) / 1.349
SAME_NETWORK = ("image_size", "channels", "scale")
"""What must agree between a quality row and a timing for them to be of one network."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of one network call: median with a 95 % interval, and how it was measured."""

    seconds: float
    low: float
    high: float
    repeats: int | None
    how: str
    samples: tuple[float, ...] = ()
    """Every repeat; networks of one cell took turns, so equal places are pairs."""
    key: str = ""
    """Of the record."""


def median_interval(
    median: float, q1: float | None, q3: float | None, repeats: int | None
) -> tuple[float, float]:
    """Return an approximate 95 % interval of a median from its quartiles.

    The median of n normal values has standard error sqrt(pi / 2) sigma / sqrt(n), and the quartiles
    lie 1.349 sigma apart: 1.96 sqrt(pi / 2) / 1.349 = 1.82 IQR / sqrt(n) either side.

    Source: McGill, Tukey and Larsen 1978, "Variations of box plots", for the standard error.
    Differs: their 1.57 is meant for the comparison of two medians by their notches.
    """
    if q1 is None or q3 is None or not repeats:
        return median, median
    half = MEDIAN_REACH * (q3 - q1) / math.sqrt(repeats)
    return median - half, median + half


def timings(run: RunLike, batch: int = 1) -> pd.DataFrame:
    """Return the timings at a batch size under one common condition (processor, eager, ...)."""
    rows = ok(run, "latency", COLUMNS)
    rows = rows[rows["batch"] == batch]
    for column, preferred in (("device", "cpu"), ("engine", "eager")):
        values = rows[column].dropna().unique().tolist()
        if len(values) > 1:
            rows = rows[rows[column] == (preferred if preferred in values else sorted(values)[0])]
    threads = rows["threads"].dropna()
    return rows[rows["threads"].isna() | (rows["threads"] == threads.min())]


def latency_of(times: pd.DataFrame, backbone: str, like: Any) -> Latency | None:
    """Return the latency of a backbone, of the size and width that the row `like` names.

    A condition that either side leaves open is taken as equal.
    """
    fits = (times["backbone"] == backbone) & times["latency_s"].notna()
    for column in SAME_NETWORK:
        wanted = floating(getattr(like, column, None))
        if wanted is not None:
            fits &= times[column].isna() | (times[column] == wanted)
    if not fits.any():
        return None
    row = times.loc[fits.idxmax()]
    repeats = integer(row["repeats"])
    quartiles = floating(row["latency_q1_s"]), floating(row["latency_q3_s"])
    low, high = median_interval(float(row["latency_s"]), *quartiles, repeats)
    samples = tuple(listed(row["samples_s"]))
    key = str(row["key"])
    return Latency(float(row["latency_s"]), low, high, repeats, condition(row), samples, key)


def peak_memory(row: pd.Series) -> tuple[float | None, bool]:
    """Return the MiB that a call needs at most, and whether that is only an upper bound.

    A network's own weights and what the call adds to them, so that it does not depend on what the
    process held before. On a processor the system must have let its high-water mark be reset.
    """
    whole = true(row["peak_rss_reset"]) or text_of(row["peak_rss_reset"]) is None
    on_gpu = (text_of(row["device"]) or "").startswith("cuda")
    return floating(row["peak_memory_mib"]), not (whole or on_gpu)


def condition(row: pd.Series) -> str:
    """Return in words how a timing was taken."""
    words = [
        text_of(row["device"]),
        text_of(row["engine"]),
        plural(integer(row["threads"]), "thread"),
        f"batch {integer(row['batch'])}" if integer(row["batch"]) else None,
        f"{integer(row['image_size'])} px" if integer(row["image_size"]) else None,
        f"width x{row['scale']:g}" if floating(row["scale"]) is not None else None,
        "noisy" if true(row["noisy"]) else None,
    ]
    return ", ".join(word for word in words if word)


def time_of(calls: Value, latency: Latency | None) -> Value:
    """Return calls x latency of a call; its ends are those of both ranges together.

    Without a range of the calls there is none of the time.
    """
    if latency is None or calls.value is None:
        return Value(None)
    middle = calls.value * latency.seconds
    if calls.low is None or calls.high is None:
        return Value(middle, n=latency.repeats)
    low = calls.low * max(latency.low, 0.0)
    return Value(middle, low, calls.high * latency.high, latency.repeats)
