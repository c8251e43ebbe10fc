"""What an earlier run says beforehand: the seconds of its cells, and how fast a GPU computed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import canonical
from bench.api import BenchError
from bench.plan import Plan
from bench.runs import Run

GIGA = 1e9
GPU = "cuda"


@dataclass(frozen=True)
class Throughput:
    """Multiply-adds that a device makes in a second."""

    macs_per_s: float
    source: str
    """Where the number is from, in words."""


@dataclass(frozen=True)
class Earlier:
    """What runs that were measured before tell about a plan."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of cells of the plan, by their keys there, measured on the same kind of device."""
    throughput: Throughput | None = None
    """Of a GPU, where they have timed one."""


def stated(text: str) -> Throughput:
    """Return a throughput that a person states.

    Raises:
        BenchError: If it is no number above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise BenchError(
            f"--throughput {text[:40]!r}: expected the multiply-adds that one device makes in a "
            "second, such as 2e13"
        )
    return Throughput(value, f"{value:.3g} MAC/s, as --throughput states")


def earlier(runs: Sequence[Run], plan: Plan, *, device: str, wanted: bool = True) -> Earlier:
    """Return what some runs tell about a plan.

    A cell is known again by its task, its specification and the cells that it uses, so that a
    change of code or of machine does not matter. Times count where they are of the device that
    the rest is told for: a GPU where a run has timed one.

    Args:
        runs: Measured before.
        plan: What is asked about.
        device: "cpu" or "cuda", of which times are wanted.
        wanted: Whether a throughput is.

    Raises:
        BenchError: If a run says nothing about this plan.
    """
    found = [_throughput(run) for run in runs] if wanted else []
    throughput = max((one for one in found if one), key=lambda one: one.macs_per_s, default=None)
    device = GPU if throughput is not None else device
    keys = {what: key for key, what in _of_plan(plan).items()}
    seconds: dict[str, float] = {}
    for run in runs:
        matched = [(keys[what], record) for record, what in _of_records(run) if what in keys]
        if not matched and throughput is None:
            raise BenchError(
                f"--run {run.folder}: none of its {len(run.records)} cells is in this plan of "
                f"{len(plan)}, and it has no timing of a GPU; name a run of the same experiments, "
                "data set and settings"
            )
        for key, record in matched:
            if record["made"].get("device") == device and _is_number(record["made"]["seconds"]):
                seconds[key] = float(record["made"]["seconds"])
    return Earlier(seconds, throughput)


def _of_plan(plan: Plan) -> dict[str, str]:
    """Return what tells each cell from others, whatever code measures it."""
    known: dict[str, str] = {}
    for one in plan:
        known[one.key] = _what(one.cell.task, one.cell.spec, [known[used] for used in one.uses])
    return known


def _of_records(run: Run) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Yield the records that were measured, with what tells their cells from others."""
    records = {record["key"]: record for record in run.records if record["status"] == "ok"}
    known: dict[str, str] = {}
    left = list(records)
    while left:
        later = []
        for key in left:
            used = records[key]["uses"]
            if all(one in known for one in used):
                one = records[key]
                known[key] = _what(one["task"], one["spec"], [known[key] for key in used])
            elif all(one in records for one in used):
                later.append(key)
        if len(later) == len(left):
            break  # cells that use each other: nothing of ours
        left = later
    return [(records[key], what) for key, what in known.items()]


def _what(task: str, spec: Mapping[str, Any], uses: Sequence[str]) -> str:
    return canonical.digest([task, spec, list(uses)])


def _throughput(run: Run) -> Throughput | None:
    """Return the highest throughput of a network as it is that a run timed on a GPU."""
    best: Throughput | None = None
    for record in run.records:
        on_gpu = record["task"] == "latency" and record["made"].get("device") == GPU
        for row in record["rows"] if on_gpu else ():
            macs, seconds = row.get("gmacs_torch"), row.get("latency_s")
            if row.get("engine") != "eager" or not (_is_number(macs) and _is_number(seconds)):
                continue
            value = macs * GIGA / seconds
            if best is None or value > best.macs_per_s:
                what = f"{row.get('backbone')} on batches of {row.get('batch')}"
                source = f"{value:.3g} MAC/s, timed on a GPU by {run.folder} ({what})"
                best = Throughput(value, source)
    return best


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e18
