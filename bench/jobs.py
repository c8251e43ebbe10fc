"""The cells of a run as jobs: each is one job, or some shares and, after them, the cell itself."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bench.api import Cell, Kind
from bench.plan import Planned
from bench.registry import find
from bench.shards import BLOCKS

LEAST = 4
"""Blocks of a share, at least: what comes before them, such as loading a network, is done in each
share again."""
Share = tuple[int, int]
"""Which of how many."""


@dataclass(frozen=True)
class Job:
    """What a seat is taken for."""

    planned: Planned
    share: Share | None = None
    """None for the cell itself."""

    @property
    def name(self) -> str:
        """What it is called among the jobs of a run."""
        return self.planned.key if self.share is None else f"{self.planned.key} {self.share[0]}"


def shares_of(cell: Cell, shards: int) -> int:
    """Return in how many shares a cell's parts are made in advance; 0 for none.

    Timing cells have none, nor have tasks that declare no blocks (`bench.shards.shardable`).
    """
    blocks = getattr(find(Kind.TASK, cell.task).build, BLOCKS, None)
    if cell.timing or blocks is None:
        return 0
    try:
        most = min(shards, int(blocks(cell)) // LEAST)
    except Exception:  # a plug-in's own: such a cell is measured in one piece
        return 0
    return most if most > 1 else 0


def jobs_of(
    cells: Iterable[Planned], shards: int, wanted: Callable[[Planned], bool]
) -> dict[str, Job]:
    """Return the jobs of some cells by name; only cells that are `wanted` have shares."""
    jobs: dict[str, Job] = {}
    for planned in cells:
        count = shares_of(planned.cell, shards) if shards > 1 and wanted(planned) else 0
        for job in (*(Job(planned, (index, count)) for index in range(count)), Job(planned)):
            jobs[job.name] = job
    return jobs


def order_of(jobs: Mapping[str, Job]) -> dict[str, set[str]]:
    """Return job -> the jobs before it: cells that it uses and, of a cell itself, its shares."""
    order: dict[str, set[str]] = {}
    for name, job in jobs.items():
        order.setdefault(job.planned.key, set())
        order[name] = order.get(name, set()) | (set(job.planned.uses) & jobs.keys())
        if job.share is not None:
            order[job.planned.key].add(name)
    return order


class Shown:
    """What the listener was told of cells of which several shares are on their way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._done: dict[str, dict[int, int]] = defaultdict(dict)

    def is_first(self, key: str) -> bool:
        """Return whether nothing of a cell had begun yet."""
        with self._lock:
            first = key not in self._begun
            self._begun.add(key)
            return first

    def done(self, job: Job, done: int) -> int:
        """Return how much of the cell is done, with what a job has."""
        if job.share is None:
            return done
        with self._lock:
            of_shares = self._done[job.planned.key]
            of_shares[job.share[0]] = done
            return sum(of_shares.values())
