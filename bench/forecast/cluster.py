"""What a run is played through on, cells as a scheduler sees them, and what no schedule beats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from bench.errors import BenchError


@dataclass(frozen=True, slots=True)
class Job:
    """A cell, as a scheduler sees it."""

    key: str
    seconds: float
    """On one worker."""
    uses: tuple[str, ...] = ()
    alone: bool = False
    """Whether it has a node to itself, after all others."""
    parts: int = 1
    """Pieces that it can be cut into, equal and independent of each other."""
    width: int = 1
    """Workers of one node, at most, that share it: each for its part of the seconds."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a run is played through on."""

    workers: int
    per_node: int | None = None
    """Workers of a node; None: all are of one."""
    shards: int = 1
    """Most pieces of a cell."""
    start_s: float = 0.0
    """Before a worker's first piece, and after its node failed."""
    overhead_s: float = 0.0
    """Of every piece, beside its own seconds."""
    failures_per_hour: float = 0.0
    """Of a node, whose times between failures are exponential; it is back at once."""
    kept_every_s: float | None = None
    """How often a piece keeps what it has; None: it begins anew after a failure."""
    seed: int = 0

    def nodes(self) -> list[int]:
        """Return the workers of each node; the last may have fewer."""
        size = self.per_node or self.workers
        full, rest = divmod(self.workers, size)
        return [size] * full + [rest] * (rest > 0)

    def pieces(self, job: Job) -> int:
        """Return how many pieces a cell is cut into: no more than there are workers."""
        if job.alone or self.width(job) > 1:
            return 1
        return min(job.parts, self.shards, self.workers)

    def width(self, job: Job) -> int:
        """Return how many workers share a cell: no more than the largest node has."""
        return 1 if job.alone else min(job.width, max(self.nodes()))

    def piece_s(self, job: Job) -> float:
        """Return how long one of them takes."""
        return job.seconds / (self.pieces(job) * self.width(job)) + self.overhead_s

    def work_s(self, job: Job) -> float:
        """Return the seconds of workers that a cell takes."""
        return self.piece_s(job) * self.pieces(job) * self.width(job)


def longest_chain(jobs: Iterable[Job], cluster: Cluster) -> tuple[float, list[str]]:
    """Return the seconds of the longest chain of cells, each using the one before, and its keys.

    No schedule without failures ends sooner, however many workers there are.
    """
    known = {job.key: job for job in jobs}
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for key in TopologicalSorter({job.key: job.uses for job in known.values()}).static_order():
        if key in known:
            job = known[key]
            before[key] = max(
                (used for used in job.uses if used in ends), key=ends.__getitem__, default=None
            )
            ends[key] = cluster.piece_s(job) + (ends[before[key]] if before[key] else 0.0)
    last = max(ends, key=ends.__getitem__, default=None)
    chain: list[str] = []
    at = last
    while at is not None:
        chain.append(at)
        at = before[at]
    return (ends[last] if last is not None else 0.0), chain[::-1]


def least_wall(jobs: Sequence[Job], cluster: Cluster) -> float:
    """Return a time that no schedule beats: the work over the workers, or the longest chain."""
    total, nodes = 0.0, len(cluster.nodes())
    for workers, alone in ((cluster.workers, False), (nodes, True)):
        some = [job for job in jobs if job.alone == alone]
        work = sum(cluster.work_s(job) for job in some) / workers
        total += max(work, longest_chain(some, cluster)[0])
    return total


def refuse_impossible(cluster: Cluster) -> None:
    """Refuse what cannot be played through.

    Raises:
        BenchError: If there are no workers, or a number is no such number.
    """
    for name in ("workers", "per_node", "shards"):
        value = getattr(cluster, name)
        if value is not None and value < 1:
            raise BenchError(f"{value} {name.replace('_', ' ')}: expected 1 or more")
    numbers = {
        f"failures {cluster.failures_per_hour} an hour": cluster.failures_per_hour,
        f"overhead {cluster.overhead_s} s": cluster.overhead_s,
        f"start {cluster.start_s} s": cluster.start_s,
    }
    for words, number in numbers.items():
        if not 0 <= number < float("inf"):
            raise BenchError(f"{words}: expected a finite number from 0 on")
    every = cluster.kept_every_s
    if every is not None and not every > 0:
        raise BenchError(f"kept every {every} s: expected a time above 0")
