"""Cells -> records: what is in the store is not redone, and one cell's fault loses no other.

Quality cells run side by side, one worker process each; timing cells run last, one at a time, with
the machine to themselves.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import Any

from bench import canonical
from bench.errors import BenchError
from bench.plan import Plan, Planned
from bench.pool import Stopped, Worker
from bench.renewal import Renewal
from bench.settling import Limits, Settled, Settler
from bench.store import Record, Store


class Listener:
    """Hears what happens; the base class ignores it. What it raises is ignored too."""

    def started(self, planned: Planned) -> None:
        """A cell has begun."""

    def advanced(self, planned: Planned, done: int, total: int) -> None:
        """A cell is `done` of `total` on its way."""

    def finished(self, planned: Planned, record: Record, measured: bool) -> None:
        """A cell has its record; `measured` is false where the store had it."""

    def stopping(self) -> None:
        """The run winds up: nothing more begins."""


@dataclass
class Runner:
    """Measures the cells of one plan, once."""

    store: Store
    workers: int = 1
    device: str = "cpu"
    limit_s: float = 3600.0
    memory_gib: float | None = None
    """Most memory of one cell; by default its part of the machine's."""
    fresh: bool = False
    listener: Listener = field(default_factory=Listener)
    failed_again: list[Record] = field(default_factory=list, init=False)
    """Attempts that failed where an earlier one had succeeded, whose record stays."""
    _free: "SimpleQueue[Worker]" = field(default_factory=SimpleQueue, init=False)
    _all: list[Worker] = field(default_factory=list, init=False)
    _stopping: bool = field(default=False, init=False)

    def run(self, plan: Plan) -> dict[str, Record]:
        """Return key -> record for every cell of the plan.

        Raises:
            StorageError: If results cannot be written.
            KeyboardInterrupt: If `wind_up` was called; what is measured is in the store.
        """
        if self._all:
            raise RuntimeError("a runner runs once; make another")
        self.store.prepare()
        logs = self.store.root / "logs"
        self._all = [Worker(logs / f"worker-{index}.log") for index in range(self.workers)]
        for worker in self._all:
            self._free.put(worker)
        settler = self._settler(plan)
        records: dict[str, Record] = {}
        try:
            with ThreadPoolExecutor(self.workers) as threads:
                try:
                    self._together(plan, settler, records, threads)
                except BaseException:
                    self._stop()  # unblocks the threads that wait for a worker
                    threads.shutdown(cancel_futures=True)
                    raise
            self._alone(plan, settler, records)
        finally:
            self._stop()
            for worker in self._all:
                worker.release()
        if settler.renewal is not None:
            settler.renewal.close()
        return {planned.key: records[planned.key] for planned in plan}

    def wind_up(self) -> None:
        """Begin nothing more; cells at hand save their place or finish. Any thread may call it."""
        self._stopping = True
        for worker in self._all:
            worker.pause()
        self._tell(self.listener.stopping)

    def _settler(self, plan: Plan) -> Settler:
        name = f"renewal-{canonical.digest(list(plan.cells))[:16]}.txt"
        renewal = Renewal(self.store.root / name) if self.fresh else None
        limits = Limits(self.limit_s, self.memory_gib, self.workers)
        settler = Settler(self.store, self.device, limits, renewal, frozenset(), self._go_on)
        missing = [planned for planned in plan if settler.known(planned) is None]
        read_from = frozenset(key for planned in missing for key in planned.uses)
        return replace(settler, read_from=read_from)

    def _together(
        self,
        plan: Plan,
        settler: Settler,
        records: dict[str, Record],
        threads: ThreadPoolExecutor,
    ) -> None:
        """Run quality cells as soon as what they use is there."""
        cells = {planned.key: planned for planned in plan if not planned.cell.timing}
        for planned in cells.values():
            if not cells.keys() >= set(planned.uses):
                raise BenchError(f"'{planned.cell.label}' uses a timing cell, which runs last")
        order = TopologicalSorter({key: planned.uses for key, planned in cells.items()})
        order.prepare()
        ready: list[str] = []
        running: dict[Future[Settled], Planned] = {}
        while order.is_active() and not (self._stopping and not running):
            ready += order.get_ready()
            while ready and len(running) < self.workers and not self._stopping:
                planned = cells[ready.pop(0)]
                used = {key: records[key] for key in planned.uses}
                running[threads.submit(self._settle, settler, planned, used)] = planned
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                planned = running.pop(future)
                with self._stopped_is_expected():
                    self._finish(planned, records, future.result())
                    order.done(planned.key)

    def _alone(self, plan: Plan, settler: Settler, records: dict[str, Record]) -> None:
        """Run timing cells, one at a time.

        Raises:
            KeyboardInterrupt: If the run is being stopped.
        """
        for planned in plan:
            if planned.cell.timing and not self._stopping:
                with self._stopped_is_expected():
                    self._finish(planned, records, self._settle(settler, planned, records))
        if self._stopping:
            raise KeyboardInterrupt("the run was asked to stop")

    def _settle(self, settler: Settler, planned: Planned, used: Mapping[str, Record]) -> Settled:
        def progress(done: int, total: int) -> None:
            self._tell(self.listener.advanced, planned, done, total)

        @contextlib.contextmanager
        def borrowed() -> Iterator[Worker]:
            worker = self._free.get()
            try:
                self._tell(self.listener.started, planned)
                yield worker
            finally:
                self._free.put(worker)

        return settler.settle(planned, used, borrowed, progress)

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
        for worker in self._all:
            worker.close()
