"""What stands beneath the table of times: noise, memory, audits."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import pandas as pd

from bench.report.ceilings import Reached
from bench.report.names import ordered, printed
from bench.report.rows import floating, integer, text_of, true


class Timed(Protocol):
    """What a note needs of one network at one batch size."""

    row: pd.Series
    reached: Reached | None
    backbone: str
    batch: int
    peak: tuple[float | None, bool]


def finished(made: tuple[int, str] | None) -> list[str]:
    """Return how many calls a finished image takes here, and where else to look."""
    if made is None:
        return ["A finished image takes as many calls as its sampler makes: Table 1 and Samplers."]
    calls, sampler = made
    return [
        f"Finished image: {calls} network calls ({sampler}, the most steps of this run's settings, "
        "the same for every network) x time of one call / batch. Each network at its own best "
        "number of steps: Table 1; other samplers: Samplers."
    ]


def notes(found: Sequence[Timed]) -> list[str]:
    """Return which timings are noisy, and what the roofline's columns mean."""
    told = [
        f"noisy - {printed(one.backbone)}, batch {one.batch}: {reason}."
        for one in found
        if true(one.row["noisy"]) and (reason := text_of(one.row["noisy_reason"]))
    ]
    if found and not any(one.reached and one.reached.share is not None for one in found):
        told.append("No share of the ceiling: the machine's limits were not measured in this run.")
    else:
        told.append(
            "Share of ceiling: multiply-adds a second (torch's count) over the better of the "
            "measured float32 matrix product and 3x3 convolution. Bound: the roofline's limit at "
            "the network's multiply-adds per byte moved, nothing cached or fused (attention "
            "included, also where it runs fused)."
        )
    return told


def memory(found: Sequence[Timed]) -> list[str]:
    """Return what the peak is of, and for which networks it is only an upper bound."""
    known = [one for one in found if one.peak[0] is not None]
    if not known:
        return ["Peak memory of a call was not measured in this run."] if found else []
    told = [
        "Peak memory: a network's own weights and what a call adds to them at most; neither the "
        "other networks nor the libraries of the process."
    ]
    bounds = ordered(one.backbone for one in known if one.peak[1])
    if bounds:
        told.append(
            "The high-water mark of memory could not be reset on this machine, so that the peak "
            f"is an upper bound: {_names(bounds)}."
        )
    return told


def audits(rows: pd.DataFrame) -> list[str]:
    """Return what the audits of all timings found, those of the budget's own width included."""
    faults = [
        f"Audit failed - {printed(row.backbone)}, batch {integer(row.batch)}: {fault}."
        for row in rows.itertuples()
        if (fault := text_of(row.audit_fault))
    ]
    if faults or rows.empty or not all(true(passed) for passed in rows["audit_passed"]):
        return faults
    told = ["Audit passed: every timed output is the scored one."]
    asked = [floating(ratio) is not None for ratio in rows["audit_repeated_ratio"]]
    names = ordered(rows.loc[asked, "backbone"])
    if names:
        scales = sorted({f"x{scale:g}" for scale in rows.loc[asked, "scale"].dropna()})
        width = f", asked at width {', '.join(scales)}" if scales else ""
        told.append(
            "Audit passed: no repeated input is more than 10 % faster than varied ones "
            f"({_names(names)}{width})."
        )
    never = [name for name in ordered(rows["backbone"]) if name not in names]
    if never:
        told.append(f"Whether a repeated input is faster was not asked: {_names(never)}.")
    return told


def _names(backbones: Iterable[str]) -> str:
    return ", ".join(map(printed, backbones))
