"""Cells -> records: what is in the store is not redone, and one cell's fault loses no other.

Quality cells run side by side; timing cells run last, with a machine to themselves. Where, is the
executor's.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

from bench import canonical
from bench.errors import BenchError
from bench.executor.executor import Executor, Seat
from bench.executor.local import Local
from bench.jobs import Job, Shown, jobs_of, order_of
from bench.limits import open_files
from bench.locks import patient
from bench.plan import Plan, Planned
from bench.pool import Stopped
from bench.recovery import RENEWAL
from bench.renewal import Renewal
from bench.settling import Limits, Settled, Settler
from bench.shared.sharing import Sharing, Unshared
from bench.store import Record, Store


class Listener:
    """Hears what happens; the base class ignores it. What it raises is ignored too."""

    def waiting(self, planned: Planned) -> None:
        """A cell's turn has come, but other runs keep its machine busy."""

    def elsewhere(self, planned: Planned) -> None:
        """A cell's turn has come, and another run over the same store is measuring it."""

    def started(self, planned: Planned) -> None:
        """A cell has begun."""

    def advanced(self, planned: Planned, done: int, total: int) -> None:
        """A cell is `done` of `total` on its way."""

    def finished(self, planned: Planned, record: Record, measured: bool) -> None:
        """A cell has its record; `measured` is false where the store had it."""

    def stopping(self) -> None:
        """The run winds up: nothing more begins."""


TOLD_AFTER_S = 2.0
"""How long a cell waits for other runs before people are told."""
MOST_AT_ONCE = 4096
"""Seats that are used, at most: each has a thread that waits."""
FILES_OF_CELL, FILES_OF_RUN = 4, 128
"""Held open at once: a cell's lock and whatever is read meanwhile, and the rest."""


