"""Speed: latency by batch, its ratio to the U-Net, and the share of the machine's limits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from bench.report import comparison as c
from bench.report.ceilings import Reached, ceilings, reached
from bench.report.costs import measured
from bench.report.latency import COLUMNS, condition, peak_memory
from bench.report.names import SAMPLERS, ordered, printed
from bench.report.rows import (
    RunLike,
    fault_notes,
    floating,
    integer,
    ok,
    plural,
    settings,
    text_of,
    true,
)
from bench.report.speed_notes import audits, finished, memory, notes

NAME = "speed"
READ = (
    *COLUMNS,
    "rounds",
    "nfe",
    "latency_per_evaluation_s",
    "ratio_to",
    "ratio",
    "ratio_low",
    "ratio_high",
    "noisy_reason",
    "audit_passed",
    "audit_fault",
    "audit_repeated_ratio",
    "gmacs_torch",
    "bytes_moved",
    "cuda_allocated_mib",
    "cuda_reserved_mib",
)
MILLI = 1e3
FINISHED = "Finished image (s)"
SEVERAL_CALLS = ("heun",)
"""Samplers that make more than a call in a step."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One network at one batch size."""

    row: pd.Series
    reached: Reached | None

    @property
    def backbone(self) -> str:
        """The network."""
        return str(self.row["backbone"])

    @property
    def batch(self) -> int:
        """Images of a call."""
        return integer(self.row["batch"]) or 1

    @property
    def where(self) -> str:
        """The device, and how many threads of it."""
        threads = plural(integer(self.row["threads"]), "thread")
        return ", ".join(filter(None, (str(self.row["device"]), threads)))

    def number(self, column: str, factor: float = 1.0) -> float | None:
        """Return a number of the row."""
        value = floating(self.row[column])
        return None if value is None else value * factor

    @property
    def peak(self) -> tuple[float | None, bool]:
        """MiB that a call needs at most, and whether that is only an upper bound."""
        return peak_memory(self.row)

    @property
    def is_reference(self) -> bool:
        """Whether the others are compared with this one."""
        return text_of(self.row["ratio_to"]) == self.backbone


def timed(run: RunLike) -> list[Timed]:
    """Return the full-width timings at 3x64x64, by device and batch, the paper's pair first."""
    rows = ok(run, "latency", READ)
    for column, wanted in (("image_size", 64), ("channels", 3), ("scale", 1.0)):
        rows = rows[rows[column] == wanted]
    rows = rows[rows["latency_s"].notna()].drop_duplicates(["backbone", "batch", "device"])
    limits = ceilings(run)
    found = [Timed(row, reached(row, limits)) for _, row in rows.iterrows()]
    rank = {name: i for i, name in enumerate(ordered(rows["backbone"]))}
    return sorted(found, key=lambda one: (str(one.row["device"]), one.batch, rank[one.backbone]))


def calls_of_an_image(run: RunLike) -> tuple[int, str] | None:
    """Return the network calls of a finished image, and the sampler that makes them.

    The most steps of the run's settings, the same for every network; None where they do not tell.
    """
    generation = settings(run).get("generation")
    if not isinstance(generation, Mapping) or not generation.get("steps"):
        return None
    name = str(generation.get("sampler", "")).partition("+")[0]
    if name not in SAMPLERS or name in SEVERAL_CALLS:
        return None
    return max(map(int, generation["steps"])), SAMPLERS[name]


