"""What the runner needs of a place where cells are measured.

An executor gives seats; a cell takes one, is measured on it, and gives it back. What is measured,
in which order, what is kept and what is tried again is the runner's and the settler's: a cell that
is measured twice, by two executors or after the death of a node, has one record.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bench.plan import Plan, Planned
from bench.store import Store

Progress = Callable[[int, int], None]
"""Told how far a cell is: done, of total."""
Answer = dict[str, Any]
"""{"status", "reason", "rows", "files", "folder", "made"} and, where the cell changed its process,
"side_effects"; `made` says on what, with what and in how many seconds it was measured, `folder`
where the files are, below the store's `work/<key>`."""


class Seat(Protocol):
    """A place for one cell at a time."""

    def run(self, request: Mapping[str, Any], progress: Progress) -> Answer:
        """Have a cell measured; blocks, and never raises for the cell's own fault.

        Args:
            request: What a worker is told (see `bench.worker`), with "limit_s", "memory_gib" (None
                for its part of the machine's) and "alone".
            progress: Told how far the cell is.

        Raises:
            Stopped: If the executor was closed meanwhile.
        """
        ...


class Executor(Protocol):
    """A place where cells are measured."""

    @property
    def seats(self) -> int:
        """Quality cells that are measured side by side."""
        ...

    @property
    def timing_seats(self) -> int:
        """Timing cells that are measured side by side, each alone on its machine."""
        ...

    def device(self, asked: str) -> str:
        """Return "cpu" or "cuda", for what was asked: "auto", "cpu" or "cuda".

        Raises:
            BenchError: If the device is unknown, or CUDA is asked for where there is none.
        """
        ...

    def machine(self) -> Mapping[str, Any]:
        """Return the kind of machine that timing cells are measured on (`provenance.machine`)."""
        ...

    def words(self) -> list[str]:
        """Return lines for people: what there is, and what runs where; none for this machine."""
        ...

    def prepare(self, plan: Plan, store: Store, *, memory_gib: float | None = None) -> None:
        """Make ready for the cells of a plan, whose store is prepared.

        Args:
            plan: The cells.
            store: Where their records go.
            memory_gib: Most memory of one cell, where that was asked for.

        Raises:
            BenchError: If a cell needs what no place has, in one line that names it.
        """
        ...

    def seat(self, planned: Planned, go_on: Callable[[], None]) -> AbstractContextManager[Seat]:
        """Wait for a seat for a cell and hold it; a timing cell's machine has nothing beside it.

        Args:
            planned: The cell.
            go_on: Called again and again while other runs keep the place busy; raises to give up,
                and tells people where it takes long.
        """
        ...

    def wind_up(self) -> None:
        """Ask the cells at hand to save their place and stop; any thread may."""
        ...

    def close(self) -> None:
        """End the cells at hand; any thread may, and what waits for an answer hears of it."""
        ...

    def release(self) -> None:
        """Give everything back to the system, once no thread uses it."""
        ...
