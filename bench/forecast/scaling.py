"""What clusters of any size would make of a plan, where it stops scaling, and why."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.api import Kind
from bench.forecast.cluster import Cluster, Job, least_wall, longest_chain
from bench.forecast.cost import Cost
from bench.forecast.duration import duration
from bench.forecast.simulation import Played, simulate
from bench.plan import Plan, Planned

ENOUGH = 0.9
"""Share of all workers' time that goes into cells, from which on nothing limits."""
MOSTLY = 0.5
"""Share of a chain that one cell takes which is then to blame alone."""
NEARLY = 0.9
"""Share of the time until the last cell that a chain takes which is then to blame."""
SHOWN = 4
"""Cells of a chain that are named."""


@dataclass(frozen=True)
class Scaled:
    """A plan on one number of workers."""

    workers: int
    shards: int
    wall_s: float
    least_s: float
    """That no schedule beats."""
    busy: float
    """Share of all workers' time that goes into the cells."""
    lost_h: float
    """Worker hours whose work failures undid."""
    failures: int
    limit: str
    """What it is that keeps more workers from helping."""


def jobs_of(plan: Plan, costs: Mapping[str, Cost], *, copies: int = 1) -> list[Job]:
    """Return the cells as a scheduler sees them; what is not told takes no time.

    Of several copies - seeds, data sets - those share what does not depend on data.
    """
    shared = {one.key for one in plan if not _is_of_data(one)}
    jobs = []
    for copy in range(copies):
        for one in plan:
            if copy and one.key in shared:
                continue
            cost = costs[one.key]
            uses = tuple(_name(used, copy, shared) for used in one.uses)
            jobs.append(
                Job(
                    key=_name(one.key, copy, shared),
                    seconds=cost.seconds or 0.0,
                    uses=uses,
                    alone=one.cell.timing,
                    parts=cost.parts,
                    width=cost.width,
                )
            )
    return jobs


def times_of(plan: Plan, copies: int) -> Counter[str]:
    """Return how often each cell is done in so many copies of a plan."""
    return Counter({one.key: copies if _is_of_data(one) else 1 for one in plan})


def _is_of_data(planned: Planned) -> bool:
    asked = [planned.cell]
    while asked:
        one = asked.pop()
        if Kind.DATASET in one.spec:
            return True
        asked += one.uses
    return False


def _name(key: str, copy: int, shared: set[str]) -> str:
    return key if not copy or key in shared else f"{key}/{copy}"


def scaled(
    jobs: Sequence[Job], labels: Mapping[str, str], cluster: Cluster, counts: Iterable[int]
) -> list[Scaled]:
    """Return what becomes of the cells on so many workers each.

    Args:
        jobs: The cells.
        labels: Key -> what a person calls a cell.
        cluster: What does not change with the number of workers.
        counts: Numbers of workers.

    Raises:
        BenchError: As `simulate` does.
    """
    found = []
    for count in counts:
        size = min(count, cluster.per_node) if cluster.per_node else None
        here = replace(cluster, workers=count, per_node=size)
        played = simulate(jobs, here)
        found.append(
            Scaled(
                workers=count,
                shards=cluster.shards,
                wall_s=played.wall_s,
                least_s=least_wall(jobs, here),
                busy=played.busy(count),
                lost_h=played.lost_s / 3600,
                failures=played.failures,
                limit=_limit(jobs, labels, here, played),
            )
        )
    return found


def _limit(jobs: Sequence[Job], labels: Mapping[str, str], cluster: Cluster, played: Played) -> str:
    """Say where the largest part of the idle time is from."""
    workers = cluster.workers
    if played.busy(workers) >= ENOUGH:
        return "the work itself"
    alone = [job for job in jobs if job.alone]
    while_alone = workers * (played.wall_s - played.together_s) - sum(
        cluster.work_s(job) for job in alone
    )
    idle = workers * played.wall_s - played.work_s
    if played.lost_s > max(while_alone, idle - while_alone - played.lost_s):
        return f"failures: {duration(played.lost_s)} of work done again"
    if while_alone > idle - while_alone:
        timed = duration(played.wall_s - played.together_s)
        return f"timings, each alone on a node: {timed}, {len(alone)} cells"
    together = [job for job in jobs if not job.alone]
    seconds, chain = longest_chain(together, cluster)
    known = {job.key: job for job in together}
    if seconds < NEARLY * played.together_s:
        most = max(together, key=cluster.piece_s)
        said = f"{_label(most.key, labels)}, {duration(cluster.piece_s(most))}"
        return f"cells too long to share evenly (the longest: {said})"
    most = max((known[key] for key in chain), key=cluster.piece_s)
    if cluster.piece_s(most) >= MOSTLY * seconds:
        of = "" if len(chain) == 1 else f" of a chain of {duration(seconds)}"
        return f"one cell: {_label(most.key, labels)}, {duration(cluster.piece_s(most))}{of}"
    told = " > ".join(_label(key, labels) for key in chain[:SHOWN])
    more = " > ..." if len(chain) > SHOWN else ""
    return f"a chain of {duration(seconds)}: {told}{more}"


def _label(key: str, labels: Mapping[str, str]) -> str:
    return labels[original(key)]


def original(key: str) -> str:
    """Return the key in the plan of which a job is a copy."""
    return key.partition("/")[0]
