"""A run on many workers, played through: list scheduling with parts, nodes that fail, and bounds.

Workers are the slots of nodes, a GPU each. What is ready first begins first, wherever there is
room; timing cells begin once all others are done, one to a node.
"""

import heapq
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import NamedTuple

from bench.errors import BenchError
from bench.forecast.cluster import Cluster, Job, refuse_impossible

HOUR = 3600.0
MOST_FAILURES = 200_000
"""Pieces cut short, after which a simulation gives up: cells do not end between failures."""


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a run."""

    wall_s: float
    together_s: float
    """When the last cell that is no timing ended."""
    work_s: float
    """Seconds of workers that the cells take, each once."""
    lost_s: float
    """Seconds of workers whose work was lost to failures."""
    failures: int
    """Of nodes at work."""
    ends: Mapping[str, float]
    """When each cell ended."""

    def busy(self, workers: int) -> float:
        """Return the share of all workers' time that went into the cells."""
        return self.work_s / (workers * self.wall_s) if self.wall_s else 1.0


def simulate(jobs: Sequence[Job], cluster: Cluster) -> Played:
    """Return how a run goes; the same for the same seed.

    Source: Graham 1966, "Bounds for certain multiprocessing anomalies" (list scheduling).

    Raises:
        BenchError: If there are no workers, a number is no such number, or cells never end
            between two failures.
        ValueError: If a cell uses a timing.
    """
    refuse_impossible(cluster)
    timings = {job.key for job in jobs if job.alone}
    clock = _Clock(cluster)
    together = [job for job in jobs if not job.alone]
    for job in together:
        if timings & set(job.uses):
            raise ValueError(f"'{job.key}' uses a timing, which runs last")
    first = _Play(cluster, cluster.nodes(), clock)
    ended = first.run(together, 0.0)
    last = _Play(cluster, [1] * len(cluster.nodes()), clock, warm=True)
    wall = last.run([job for job in jobs if job.alone], ended)
    return Played(
        wall_s=wall,
        together_s=ended,
        work_s=sum(cluster.work_s(job) for job in jobs),
        lost_s=first.lost_s + last.lost_s,
        failures=first.failures + last.failures,
        ends={**first.ends, **last.ends},
    )


class _Clock:
    """When each node fails next; memoryless, so that it runs on whatever the node does."""

    def __init__(self, cluster: Cluster) -> None:
        self.rate = cluster.failures_per_hour / HOUR
        self.rng = random.Random(cluster.seed)
        nodes = range(len(cluster.nodes()) if self.rate else 0)
        self.heap = [(self.rng.expovariate(self.rate), node) for node in nodes]
        heapq.heapify(self.heap)

    def next(self) -> float:
        return self.heap[0][0] if self.heap else float("inf")

    def strike(self) -> tuple[float, int]:
        """Return the next failure's time and node, and wind the node's clock up again."""
        when, node = self.heap[0]
        heapq.heapreplace(self.heap, (when + self.rng.expovariate(self.rate), node))
        return when, node


class _Piece(NamedTuple):
    """Of a cell: what waits."""

    order: int
    key: str
    seconds: float
    width: int


class _Running(NamedTuple):
    end: float
    number: int
    start: float
    """Of the work itself."""
    node: int
    piece: _Piece


