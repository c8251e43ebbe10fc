"""One `run` from words to report: settings, plan, measuring, manifest, pages. Prints nothing."""

import contextlib
import datetime
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import assets, canonical, merkle, provenance, weights
from bench.api import Kind
from bench.budget import Budget, changed_settings, load_budget, read_settings
from bench.deciding import guests, plugins
from bench.device import chosen_device
from bench.disk import made_writable, read_plain
from bench.errors import BenchError
from bench.outcome import exit_code as exit_code
from bench.outcome import lacking as lacking
from bench.plan import Plan, chosen_experiments, findings, make_plan, study_for
from bench.record import LARGEST
from bench.runner import Listener, Runner
from bench.runs import MANIFEST, Run, load_run, refuse_others_files, write_manifest
from bench.shared.sharing import REUSED, Shared, Unshared
from bench.stopping import wound_up_by_signals
from bench.store import Record, Store
from bench.trust import CANARY, failed_canary

if TYPE_CHECKING:
    from bench.executor.executor import Executor
    from bench.forecast.forecast import Forecast

LIMITS = ("cell_limit_s", "cell_memory_gib")
"""Settings that change no number, and so not what a run is called."""
OFFLINE = "BENCH_OFFLINE"


@dataclass(frozen=True)
class Folders:
    """Where a run's parts go."""

    store: Path
    run: Path
    """Manifest and tables."""
    report: Path
    """Page and figures."""

    @property
    def tables(self) -> Path:
        """The folder of the tables."""
        return self.run / "tables"

    @classmethod
    def of(cls, out: Path | None, name: str) -> "Folders":
        """Return the folders of a run: all in `out`, or in results/ and reports/ of this folder."""
        if out is not None:
            return cls(out, out, out)
        return cls(Path("results/store"), Path("results") / name, Path("reports") / name)


@dataclass(frozen=True)
class Session:
    """A run that is settled but not measured."""

    budget: Budget
    changed: tuple[str, ...]
    """Settings in which it differs from the frozen budget of its name."""
    same_data: bool
    experiments: tuple[str, ...]
    plan: Plan
    folders: Folders
    device: str
    place: "Executor | None" = None
    """Where cells are measured, if not on this machine."""
    shared: Shared | None = None
    """Where results are shared."""

    @property
    def store(self) -> Store:
        """The local store, supplied with files by the shared one."""
        return Store(self.folders.store.resolve(), self.shared)

    def record(self, key: str) -> Record | None:
        """Return the record of a cell that is here or shared."""
        found = self.store.peek(key)
        if self.shared is None or (found is not None and found["status"] in REUSED):
            return found
        return self.shared.known(self.store, key, read=False) or found

    def measure(self, listener: Listener, *, workers: int, fresh: bool, shards: int = 1) -> Run:
        """Measure what is missing, write the manifest and return the run."""
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        clock = time.monotonic()
        self._refuse_unwritable()
        provenance.machine()  # what cannot be told of the machine is said before hours of work
        self._forget_failed_canaries()
        runner = Runner(
            self.store,
            workers=workers,
            device=self.device,
            limit_s=self.budget.cell_limit_s,
            memory_gib=self.budget.cell_memory_gib,
            fresh=fresh,
            shards=shards,
            listener=listener,
            executor=self.place,
            sharing=self.shared or Unshared(),
        )
        if self.shared is not None:
            self.shared.prepare(self.store, [planned.key for planned in self.plan])
        with wound_up_by_signals(runner.wind_up):
            records = runner.run(self.plan)
        manifest = self._manifest(records, started, time.monotonic() - clock)
        if runner.failed_again:
            manifest["failed_again"] = [
                {name: record[name] for name in ("key", "label", "status", "reason")}
                for record in runner.failed_again
            ]
        write_manifest(self.folders.run, manifest)
        return replace(load_run(self.folders.run), store=self.store)

    def lines(self, *, fresh: bool = False) -> list[dict[str, Any]]:
        """Return one line per cell: what it is, whether a run will measure it, what it was."""
        lines, records = [], {planned.key: self.record(planned.key) for planned in self.plan}
        to_do = self._lacking({} if fresh else records)
        for planned in self.plan:
            record = records[planned.key]
            state = record["status"] if record else "to do"
            if planned.unavailable:
                state = f"unavailable: {planned.unavailable}"
            elif record and planned.key in to_do:
                state = f"to do again: {state}"
            lines.append(
                {
                    "key": planned.key,
                    "label": planned.cell.label,
                    "timing": planned.cell.timing,
                    "state": state,
                    "to_do": planned.key in to_do,
                    "for": sorted(planned.experiments),
                }
            )
        return lines

    def forecast(self, workers: int, *, fresh: bool = False) -> "Forecast":
        """Return how long what is not measured yet will take; a few calls are timed for it."""
        from bench.forecast.forecast import forecast

        return forecast(self.plan, self.to_do(fresh=fresh), device=self.device, workers=workers)

    def to_do(self, *, fresh: bool = False) -> set[str]:
        """Return the keys of the cells that can be measured and have no record to take over."""
        return self._lacking({} if fresh else {one.key: self.record(one.key) for one in self.plan})

    def _lacking(self, records: Mapping[str, Record | None]) -> set[str]:
        keys = {planned.key for planned in self.plan if not planned.unavailable}
        known = {key: one for key in keys if (one := records.get(key))}
        reused = {key: one for key, one in known.items() if one["status"] in REUSED}
        return keys - {key for key, one in reused.items() if self.store.is_whole(one)}

    def _from_run(self, folder: Path) -> str:
        return os.path.relpath(folder.resolve(), self.folders.run.resolve())

    def _refuse_unwritable(self) -> None:
        for folder in {self.folders.run, self.folders.report}:
            made_writable(folder)
        if self.folders.run == self.folders.store:
            refuse_others_files(self.folders.run)

    def _forget_failed_canaries(self) -> None:
        """Have canaries that failed measured anew: what disturbed them may have been mended."""
        store = Store(self.folders.store)
        for planned in self.plan:
            if planned.cell.task == CANARY:
                record = store.peek(planned.key)
                if record is not None and failed_canary(record):
                    store.path(planned.key).unlink(missing_ok=True)

    def _manifest(self, records: dict[str, Record], started: str, seconds: float) -> dict[str, Any]:
        """Return what the run was; a run that measured nothing new keeps its first date."""
        manifest = {
            "format": 1,
            "name": self.folders.run.name,
            "experiments": list(self.experiments),
            "budget": self.budget.model_dump(mode="json"),
            "device": self.device,
            "store": self._from_run(self.folders.store),
            "report": self._from_run(self.folders.report),
            "cells": list(records),
            "counts": dict(Counter(record["status"] for record in records.values())),
            "machine": provenance.machine(),
            "versions": provenance.versions(),
            "git": provenance.git(),
            "changed_settings": list(self.changed),
            "same_data": self.same_data,
            "findings": findings(),
            **({"guests": found} if (found := guests(p.cell for p in self.plan)) else {}),
            **({} if self.shared is None else {"shared": self.shared.shown}),
            "merkle_root": merkle.root({k: r["checksum"] for k, r in records.items()}),
        }
        dates = {
            "command": provenance.command(sys.argv[1:]),
            "started": started,
            "seconds": round(seconds, 1),
        }
        return {**manifest, **(_dates_of_same(self.folders.run / MANIFEST, manifest) or dates)}


