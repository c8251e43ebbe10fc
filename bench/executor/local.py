"""The executor `local`: warm worker processes of this machine, one cell each."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from bench import provenance
from bench.device import chosen_device
from bench.executor import here
from bench.executor.executor import Answer, Progress
from bench.locks import machine_lock
from bench.plan import Plan, Planned
from bench.pool import Worker
from bench.store import Store


@dataclass
class Local:
    """Measures cells on this machine; timing cells one at a time, with nothing beside them."""

    seats: int = 1
    timing_seats: int = field(default=1, init=False)
    _all: list[Worker] = field(default_factory=list, init=False)
    _free: "SimpleQueue[Worker]" = field(default_factory=SimpleQueue, init=False)

    def device(self, asked: str) -> str:
        """Return the device of this machine."""
        return chosen_device(asked)

    def machine(self) -> Mapping[str, Any]:
        """Return what this machine is."""
        return provenance.machine()

    def words(self) -> list[str]:
        """Return nothing: what this machine is, a person knows."""
        return []

    def prepare(self, plan: Plan, store: Store, *, memory_gib: float | None = None) -> None:
        """Name the workers; each begins with its first cell."""
        logs = store.root / "logs"
        self._all = [Worker(logs / f"worker-{index}.log") for index in range(self.seats)]
        for worker in self._all:
            self._free.put(worker)

    @contextlib.contextmanager
    def seat(self, planned: Planned, go_on: Callable[[], None]) -> Iterator["_Seat"]:
        """Hold the machine's lock, and a worker once one is free."""
        with machine_lock(alone=planned.cell.timing, wanted=go_on):
            worker = self._free.get()
            try:
                yield _Seat(worker, self.seats)
            finally:
                self._free.put(worker)

    def wind_up(self) -> None:
        """Ask the cells at hand to save their place and stop."""
        for worker in self._all:
            worker.pause()

    def close(self) -> None:
        """End the cells at hand."""
        for worker in self._all:
            worker.close()

    def release(self) -> None:
        """Give the processes back to the system, once no thread uses them."""
        for worker in self._all:
            worker.release()


@dataclass(frozen=True)
class _Seat:
    worker: Worker
    sharing: int

    def run(self, request: Mapping[str, Any], progress: Progress) -> Answer:
        return here.measured(self.worker, request, progress, sharing=self.sharing)