@dataclass
class Runner:
    """Measures the cells of one plan, once."""

    store: Store
    workers: int = 1
    """Cells measured side by side on this machine, where no executor is named."""
    device: str = "cpu"
    limit_s: float = 3600.0
    memory_gib: float | None = None
    """Most memory of one cell; by default its part of the machine's."""
    fresh: bool = False
    shards: int = 1
    """In how many shares, at most, the parts of a long cell are made side by side before it."""
    listener: Listener = field(default_factory=Listener)
    executor: Executor | None = None
    sharing: Sharing = field(default_factory=Unshared)
    """Who else has results."""
    failed_again: list[Record] = field(default_factory=list, init=False)
    """Attempts that failed where an earlier one had succeeded, whose record stays."""
    _where: Executor = field(init=False)
    _begun: bool = field(default=False, init=False)
    _shown: Shown = field(default_factory=Shown, init=False)
    _stopping: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._where = self.executor or Local(self.workers)

    def run(self, plan: Plan) -> dict[str, Record]:
        """Return key -> record for every cell of the plan.

        Raises:
            BenchError: If a cell needs what no machine has.
            StorageError: If results cannot be written.
            KeyboardInterrupt: If `wind_up` was called; what is measured is in the store.
        """
        if self._begun:
            raise RuntimeError("a runner runs once; make another")
        self._begun = True
        quality = {planned.key: planned for planned in plan if not planned.cell.timing}
        timing = {planned.key: planned for planned in plan if planned.cell.timing}
        _refuse_early_timings(quality)
        self.store.prepare()
        records: dict[str, Record] = {}
        try:
            self._where.prepare(plan, self.store, memory_gib=self.memory_gib)
            settler = self._settler(plan)
            with ThreadPoolExecutor(MOST_AT_ONCE) as threads:
                run = _Phases(settler, records, threads)
                try:
                    jobs = jobs_of(quality.values(), self.shards, self._lacks(settler))
                    self._in_order(jobs, run, lambda: self._where.seats)
                    jobs = {planned.key: Job(planned) for planned in timing.values()}
                    self._in_order(jobs, run, lambda: self._where.timing_seats)
                except BaseException:
                    self._stop()  # unblocks the threads that wait for an answer
                    threads.shutdown(cancel_futures=True)
                    raise
            if self._stopping:
                raise KeyboardInterrupt("the run was asked to stop")
        finally:
            self._stop()
            self._where.release()
        if settler.renewal is not None:
            settler.renewal.close()
        return {planned.key: records[planned.key] for planned in plan}

    def wind_up(self) -> None:
        """Begin nothing more; cells at hand save their place or finish. Any thread may call it."""
        self._stopping = True
        self._where.wind_up()
        self._tell(self.listener.stopping)

    def _settler(self, plan: Plan) -> Settler:
        name = f"{RENEWAL}{canonical.digest(list(plan.cells))[:16]}.txt"
        renewal = Renewal(self.store.root / name) if self.fresh else None
        limits = Limits(self.limit_s, self.memory_gib)
        settler = Settler(
            self.store, self.device, limits, renewal, frozenset(), self._go_on, self._awaits,
            self.sharing,
        )  # fmt: skip
        missing = [planned for planned in plan if settler.known(planned) is None]
        read_from = frozenset(key for planned in missing for key in planned.uses)
        return replace(settler, read_from=read_from)

    def _awaits(self, planned: Planned) -> Callable[[], None]:
        tell = partial(self._tell, self.listener.elsewhere, planned)
        return patient(self._go_on, tell, after_s=TOLD_AFTER_S)

    def _lacks(self, settler: Settler) -> Callable[[Planned], bool]:
        return lambda planned: not planned.unavailable and settler.known(planned) is None

    def _in_order(self, jobs: Mapping[str, Job], run: "_Phases", seats: Callable[[], int]) -> None:
        """Run jobs as soon as what they use is there, as many at once as there are seats."""
        order = TopologicalSorter(order_of(jobs))
        order.prepare()
        ready: list[str] = []
        running: dict[Future[Settled | None], Job] = {}
        while order.is_active() and not (self._stopping and not running):
            ready += order.get_ready()
            while ready and len(running) < _used_of(seats()) and not self._stopping:
                job = jobs[ready.pop(0)]
                used = {key: run.records[key] for key in job.planned.uses}
                running[run.threads.submit(self._settle, run.settler, job, used)] = job
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                with self._stopped_is_expected():
                    settled = future.result()
                    if settled is not None:
                        self._finish(job.planned, run.records, settled)
                    order.done(job.name)

    def _settle(self, settler: Settler, job: Job, used: Mapping[str, Record]) -> Settled | None:
        """Settle a cell, or have a share of it made."""
        planned = job.planned

        def progress(done: int, total: int) -> None:
            done = self._shown.done(job, done)
            self._tell(self.listener.advanced, planned, done, total)

        @contextlib.contextmanager
        def taken() -> Iterator[Seat]:
            waiting = partial(self._tell, self.listener.waiting, planned)
            go_on = patient(self._go_on, waiting, after_s=TOLD_AFTER_S)
            with self._where.seat(planned, go_on) as seat:
                if self._shown.is_first(planned.key):
                    self._tell(self.listener.started, planned)
                yield seat

        if job.share is None:
            return settler.settle(planned, used, taken, progress)
        settler.help(planned, used, job.share, taken, progress)
        return None

    def _finish(self, planned: Planned, records: dict[str, Record], settled: Settled) -> None:
        records[planned.key] = settled.record
        if settled.attempt is not None:
            self.failed_again.append(settled.attempt)
        shown = settled.attempt or settled.record
        self._tell(self.listener.finished, planned, shown, settled.measured)

    def _tell(self, hear: Callable[..., None], *about: Any) -> None:
        """Tell the listener; what is shown, or cannot be, is no reason to lose a cell."""
        with contextlib.suppress(Exception):
            hear(*about)

    def _go_on(self) -> None:
        """Raise once the run is being stopped: what waits must not begin."""
        if self._stopping:
            raise Stopped("the run is being stopped")

    @contextlib.contextmanager
    def _stopped_is_expected(self) -> Iterator[None]:
        """Pass over a cell that was cut short, where the run is being stopped."""
        try:
            yield
        except Stopped:
            if not self._stopping:
                raise

    def _stop(self) -> None:
        self._stopping = True
        self._where.close()


@dataclass(frozen=True)
class _Phases:
    """What both phases of a run share."""

    settler: Settler
    records: dict[str, Record]
    threads: ThreadPoolExecutor


def _used_of(seats: int) -> int:
    """Return how many seats are used: fewer where the system lets a process open few files."""
    most = min(seats, MOST_AT_ONCE)
    files = open_files(FILES_OF_RUN + FILES_OF_CELL * most)
    return min(most, max(1, (files - FILES_OF_RUN) // FILES_OF_CELL))


def _refuse_early_timings(quality: Mapping[str, Planned]) -> None:
    for planned in quality.values():
        if not quality.keys() >= set(planned.uses):
            raise BenchError(f"'{planned.cell.label}' uses a timing cell, which runs last")
