"""Cells -> records: what is in the store is not redone, and one cell's fault loses no other.

Quality cells run side by side, one worker process each; timing cells run last, one at a time, with
the machine to themselves.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import Any

from filelock import FileLock, Timeout

from bench import provenance
from bench.errors import BenchError, StorageError
from bench.limits import memory_limit
from bench.locks import machine_lock
from bench.plan import Plan, Planned
from bench.pool import Worker
from bench.store import Record, Store
from bench.wire import data_of
from bench.worker import PAUSED

REUSED = ("ok", "invalid")
"""Statuses that a second run takes over; the others are tried again."""


UNMET = "needs"
"""How the reason of a cell begins that could not run because of another."""


class Listener:
    """Hears what happens; the base class ignores it."""

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
    """Measures the cells of a plan."""

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
    _pool: "SimpleQueue[Worker]" = field(default_factory=SimpleQueue, init=False)
    _all: list[Worker] = field(default_factory=list, init=False)
    _stopping: bool = field(default=False, init=False)

    def run(self, plan: Plan) -> dict[str, Record]:
        """Return key -> record for every cell of the plan.

        Raises:
            StorageError: If results cannot be written.
            KeyboardInterrupt: If `wind_up` was called; what is measured is in the store.
        """
        self.store.prepare()
        self._stopping = False
        self.failed_again.clear()
        logs = self.store.root / "logs"
        self._all = [Worker(logs / f"worker-{index}.log") for index in range(self.workers)]
        for worker in self._all:
            self._pool.put(worker)
        records: dict[str, Record] = {}
        try:
            with ThreadPoolExecutor(self.workers) as threads:
                try:
                    self._together(plan, records, threads)
                except BaseException:
                    self._stop()  # unblocks the threads that wait for a worker
                    threads.shutdown(cancel_futures=True)
                    raise
            self._alone(plan, records)
        finally:
            self._stop()
        return {planned.key: records[planned.key] for planned in plan}

    def wind_up(self) -> None:
        """Begin nothing more; cells at hand save their place or finish. Any thread may call it."""
        self._stopping = True
        for worker in self._all:
            worker.pause()
        self.listener.stopping()

    def _together(
        self, plan: Plan, records: dict[str, Record], threads: ThreadPoolExecutor
    ) -> None:
        """Run quality cells as soon as what they use is there."""
        cells = {planned.key: planned for planned in plan if not planned.cell.timing}
        for planned in cells.values():
            if not cells.keys() >= set(planned.uses):
                raise BenchError(f"'{planned.cell.label}' uses a timing cell, which runs last")
        order = TopologicalSorter({key: planned.uses for key, planned in cells.items()})
        order.prepare()
        ready: list[str] = []
        running: dict[Future[tuple[Record, bool]], Planned] = {}
        while order.is_active() and not (self._stopping and not running):
            ready += order.get_ready()
            while ready and len(running) < self.workers and not self._stopping:
                planned = cells[ready.pop(0)]
                used = {key: records[key] for key in planned.uses}
                running[threads.submit(self._settle, planned, used)] = planned
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                planned = running.pop(future)
                with contextlib.suppress(InterruptedError):  # it saved its place
                    self._finish(planned, records, future.result())
                    order.done(planned.key)

    def _alone(self, plan: Plan, records: dict[str, Record]) -> None:
        """Run timing cells, one at a time.

        Raises:
            KeyboardInterrupt: If the run is being stopped.
        """
        for planned in plan:
            if planned.cell.timing and not self._stopping:
                with contextlib.suppress(InterruptedError):
                    self._finish(planned, records, self._settle(planned, records))
        if self._stopping:
            raise KeyboardInterrupt("the run was asked to stop")

    def _finish(
        self, planned: Planned, records: dict[str, Record], settled: tuple[Record, bool]
    ) -> None:
        record, measured = settled
        self.listener.finished(planned, record, measured)
        if "checksum" not in record:
            self.failed_again.append(record)
            record = self._known(planned) or record
        records[planned.key] = record

    def _settle(self, planned: Planned, records: dict[str, Record]) -> tuple[Record, bool]:
        """Return a cell's record and whether it had to be measured.

        Raises:
            InterruptedError: If the run is being stopped and the cell has no record.
        """
        known = None if self.fresh else self._known(planned)
        if known is not None:
            return known, False
        reason = planned.unavailable or _unmet(planned, records)
        with self._cell_lock(planned.key):
            known = None if self.fresh else self._known(planned)  # another run may have made it
            if known is not None:
                return known, False
            if reason:
                return self._keep(planned, {"status": "skipped", "reason": reason}, 0.0), False
            with machine_lock(alone=planned.cell.timing, wanted=self._go_on):
                return self._measure(planned), True

    @contextlib.contextmanager
    def _cell_lock(self, key: str) -> Iterator[None]:
        """Hold the lock of a cell, which another run over this store may have."""
        lock = FileLock(self.store.lock(key))
        while True:
            self._go_on()
            try:
                lock.acquire(timeout=0.5)
                break
            except Timeout:
                continue
        try:
            yield
        finally:
            lock.release()

    def _go_on(self) -> None:
        """Raise once the run is being stopped: what waits must not begin."""
        if self._stopping:
            raise InterruptedError("the run is being stopped")

    def _known(self, planned: Planned) -> Record | None:
        record = self.store.get(planned.key)
        if record is None or record["status"] not in REUSED or not self.store.is_whole(record):
            return None
        return record

    def _measure(self, planned: Planned) -> Record:
        worker = self._pool.get()
        try:
            self._go_on()
            self.listener.started(planned)
            started = time.monotonic()
            answer = self._ask(worker, planned)
            if answer["status"] == PAUSED or (self._stopping and answer["status"] == "crashed"):
                raise InterruptedError("the cell goes on in another run")
        finally:
            self._pool.put(worker)
        record = self._keep(planned, answer, time.monotonic() - started)
        shutil.rmtree(self.store.work(planned.key), ignore_errors=True)
        if record["status"] == "ok":
            shutil.rmtree(self.store.partial(planned.key), ignore_errors=True)
        return record

    def _ask(self, worker: Worker, planned: Planned) -> dict[str, Any]:
        """Have a worker measure a cell into an empty folder."""
        made = self.store.work(planned.key)
        shutil.rmtree(made, ignore_errors=True)
        if self.fresh:
            shutil.rmtree(self.store.partial(planned.key), ignore_errors=True)
        try:
            made.mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"cannot make {made}: {error.strerror or error}") from error
        request = {
            "key": planned.key,
            "cell": data_of(planned.cell),
            "keys": list(planned.uses),
            "store": str(self.store.root),
            "folder": str(made),
            "device": self.device,
            "threads": 1,
        }
        alone = planned.cell.timing
        return worker.run(
            request,
            lambda done, total: self.listener.advanced(planned, done, total),
            limit_s=self.limit_s,
            limit_bytes=memory_limit(self.memory_gib, 1 if alone else self.workers),
        )

    def _keep(self, planned: Planned, answer: dict[str, Any], seconds: float) -> Record:
        """Complete an answer to a record and write it, files first.

        An attempt that failed does not replace what is whole: it is returned without a checksum.
        """
        peak = answer.pop("peak_rss_mib", 0)
        files = answer.pop("files", {})
        record: Record = {
            "rows": [],
            **answer,
            "files": {},
            "key": planned.key,
            "task": planned.cell.task,
            "label": planned.cell.label,
            "spec": dict(planned.cell.spec),
            "uses": list(planned.uses),
            "basis": dict(planned.basis),
            "timing": planned.cell.timing,
            "made": {
                "machine": provenance.machine(),
                "versions": provenance.versions(),
                "git": provenance.git(),
                "device": self.device,
                "seconds": round(seconds, 3),
                "peak_rss_mib": peak,
            },
        }
        if record["status"] != "ok" and self._known(planned) is not None:
            return record
        try:
            record["files"] = self.store.adopt(planned.key, self.store.work(planned.key), files)
            return self.store.put(record)
        except StorageError:
            raise
        except BenchError as unfit:  # a row or a file that no record can hold: the cell's fault
            failed = {"status": "failed", "reason": str(unfit), "rows": [], "files": {}}
            return self.store.put({**record, **failed})

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._all:
            worker.close()


def _unmet(planned: Planned, records: dict[str, Record]) -> str:
    """Return why a cell cannot run: the cell at the root of it that is not ok."""
    for key in planned.uses:
        used = records[key]
        if used["reason"].startswith(UNMET):
            reason: str = used["reason"]
            return reason
        if used["status"] != "ok":
            return f"{UNMET} '{used['label']}', which is {used['status']}: {used['reason']}"
    return ""