def _dates_of_same(path: Path, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """Return the dates of an earlier manifest that says the same, else None."""
    try:
        earlier = canonical.loads(read_plain(path, LARGEST)[0] or b"")
        dates = {name: earlier.pop(name) for name in ("command", "started", "seconds")}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return dates if canonical.digest(earlier) == canonical.digest(manifest) else None


def chosen_budget(
    name: str, *, dataset: str | None, settings: Path | None, overrides: Sequence[str]
) -> Budget:
    """Return a budget with a settings file, a data set and single settings applied, in this order.

    Raises:
        BenchError: If a name or a setting is not known or not allowed.
    """
    first = [] if dataset is None else [f"dataset={dataset}"]
    values = None if settings is None else read_settings(settings)
    return load_budget(name, [*first, *overrides], file_values=values)


def settle(
    words: Sequence[str],
    chosen: Budget,
    *,
    device: str,
    only: str | None,
    out: Path | None,
    place: "Executor | None" = None,
) -> Session:
    """Turn what a person asked for into a session.

    Raises:
        BenchError: If a name or a pattern is not known.
    """
    experiments = chosen_experiments(words)
    device = chosen_device(device) if place is None else place.device(device)
    machine = provenance.machine() if place is None else place.machine()
    study = study_for(chosen)
    plan = make_plan(study, experiments, device=device, only=only, machine=machine)
    folders = Folders.of(out, run_name(words, chosen, only))
    changed = tuple(changed_settings(chosen))
    same_data = study.same_data
    return Session(study.budget, changed, same_data, experiments, plan, folders, device, place)


def run_name(words: Sequence[str], budget: Budget, only: str | None) -> str:
    """Return a folder name that tells what was run; settings that differ add a short hash."""
    data = budget.dataset.replace(os.sep, "-").replace(":", "-")
    name = f"{'+'.join(words)}-{data}-{budget.name}"
    same = {"dataset": budget.dataset, **{limit: getattr(budget, limit) for limit in LIMITS}}
    plain = load_budget(budget.name).model_copy(update=same)
    if plain != budget or only:
        deciding = budget.model_dump(mode="json", exclude=set(LIMITS))
        name += f"-{canonical.digest([deciding, only])[:8]}"
    return name


def provide_weights(session: Session, *, offline: bool) -> list[str]:
    """Fetch the weights that the plan's feature extractors need and that are not here yet.

    Weights only, never data. What cannot be fetched stays missing: its cells say what to do.

    Args:
        session: What is about to be measured.
        offline: Whether no connection may be made.

    Returns:
        What was fetched.
    """
    named = {
        spec["name"]
        for planned in session.plan
        for kind, spec in plugins(planned.cell.spec)
        if kind is Kind.FEATURES
    }
    fetched = []
    for name in () if offline else weights.needed_weights(sorted(named)):
        with contextlib.suppress(BenchError, OSError):
            assets.fetch(name)
            fetched.append(name)
    return fetched


def is_offline(asked: bool) -> bool:
    """Return whether no connection may be made: by --offline, or by BENCH_OFFLINE."""
    return asked or os.environ.get(OFFLINE, "").strip().lower() not in ("", "0", "no", "false")
