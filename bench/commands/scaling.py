"""What `bench plan` says of the cost of a run, and of what a cluster would make of it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api import BenchError
from bench.forecast.duration import duration, number, size

if TYPE_CHECKING:
    from bench.forecast.cluster import Cluster, Job
    from bench.forecast.cost import Cost
    from bench.forecast.scaling import Scaled
    from bench.session import Session

COUNTS = (1, 8, 64, 1024)
LONG_H = 1.0
"""Hours of work from which on it is told what many workers would make of it."""
UNTOLD_SHOWN = 4
PLOTTED = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Asked:
    """What a person wants to know of a plan's cost."""

    throughput: str | None = None
    runs: tuple[Path, ...] = ()
    gpus: str | None = None
    per_node: int = 8
    shards: int = 1
    failures: float = 0.0
    """Of a node, an hour."""
    kept_min: float | None = None
    """Minutes between what cells keep."""
    copies: int = 1
    plot: Path | None = None

    def counts(self) -> tuple[int, ...] | None:
        """Return the numbers of workers, where any are named.

        Raises:
            BenchError: If they are no such numbers.
        """
        if self.gpus is None:
            return None
        parts = [part.strip() for part in self.gpus.split(",")]
        if not all(part.isdecimal() and 0 < int(part) <= 10**6 for part in parts):
            raise BenchError(
                f"--gpus {self.gpus[:40]!r}: expected numbers from 1 to 1000000, such as 1,8,64"
            )
        return tuple(int(part) for part in parts)


def refuse_what_is_no_number(asked: Asked) -> None:
    """Look at all numbers before anything is timed, also at those that a short plan never needs.

    Raises:
        BenchError: If one is none, or none that can be.
    """
    from bench.forecast.cluster import refuse_impossible

    asked.counts()
    refuse_impossible(cluster_of(asked))


@dataclass(frozen=True)
class Bill:
    """What a plan costs."""

    costs: "Mapping[str, Cost]"
    source: str
    """Of the seconds, in words."""
    unit: str
    """What a worker is: "GPU" or "core"."""
    by_task: Mapping[str, Mapping[str, float]]
    untold: tuple[str, ...]
    """Labels."""
    hours: float
    scratch: int
    """Most that one cell keeps until it is done."""


def billed(session: "Session", asked: Asked) -> Bill:
    """Return what a plan costs, with all of its copies.

    Raises:
        BenchError: If what is asked for is no throughput, or a run says nothing of the plan.
    """
    from bench.forecast import earlier as before
    from bench.forecast.cost import Rates, costs_of
    from bench.forecast.scaling import times_of
    from bench.runs import load_run

    throughput = None if asked.throughput is None else before.stated(asked.throughput)
    device = session.device if throughput is None else before.GPU
    told = before.Earlier()
    if asked.runs:
        runs = [load_run(folder) for folder in asked.runs]
        told = before.earlier(runs, session.plan, device=device, wanted=throughput is None)
        throughput = throughput or told.throughput
    rates = Rates(session.device, throughput.macs_per_s if throughput else None, told.seconds)
    costs = costs_of(session.plan, rates)
    times = times_of(session.plan, asked.copies)
    on_gpu = throughput is not None or session.device == before.GPU
    by_task = _sums(session, costs, times)
    return Bill(
        costs=costs,
        source=throughput.source if throughput else _measured_here(costs, session.device),
        unit="GPU" if on_gpu else "core",
        by_task=by_task,
        untold=tuple(one.cell.label for one in session.plan if costs[one.key].seconds is None),
        hours=sum(row["hours"] for row in by_task.values()),
        scratch=max((cost.scratch for cost in costs.values()), default=0),
    )


