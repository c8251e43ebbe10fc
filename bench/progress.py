"""What a person sees while a run goes on: bars and time left, or plain lines in a log."""

import threading
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.inputs import escaped
from bench.locks import holders
from bench.plan import Plan, Planned
from bench.runner import Listener
from bench.store import Record

STYLES = {"ok": "green", "skipped": "yellow"}


class Display(Listener):
    """Shows a run on a console; a line per cell where it is no terminal."""

    def __init__(self, console: Console, plan: Plan):
        self._console = console
        self._total = len(plan)
        self._count = 0
        self._measured = 0
        self._waits = False
        """Whether a cell waits for other runs, and people know."""
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        self._whole = self._progress.add_task("cells", total=self._total)
        return self

    def __exit__(self, *fault: object) -> None:
        self._progress.stop()

    @property
    def measured(self) -> int:
        """Cells that had to be measured."""
        return self._measured

    def waiting(self, planned: Planned) -> None:
        """Say so, once for all cells that wait for the same reason."""
        with self._lock:
            told, self._waits = self._waits, True
        if not told:
            what = "another run's timing ends"
            if planned.cell.timing:
                what = "nothing else is measured on this machine"
            self._console.print(
                f"waiting until {what}{_escape(holders())}, to go on with "
                f"{_escape(planned.cell.label)}",
                highlight=False,
                soft_wrap=True,
            )

    def elsewhere(self, planned: Planned) -> None:
        """Say which cell is awaited."""
        self._console.print(
            f"waiting for {_escape(planned.cell.label)}, which another run is measuring here",
            highlight=False,
            soft_wrap=True,
        )

    def started(self, planned: Planned) -> None:
        """Add a bar."""
        with self._lock:
            self._waits = False
            label = f"  {planned.cell.label}"
            self._tasks[planned.key] = self._progress.add_task(label, total=None)

    def advanced(self, planned: Planned, done: int, total: int) -> None:
        """Move its bar."""
        self._progress.update(self._tasks[planned.key], completed=done, total=total)

    def finished(self, planned: Planned, record: Record, measured: bool) -> None:
        """Remove its bar and write a line, unless nothing was done."""
        with self._lock:
            self._count += 1
            self._measured += measured
            if planned.key in self._tasks:
                self._progress.remove_task(self._tasks.pop(planned.key))
            self._progress.update(self._whole, completed=self._count)
        status = record["status"]
        if measured or status != "ok":
            style = STYLES.get(status, "red")
            took = f"  {record['made']['seconds']:.1f} s" if measured else ""
            reason = f"  {record['reason']}" if record["reason"] else ""
            self._console.print(
                f"[{self._count:>3}/{self._total}] [{style}]{status:<7}[/] "
                f"{_escape(planned.cell.label)}{took}{_escape(reason)}",
                highlight=False,
                soft_wrap=True,
            )

    def stopping(self) -> None:
        """Say what is waited for."""
        with self._lock:
            count = len(self._tasks)
        self._console.print(
            f"stopping: {count} cell{'s' * (count != 1)} at hand will save their place or finish; "
            "once more to stop at once",
            soft_wrap=True,
        )


def _escape(text: str) -> str:
    return escape(escaped(text))
