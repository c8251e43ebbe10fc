"""`bench run`: measure what is missing, then write tables, figures and the report."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.emulation import emulation
from bench.commands.measure import measured, sharing, tell_of_sharing
from bench.commands.planning import show_plan
from bench.inputs import printable
from bench.options import (
    WORKERS,
    AddressOption,
    BudgetName,
    BudgetOption,
    CheckpointOption,
    DatasetOption,
    DeviceOption,
    EngineOption,
    ExecutorName,
    ExecutorOption,
    FreshOption,
    JsonOption,
    OfflineOption,
    OnlyOption,
    OutOption,
    SetOption,
    SettingsOption,
    ShardsOption,
    StoreOption,
    Words,
    WorkersOption,
    one_pattern,
)

if TYPE_CHECKING:
    from rich.console import Console

    from bench.runs import Run
    from bench.session import Session


def run(  # noqa: PLR0913 - an option each
    experiments: Words,
    budget: BudgetOption = BudgetName.SMOKE,
    dataset: DatasetOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    checkpoint: CheckpointOption = None,
    workers: WorkersOption = WORKERS,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: AddressOption = None,
    store: StoreOption = None,
    shards: ShardsOption = 1,
    only: OnlyOption = None,
    settings: SettingsOption = None,
    sets: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells and stop.")] = False,
    fresh: FreshOption = False,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure what is missing, then write tables, figures and the report."""
    from bench.executor.opened import opened
    from bench.session import chosen_budget, settle

    said = {"timing.engine": engine, "checkpoints": checkpoint}
    overrides = [f"{name}={value}" for name, value in said.items() if value is not None]
    overrides += sets or []
    chosen = chosen_budget(budget.value, dataset=dataset, settings=settings, overrides=overrides)
    with opened(executor.value, address, workers) as place:
        session = settle(
            experiments, chosen, device=device, only=one_pattern(only), out=out, place=place
        )
        session = sharing(session, store, offline=offline)
        if dry_run:
            show_plan(session, workers, as_json, fresh=fresh)
            return
        how = {"shards": shards, "fresh": fresh, "offline": offline}
        raise typer.Exit(_run(session, workers, how, as_json=as_json))


def _run(session: "Session", workers: int, how: dict[str, Any], *, as_json: bool) -> int:
    """Measure and report; `how` is what `bench.commands.measure.measured` is told."""
    from rich.console import Console

    from bench.report import write_report
    from bench.report.classics import told as published_beside
    from bench.report.properties import undeclared
    from bench.report_stamp import report_is_current, stamp_report
    from bench.session import exit_code, lacking

    console = Console(stderr=as_json)
    for line in _told_before(session, workers, fresh=how["fresh"]):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    finished, display = measured(session, console, workers, **how)
    folders = session.folders
    if not report_is_current(finished, folders):
        write_report(finished, folders.report, tables_dir=folders.tables)
        stamp_report(finished, folders)
    counts = finished.manifest["counts"]
    _warn_of_noise(console, finished)
    _warn_of_left_out(console, finished)
    for found in undeclared(finished):
        line = f"note: {found['name']}: {found['note']}"
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    for line in published_beside(finished):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{display.measured} cells measured of {len(session.plan)}: {told}")
    console.print(f"tables: {folders.tables}", soft_wrap=True)
    console.print(f"report: {folders.report / 'report.html'}", soft_wrap=True)
    if as_json:
        print(json.dumps({"run": str(folders.run), "counts": counts, "measured": display.measured}))
    tell_of_sharing(session, console)
    for reason in lacking(session, finished):
        print(f"bench: {reason}", file=sys.stderr)
    return exit_code(session, finished)


def _told_before(session: "Session", workers: int, *, fresh: bool) -> Iterator[str]:
    """Yield what to know before a run is measured."""
    from bench.registry import broken

    yield from [] if session.place is None else session.place.words()
    yield from (f"note: {fault}" for fault in broken())
    if any(planned.cell.spec.get("denoiser", {}).get("name") == "bm3d" for planned in session.plan):
        yield "note: the bm3d package is licensed for non-commercial use only"
    lines = [emulation(session, fresh=fresh)]
    if session.budget.name != BudgetName.SMOKE:  # which is minutes, as its name says
        lines.append(session.forecast(workers, fresh=fresh).words())
    yield from filter(None, lines)


def _warn_of_noise(console: "Console", run: "Run") -> None:
    rows = [row for record in run.records for row in record["rows"] if row.get("noisy")]
    if rows:
        names = ", ".join(sorted({printable(row.get("backbone"), 40) for row in rows}))
        console.print(
            f"note: noisy timings ({names}); "
            "measure again on an idle machine: --fresh --only 'latency*'",
            markup=False,
        )


def _warn_of_left_out(console: "Console", run: "Run") -> None:
    """Name what a cell of several networks, which is ok, has no time of."""
    for record in run.records:
        for row in record["rows"]:
            if row.get("backbone") and (fault := row.get("fault")):
                name, why = printable(row.get("backbone"), 40), printable(fault, 300)
                line = f"note: {name} is left out of '{printable(record['label'])}': {why}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)