def speed(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that did not ask for the ledger."""
    if not measured(run):
        return None
    found = timed(run)
    cuda = any(one.number("cuda_allocated_mib") is not None for one in found)
    made = calls_of_an_image(run)
    header = [("", "", name) for name in ("Device", "Batch", "Network")]
    header += [("Time of one call (ms)", name, "ours") for name in ("median", "quartiles", "N")]
    header += [("Time (ms)", "per image", "ours"), ("Time (ms)", "per ODE evaluation", "ours")]
    header += [(FINISHED, f"{made[0]} calls", "ours")] if made else []
    header += [("Ratio of times", name, "ours") for name in ("to", "value", "95 % interval")]
    header += [("Ratio of times", "settled", "ours")]
    header += [("Roofline", name, "ours") for name in ("GMACs/s", "share of ceiling", "bound")]
    header += [("Peak memory (MiB)", "of a call", "ours")]
    header += [("Peak memory (MiB)", f"CUDA {n}", "ours") for n in ("used", "reserved") if cuda]
    return c.Table(
        NAME,
        "Speed: time of a network call by batch size",
        "Full width, 3x64x64, the networks taking turns in random order; alone on the machine. The "
        "ratio is the median over rounds of the two times of a round, in which a drift of the "
        "machine cancels; it need not equal the quotient of the two medians.",
        c.tidy(line for one in found for line in _lines(run, one, made)),
        c.layout(header, [_cells(one, made, cuda=cuda) for one in found]),
        3,
        (
            *finished(made),
            *notes(found),
            *memory(found),
            *audits(ok(run, "latency", READ)),
            *fault_notes(run, ("latency", "roofline")),
        ),
    )


def _cells(one: Timed, made: tuple[int, str] | None, *, cuda: bool) -> list[str]:
    row, under = one.row, one.reached
    median, per_image = one.number("latency_s", MILLI), one.number("latency_s", MILLI / one.batch)
    cells = [
        one.where,
        str(one.batch),
        printed(one.backbone),
        c.number(median, 1),
        span(one.number("latency_q1_s", MILLI), one.number("latency_q3_s", MILLI), 1),
        c.number(one.number("repeats"), 0),
        c.number(per_image, 1),
        c.number(one.number("latency_per_evaluation_s", MILLI), 2),
    ]
    if made:
        cells.append(c.seconds(one.number("latency_s", made[0] / one.batch)))
    if one.is_reference or one.number("ratio") is None:
        cells += [c.DASH] * 3
    else:
        cells += [printed(str(row["ratio_to"])), c.number(one.number("ratio"), 3), _interval(one)]
    cells.append(_settled(row))
    cells += [
        c.number(under.rate, 1) if under else c.DASH,
        f"{under.share:.0%}" if under and under.share is not None else c.DASH,
        (under.bound if under else "") or c.DASH,
        c.number(one.peak[0], 0),
    ]
    used = [c.number(one.number(f"cuda_{name}_mib"), 0) for name in ("allocated", "reserved")]
    return cells + (used if cuda else [])


def _settled(row: pd.Series) -> str:
    return c.DASH if row["noisy"] is None else "noisy" if true(row["noisy"]) else "yes"


def _interval(one: Timed) -> str:
    """Return the interval of a ratio; too few rounds bound it on no side, or on one."""
    low, high = one.number("ratio_low"), one.number("ratio_high")
    if not low or high is None:
        return "not bounded"
    return span(low, high, 3)


def span(low: float | None, high: float | None, digits: int) -> str:
    """Return an interval in words; a dash where an end is missing."""
    if low is None or high is None:
        return c.DASH
    return f"{c.number(low, digits)} to {c.number(high, digits)}"


def _lines(run: RunLike, one: Timed, made: tuple[int, str] | None) -> list[c.Line]:
    row = one.row
    words = f"{condition(row)}; full width; {integer(row['repeats']) or '?'} rounds"
    reason = text_of(row["noisy_reason"])
    place = c.Place(
        NAME,
        f"{printed(one.backbone)}, batch {one.batch}",
        "3x64x64",
        f"{words}; {reason}" if reason else words,
    )
    ratio = c.Value(one.number("ratio"), one.number("ratio_low"), one.number("ratio_high"))
    under = one.reached
    (calls, _), (peak, bound) = made or (0, ""), one.peak
    values = {
        ("time of one call", "s"): c.Value(one.number("latency_s")),
        ("time per image", "s"): c.Value(one.number("latency_s", 1 / one.batch)),
        ("time per ODE evaluation", "s"): c.Value(one.number("latency_per_evaluation_s")),
        (f"time per finished image, {calls} calls", "s"): c.Value(
            one.number("latency_s", calls / one.batch) if calls else None
        ),
        (f"time / time of {row['ratio_to']}", "1"): c.Value(None) if one.is_reference else ratio,
        ("multiply-adds per second", "GMACs/s"): c.Value(under.rate if under else None),
        ("share of the compute ceiling", "1"): c.Value(under.share if under else None),
        (f"peak memory of a call{', at most' if bound else ''}", "MiB"): c.Value(peak),
        ("CUDA memory used", "MiB"): c.Value(one.number("cuda_allocated_mib")),
        ("CUDA memory reserved", "MiB"): c.Value(one.number("cuda_reserved_mib")),
    }
    keys = (str(row["key"]),)
    return [
        c.line(run, place, metric, ours=replace(value, keys=keys), judged=(None, None))
        for metric, value in values.items()
        if value.value is not None
    ]
