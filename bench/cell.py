"""Cells and what tasks are given and return: the work of the harness, as plug-ins see it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from bench.api import Estimate, Kind

TOLD = ("t", "steps", "split", "device", "spacing", "start", "student", "batch", "sigma_255")
"""What a label says of a specification beside the names of plug-ins."""
EAGER = {"name": "eager"}
"""The usual engine, which goes without saying."""
ASSUMED = "assumed_sigma"
"""The option after a denoiser's name that it is told in place of the noise's own sigma."""
UNIFORM = "uniform"
"""The usual spacing of steps, which goes without saying."""
Row = dict[str, Any]
"""Column -> value; columns carry their unit (`latency_s`, `peak_rss_mib`)."""


@dataclass(frozen=True)
class Cell:
    """One unit of work: what is measured, from which other cells' products.

    Two cells with equal `task`, `spec` and `uses` are the same cell.
    """

    task: str
    spec: Mapping[str, Any]
    """JSON-able. Under a `Kind`'s value stands a plug-in: {"name": ..., parameters...}."""
    uses: tuple["Cell", ...] = ()
    timing: bool = False
    """Timing cells run alone on the machine, and hold for that machine only."""

    @property
    def label(self) -> str:
        """A short name for people: the task and what it is about."""
        named = [v for value in self.spec.values() for v in _several(value) if v != EAGER]
        names = [v["name"] for v in named if isinstance(v, Mapping) and "name" in v]
        rest = [f"{k}={v}" for k, v in self.spec.items() if k in TOLD and v != UNIFORM]
        return " ".join([self.task, *dict.fromkeys(names), *rest])


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


@dataclass(frozen=True)
class Outcome:
    """What a task returns: one or more rows, and files by name (below the cell's folder)."""

    rows: Sequence[Row]
    files: Mapping[str, "Path"] = field(default_factory=dict)


class Context(Protocol):
    """What a task gets instead of imports."""

    device: str
    folder: "Path"
    """Where the task writes its files; they become part of the record."""
    partial: "Path"
    """Kept until the cell is done: for work that resumes in the middle."""

    def build(self, kind: "Kind", spec: Mapping[str, Any] | None = None) -> Any:
        """Build the plug-in that the cell's spec (or `spec`) names."""
        ...

    def sampler(self, name: str) -> Callable[..., "Iterator[Estimate]"]:
        """Return a sampler, with the options after its name: used, not built."""
        ...

    def file(self, used: Cell, name: str) -> "Path":
        """Return a used cell's file, checked against the hash in its record."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Tell how far the cell is."""
        ...

    def pause_wanted(self) -> bool:
        """Return whether the run is being stopped: save what is done and raise `Paused`.

        A task that cannot go on later ignores it and finishes.
        """
        ...


Task = Callable[[Cell, Context], Outcome]