@dataclass
class _Play:
    """One phase, event by event."""

    cluster: Cluster
    slots: list[int]
    """Of each node."""
    clock: _Clock
    warm: bool = False
    """Whether its workers have begun long ago."""
    lost_s: float = 0.0
    failures: int = 0
    ends: dict[str, float] = field(default_factory=dict)
    _waiting: dict[int, deque[_Piece]] = field(default_factory=dict)
    """By width, in order: a narrow piece passes a wide one for which there is no room."""
    _heap: list[_Running] = field(default_factory=list)
    _on: dict[int, dict[int, _Running]] = field(default_factory=dict)
    """Node -> number -> what runs there."""
    _cut: int = 0
    _number: int = 0

    def run(self, jobs: Sequence[Job], now: float) -> float:
        """Return when the last of these cells ends."""
        known = {job.key: job for job in jobs}
        order = TopologicalSorter(
            {job.key: [used for used in job.uses if used in known] for job in jobs}
        )
        order.prepare()
        self._free = list(self.slots)
        self._cold = [0 if self.warm else count for count in self.slots]
        self._open = dict.fromkeys(range(len(self.slots)))
        left: dict[str, int] = {}
        while order.is_active():
            for key in order.get_ready():
                left[key] = self._enter(known[key])
            self._begin(now)
            now, done = self._step()
            if done is not None:
                left[done] -= 1
                if not left[done]:
                    self.ends[done] = now
                    order.done(done)
        return now

    def _enter(self, job: Job) -> int:
        """Put the pieces of a cell at the end of what waits, and return their number."""
        pieces, width = self.cluster.pieces(job), self.cluster.width(job)
        waiting = self._waiting.setdefault(width, deque())
        seconds = self.cluster.piece_s(job)
        for _ in range(pieces):
            self._number += 1
            waiting.append(_Piece(self._number, job.key, seconds, width))
        return pieces

    def _begin(self, now: float) -> None:
        """Begin what waits and finds room, first come, first served."""
        while True:
            heads = sorted((q[0].order, width) for width, q in self._waiting.items() if q)
            found = ((width, self._room(width)) for _, width in heads)
            width, node = next(((w, n) for w, n in found if n is not None), (0, None))
            if node is None:
                return
            self._start(self._waiting[width].popleft(), node, now)

    def _room(self, width: int) -> int | None:
        if width == 1:
            return next(iter(self._open), None)
        return next((node for node in self._open if self._free[node] >= width), None)

    def _start(self, piece: _Piece, node: int, now: float) -> None:
        cold = min(self._cold[node], piece.width)
        self._cold[node] -= cold
        start = now + (self.cluster.start_s if cold else 0.0)
        self._take(node, piece.width)
        self._number += 1
        running = _Running(start + piece.seconds, self._number, start, node, piece)
        self._on.setdefault(node, {})[running.number] = running
        heapq.heappush(self._heap, running)

    def _take(self, node: int, width: int) -> None:
        self._free[node] -= width
        if self._free[node]:
            self._open[node] = None
        else:
            self._open.pop(node, None)

    def _step(self) -> tuple[float, str | None]:
        """Go on to the next end of a piece or failure; return when, and whose piece ended."""
        while self._heap and self._heap[0].number not in self._on.get(self._heap[0].node, {}):
            heapq.heappop(self._heap)  # was cut short
        if self.clock.next() < self._heap[0].end:
            when, node = self.clock.strike()
            self._fail(node, when)
            return when, None
        ended = heapq.heappop(self._heap)
        del self._on[ended.node][ended.number]
        self._take(ended.node, -ended.piece.width)
        return ended.end, ended.piece.key

    def _fail(self, node: int, now: float) -> None:
        """Have what ran on a node wait again, less what it kept."""
        running = self._on.pop(node, {})
        self.failures += bool(running)
        for one in reversed(running.values()):
            done, every = max(0.0, now - one.start), self.cluster.kept_every_s
            kept = 0.0 if every is None else done // every * every
            self.lost_s += (done - kept) * one.piece.width
            again = one.piece._replace(seconds=one.piece.seconds - kept)
            self._waiting[one.piece.width].appendleft(again)
            self._take(node, -one.piece.width)
            self._cut += 1
        self._cold[node] = self.slots[node]
        if self._cut > MOST_FAILURES:
            raise BenchError(
                f"at {self.clock.rate * HOUR:g} failures of a node an hour the run does not end: "
                f"{self._cut} pieces of cells were cut short; have cells keep what they have more "
                "often (--kept), cut them into more shards, or name fewer failures"
            )
