"""`bench plan`: what a run would measure and cost, and what it takes to resolve a difference."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.emulation import emulation
from bench.commands.measure import sharing
from bench.commands.scaling import (
    Asked,
    billed,
    lines,
    plotted,
    refuse_what_is_no_number,
    scaling_of,
    told,
)
from bench.options import (
    WORKERS,
    BudgetName,
    BudgetOption,
    DatasetOption,
    DeviceOption,
    JsonOption,
    OnlyOption,
    OutOption,
    SetOption,
    SettingsOption,
    StoreOption,
    Words,
    WorkersOption,
    one_pattern,
)

if TYPE_CHECKING:
    from bench.session import Session

FEW = 40
"""Cells that are listed unasked."""


def plan(  # noqa: PLR0913 - an option each
    experiments: Words,
    budget: BudgetOption = BudgetName.SMOKE,
    dataset: DatasetOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = WORKERS,
    store: StoreOption = None,
    only: OnlyOption = None,
    settings: SettingsOption = None,
    sets: SetOption = None,
    resolve: Annotated[
        float | None,
        typer.Option("--resolve", help="How many images a difference of this size needs."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Whose units: frechet, psnr, ssim or lpips."),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="RUN", help="Measured before; several give seeds."),
    ] = None,
    cells: Annotated[
        bool, typer.Option("--cells", help="List the cells, however many there are.")
    ] = False,
    throughput: Annotated[
        str | None,
        typer.Option("--throughput", metavar="MAC/S", help="Of one GPU; else as timed here."),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option("--gpus", metavar="N,N,...", help="Play the run through on so many."),
    ] = None,
    per_node: Annotated[int, typer.Option("--per-node", min=1, help="GPUs of a node.")] = 8,
    shards: Annotated[int, typer.Option("--shards", min=1, help="Most pieces of a cell.")] = 1,
    failures: Annotated[
        float, typer.Option("--failures", metavar="RATE", help="Of a node, an hour.")
    ] = 0.0,
    kept: Annotated[
        float | None,
        typer.Option("--kept", metavar="MINUTES", help="Between what survives a failure."),
    ] = None,
    copies: Annotated[
        int, typer.Option("--copies", min=1, help="So many runs at once: seeds x data sets.")
    ] = 1,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Speed-up by GPUs: .svg, .png.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a run costs, here and on many GPUs, or what a difference needs; list its cells."""
    from bench.session import Folders, chosen_budget, run_name, settle

    chosen = chosen_budget(budget.value, dataset=dataset, settings=settings, overrides=sets or [])
    pattern = one_pattern(only)
    if resolve is None:
        asked = Asked(
            throughput, tuple(runs or ()), gpus, per_node, shards, failures, kept, copies, plot
        )
        refuse_what_is_no_number(asked)
        session = settle(experiments, chosen, device=device, only=pattern, out=out)
        session = sharing(session, store, offline=False)
        _show_cost(session, workers, asked, cells=cells, as_json=as_json)
        return
    folders = runs or [Folders.of(out, run_name(experiments, chosen, pattern)).run]
    _show_needs(experiments, folders, resolve, metric=metric, as_json=as_json)


def show_plan(session: "Session", workers: int, as_json: bool, *, fresh: bool = False) -> None:
    """Print a line per cell, and how long the run will take."""
    listed = session.lines(fresh=fresh)
    to_come = session.forecast(workers, fresh=fresh)
    if as_json:
        for line in listed:
            line["forecast_s"] = to_come.seconds.get(line["key"])
        print(json.dumps(listed, indent=1))
        return
    _list(listed)
    _warn_of_emulation(session, fresh=fresh)
    if to_come.seconds:
        print(to_come.words())


def _warn_of_emulation(session: "Session", *, fresh: bool = False) -> None:
    slow = emulation(session, fresh=fresh)
    if slow:
        print(slow)


def _list(listed: list[dict[str, Any]], *, every: bool = True) -> None:
    for line in listed if every else ():
        kind = "timing" if line["timing"] else "quality"
        print(f"{line['key'][:12]}  {kind:<7}  {line['label']:<60}  {line['state']}")
    todo = sum(line["to_do"] for line in listed)
    print(f"{len(listed)} cells, {todo} to do")


def _show_cost(
    session: "Session", workers: int, asked: Asked, *, cells: bool, as_json: bool
) -> None:
    """Print what a plan costs, and its cells where they are few or asked for."""
    from bench.forecast.forecast import foretold

    bill = billed(session, asked)
    found = scaling_of(session, bill, asked)
    plotted(session, bill, asked)
    listed = session.lines()
    if as_json:
        for line in listed:
            cost = asdict(bill.costs[line["key"]])
            line |= {"forecast_s": cost.pop("seconds"), **cost}
        print(
            json.dumps({"cells": listed, **told(bill, found)} if asked.gpus else listed, indent=1)
        )
        return
    _list(listed, every=cells or len(listed) <= FEW)
    _warn_of_emulation(session)
    print("\n".join(lines(bill, asked, found)))
    if bill.unit == "core" or session.device != "cpu":
        seconds = {line["key"]: bill.costs[line["key"]].seconds for line in listed if line["to_do"]}
        to_come = foretold(session.plan, seconds, workers)
        if to_come.seconds:
            print(to_come.words())


def _show_needs(
    experiments: list[str], folders: list[Path], size: float, *, metric: str | None, as_json: bool
) -> None:
    from dataclasses import asdict

    from bench.power import needs, words
    from bench.runs import load_run

    found = needs([load_run(folder) for folder in folders], experiments, size, metric=metric)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    for line in words(found, size):
        print(line)
