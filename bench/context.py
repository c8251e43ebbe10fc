"""What a task is given: plug-ins by name, files of other cells, a folder, a progress call."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import canonical, imported, registry
from bench.api import BenchError, Cell, Kind
from bench.seeds import seed_globals
from bench.store import Store

MADE_FROM = 16
"""Characters of the name of a folder."""


@dataclass(frozen=True)
class TaskContext:
    """Satisfies `bench.api.Context`."""

    cell: Cell
    keys: Mapping[int, str]
    """id of a used cell -> its key."""
    store: Store
    folder: Path
    partial: Path
    device: str
    progress: Callable[[int, int], None]
    pause_wanted: Callable[[], bool]
    share: tuple[int, int] | None = None
    """Which share of how many is wanted, where it is not the whole cell (see `bench.shards`)."""
    planned: Mapping[str, Any] | None = None
    """Modules, digest of the code and manifest of the data of the plan, where they are compared."""

    @functools.cached_property
    def made_from(self) -> str:
        """What names the bytes of the used cells' files, as their records have them; or nothing.

        Keys do not: the same cell may leave other bytes on another machine.
        """
        if not self.keys:
            return ""
        records = [self.store.peek(key) for key in self.keys.values()]
        files = [{} if record is None else record["files"] for record in records]
        return canonical.digest([self.partial.name, files])[:MADE_FROM]

    def build(self, kind: Kind, spec: Mapping[str, Any] | None = None) -> Any:
        """Build the plug-in that the cell's spec (or `spec`) names.

        Raises:
            BenchError: If there is none, or the data are not those that the run was planned with.
        """
        own = spec is None
        spec = self.cell.spec[kind.value] if spec is None else spec
        parameters = {key: value for key, value in spec.items() if key != "name"}
        built = registry.build(kind, spec["name"], **parameters)
        imported.take_down()
        data = (self.planned or {}).get("data")
        if own and kind in (Kind.DATASET, Kind.TESTSET) and data is not None:
            # Of what is read now: its files are looked at once, for this and for reading them.
            if canonical.digest(built.manifest()) != canonical.digest(data):
                raise BenchError("the data changed since the run was planned; run again")
        # What the plug-in draws does not depend on what was imported or drawn to build it.
        seed_globals("built", self.partial.name, kind.value, spec["name"])
        return built

    def sampler(self, name: str) -> Callable[..., Any]:
        """Return a sampler, with the options after its name: used, not built."""
        return registry.sampler(name)

    def file(self, used: Cell, name: str) -> Path:
        """Return a used cell's file, checked against the hash in its record."""
        return self.store.file(self.keys[id(used)], name)
