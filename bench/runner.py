"""Cells -> records: what is in the store is not redone, and one cell's fault loses no other.

Quality cells run side by side, one worker process each; timing cells run last, one at a time, with
the machine to themselves.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from filelock import FileLock, Timeout

from bench import provenance
from bench.errors import BenchError
from bench.locks import machine_lock
from bench.plan import Plan, Planned
from bench.pool import Worker
from bench.store import Record, Store
from bench.worker import data_of

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


@dataclass
class Runner:
    """Measures the cells of a plan."""

    store: Store
    workers: int = 1
    device: str = "cpu"
    limit_s: float = 3600.0
    fresh: bool = False
    listener: Listener = field(default_factory=Listener)
    _pool: "SimpleQueue[Worker]" = field(default_factory=SimpleQueue, init=False)
    _all: list[Worker] = field(default_factory=list, init=False)
    _stopping: bool = field(default=False, init=False)

    def run(self, plan: Plan) -> dict[str, Record]:
        """Return key -> record for every cell of the plan.

        Raises:
            StorageError: If results cannot be written.
        """
        self.store.prepare()
        self._stopping = False
        logs = self.store.root / "logs"
        self._all = [Worker(logs / f"worker-{index}.log") for index in range(self.workers)]
        for worker in self._all:
            self._pool.put(worker)
        records: dict[str, Record] = {}
        try:
            with ThreadPoolExecutor(self.workers) as threads:
                try:
                    quality = [planned for planned in plan if not planned.cell.timing]
                    self._together(quality, records, threads)
                except BaseException:
                    self._stop()  # unblocks the threads that wait for a worker
                    threads.shutdown(cancel_futures=True)
                    raise
            for planned in plan:
                if planned.cell.timing:
                    self._finish(planned, records, self._settle(planned, records))
        finally:
            self._stop()
        return {planned.key: records[planned.key] for planned in plan}

    def _together(
        self, cells: Iterable[Planned], records: dict[str, Record], threads: ThreadPoolExecutor
    ) -> None:
        """Run quality cells as soon as what they use is there."""
        waiting = list(cells)
        running: dict[Future[tuple[Record, bool]], Planned] = {}
        while waiting or running:
            ready = [p for p in waiting if all(used in records for used in p.uses)]
            for planned in ready[: self.workers - len(running)]:
                waiting.remove(planned)
                running[threads.submit(self._settle, planned, dict(records))] = planned
            if not running:
                stuck = ", ".join(planned.cell.label for planned in waiting)
                raise BenchError(f"these cells use a timing cell, which runs last: {stuck}")
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                self._finish(running.pop(future), records, future.result())

    def _finish(
        self, planned: Planned, records: dict[str, Record], settled: tuple[Record, bool]
    ) -> None:
        record, measured = settled
        records[planned.key] = record
        self.listener.finished(planned, record, measured)

    def _settle(self, planned: Planned, records: dict[str, Record]) -> tuple[Record, bool]:
        """Return a cell's record and whether it had to be measured."""
        known = None if self.fresh else self._known(planned)
        if known is not None:
            return known, False
        reason = planned.unavailable or _unmet(planned, records)
        if reason:
            return self._keep(planned, {"status": "skipped", "reason": reason}, 0.0), False
        with (
            self._cell_lock(planned.key),
            machine_lock(alone=planned.cell.timing, wanted=self._go_on),
        ):
            known = None if self.fresh else self._known(planned)  # another run may have made it
            return (known, False) if known is not None else (self._measure(planned), True)

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
        self._go_on()
        self.listener.started(planned)
        if self.fresh:
            shutil.rmtree(self.store.partial(planned.key), ignore_errors=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.store.root / "partial") as folder:
            made = Path(folder) / "files"
            made.mkdir()
            request = {
                "key": planned.key,
                "cell": data_of(planned.cell),
                "keys": list(planned.uses),
                "store": str(self.store.root),
                "folder": str(made),
                "device": self.device,
                "threads": 1,
            }
            try:
                answer = worker.run(
                    request,
                    self.limit_s,
                    lambda done, total: self.listener.advanced(planned, done, total),
                )
            finally:
                self._pool.put(worker)
            self._go_on()  # a worker that was ended by us is no fault of the cell
            answer["files"] = self.store.adopt(planned.key, made, answer["files"])
            record = self._keep(planned, answer, time.monotonic() - started)
        if record["status"] == "ok":
            shutil.rmtree(self.store.partial(planned.key), ignore_errors=True)
        return record

    def _keep(self, planned: Planned, answer: dict[str, Any], seconds: float) -> Record:
        """Complete an answer to a record and write it."""
        record: Record = {
            "rows": [],
            "files": {},
            **answer,
            "key": planned.key,
            "task": planned.cell.task,
            "label": planned.cell.label,
            "spec": dict(planned.cell.spec),
            "uses": list(planned.uses),
            "timing": planned.cell.timing,
            "made": {
                "machine": provenance.machine(),
                "versions": provenance.versions(),
                "git": provenance.git(),
                "device": self.device,
                "seconds": round(seconds, 3),
            },
        }
        return self.store.put(record)

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._all:
            worker.stop()


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
