"""`bench plan`: what a run would measure, and how much it takes to resolve a difference."""

import json
from pathlib import Path
from typing import Annotated

import typer

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
    Words,
    WorkersOption,
)


def plan(  # noqa: PLR0913 - an option each
    experiments: Words,
    budget: BudgetOption = BudgetName.SMOKE,
    dataset: DatasetOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = WORKERS,
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
    as_json: JsonOption = False,
) -> None:
    """List the cells of a run and how long they will take, or say what a difference needs."""
    from bench.session import Folders, chosen_budget, run_name, settle

    chosen = chosen_budget(budget.value, dataset=dataset, settings=settings, overrides=sets or [])
    if resolve is None:
        session = settle(experiments, chosen, device=device, only=only, out=out)
        show_plan(session, workers, as_json)
        return
    folders = runs or [Folders.of(out, run_name(experiments, chosen, only)).run]
    _show_needs(experiments, folders, resolve, metric=metric, as_json=as_json)


def show_plan(session, workers: int, as_json: bool) -> None:
    """Print a line per cell, and how long the run will take."""
    lines = session.lines()
    to_come = session.forecast(workers)
    if as_json:
        for line in lines:
            line["forecast_s"] = to_come.seconds.get(line["key"])
        print(json.dumps(lines, indent=1))
        return
    for line in lines:
        kind = "timing" if line["timing"] else "quality"
        print(f"{line['key'][:12]}  {kind:<7}  {line['label']:<60}  {line['state']}")
    todo = sum(line["state"] == "to do" for line in lines)
    print(f"{len(lines)} cells, {todo} to do")
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