def _sums(
    session: "Session", costs: "Mapping[str, Cost]", times: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    sums: dict[str, dict[str, float]] = {}
    for one in session.plan:
        cost, count = costs[one.key], times[one.key]
        row = sums.setdefault(
            one.cell.task,
            dict.fromkeys(("cells", "images", "macs", "hours", "host_hours", "kept_bytes"), 0.0),
        )
        row["cells"] += count
        row["images"] += count * cost.images
        row["macs"] += count * cost.macs
        row["hours"] += count * (cost.seconds or 0.0) / 3600
        row["host_hours"] += count * cost.host_s / 3600
        row["kept_bytes"] += count * cost.kept
    return dict(sorted(sums.items(), key=lambda item: -item[1]["hours"]))


def _measured_here(costs: "Mapping[str, Cost]", device: str) -> str:
    """Say how fast this machine was, over all cells that were told by its pace."""
    paced = [c for c in costs.values() if c.macs and c.seconds and not c.measured]
    seconds = sum((one.seconds or 0.0) - one.host_s for one in paced)
    where = "one core of this machine's CPU" if device == "cpu" else "this machine's GPU"
    needs = "; GPU-hours need --throughput, or --run with one of a GPU" if device == "cpu" else ""
    if not seconds:
        return f"nothing was to be measured here{needs}"
    rate = sum(one.macs for one in paced) / seconds
    return f"{rate:.2g} MAC/s, measured here on {where}{needs}"


def scaling_of(session: "Session", bill: Bill, asked: Asked) -> "list[Scaled]":
    """Return what clusters would make of a plan: those asked for, or the usual ones if it is long.

    Raises:
        BenchError: If the run cannot be played through on one of them.
    """
    from bench.forecast.scaling import scaled

    counts = asked.counts() or (COUNTS if bill.hours >= LONG_H else ())
    jobs, labels = _jobs(session, bill, asked)
    return scaled(jobs, labels, cluster_of(asked), counts)


def _jobs(session: "Session", bill: Bill, asked: Asked) -> "tuple[list[Job], dict[str, str]]":
    from bench.forecast.scaling import jobs_of

    labels = {one.key: one.cell.label for one in session.plan}
    return jobs_of(session.plan, bill.costs, copies=asked.copies), labels


def cluster_of(asked: Asked) -> "Cluster":
    """Return what does not change with the number of workers."""
    from bench.forecast.cluster import Cluster

    return Cluster(
        workers=1,
        per_node=asked.per_node,
        shards=asked.shards,
        failures_per_hour=asked.failures,
        kept_every_s=None if asked.kept_min is None else 60 * asked.kept_min,
    )


def lines(bill: Bill, asked: Asked, found: "list[Scaled]") -> Iterable[str]:
    """Yield what a person reads."""
    if asked.copies > 1:
        yield f"{asked.copies} times over; what does not depend on data or seed, once"
    hours = f"{bill.unit}-hours"
    yield f"{'task':<12} {'cells':>6} {'images':>8} {'MACs':>8} {hours:>11} {'disk':>9}"
    total = dict.fromkeys(next(iter(bill.by_task.values()), {}), 0.0)
    for task, row in bill.by_task.items():
        yield _row(task, row)
        total = {name: total[name] + value for name, value in row.items()}
    if len(bill.by_task) > 1:
        yield _row("together", total)
    measured = sum(one.measured for one in bill.costs.values())
    yield f"times: {bill.source}" + (f"; {measured} cells as measured before" * (measured > 0))
    if bill.unit == "GPU" and total.get("host_hours", 0.0) > 0.005 * bill.hours:
        host = duration(3600 * total["host_hours"])
        yield f"of these {host} on the CPU beside it, at this machine's pace (distances, filters)"
    if bill.scratch:
        yield f"disk besides while it runs: up to {size(bill.scratch)} for each cell at hand"
    if bill.untold:
        more = ", ..." * (len(bill.untold) > UNTOLD_SHOWN)
        yield f"not told: {len(bill.untold)} cells ({', '.join(bill.untold[:UNTOLD_SHOWN])}{more})"
    if found:
        yield ""
        yield _circumstances(asked, bill.unit)
        yield f"{bill.unit + 's':>6} {'wall':>9} {'at least':>9} {'busy':>6}  limited by"
    for one in found:
        yield (
            f"{one.workers:>6} {duration(one.wall_s):>9} {duration(one.least_s):>9} "
            f"{one.busy:>6.1%}  {one.limit}"
        )


def _row(task: str, row: Mapping[str, float]) -> str:
    hours = f"{row['hours']:,.0f}" if row["hours"] >= 100 else f"{row['hours']:.2f}"
    return (
        f"{task:<12} {row['cells']:>6.0f} {number(row['images']):>8} {number(row['macs']):>8} "
        f"{hours:>11} {size(row['kept_bytes']):>9}"
    )


def _circumstances(asked: Asked, unit: str) -> str:
    shards = f"cells cut into up to {asked.shards} shards" if asked.shards > 1 else "no shards"
    failures = "no failures"
    if asked.failures:
        kept = (
            "cells begin anew" if asked.kept_min is None else f"kept every {asked.kept_min:g} min"
        )
        failures = f"{asked.failures:g} failures of a node an hour, {kept}"
    return f"played through on nodes of {asked.per_node} {unit}s: {shards}, {failures}"


def told(bill: Bill, found: "list[Scaled]") -> dict[str, Any]:
    """Return what a program reads, beside the cells."""
    return {
        "times": bill.source,
        "unit": bill.unit,
        "tasks": bill.by_task,
        "scratch_bytes_of_a_cell": bill.scratch,
        "untold": list(bill.untold),
        "scaling": [asdict(one) for one in found],
    }


def plotted(session: "Session", bill: Bill, asked: Asked) -> None:
    """Draw speed-up against workers, where a picture is asked for.

    Raises:
        BenchError: If its name is not that of a picture.
    """
    from bench.forecast.plot import draw
    from bench.forecast.scaling import original

    if asked.plot is None:
        return
    jobs, _ = _jobs(session, bill, asked)
    trained = {one.key for one in session.plan if one.cell.task == "train"}
    draw(
        asked.plot,
        jobs,
        cluster_of(asked),
        trained={job.key for job in jobs if original(job.key) in trained},
        counts=asked.counts() or PLOTTED,
        unit=bill.unit,
    )
