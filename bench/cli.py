"""The command line; the only module that prints or exits.

Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.api import BenchError
from bench.options import (
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
)
from bench.stopping import interrupting

EXIT_USAGE, EXIT_IO, EXIT_INTERRUPTED = 2, 74, 130

app = typer.Typer(
    name="bench",
    help="Measure efficient diffusion backbones and classic denoisers; write every table and "
    "figure of 'The Missing U for Efficient Diffusion Models' as paper, ours, verdict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def run(  # noqa: PLR0913 - an option each
    experiments: Words,
    budget: BudgetOption = BudgetName.SMOKE,
    dataset: DatasetOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Cells measured side by side.")
    ] = max(1, min(4, os.cpu_count() or 1)),
    only: OnlyOption = None,
    settings: SettingsOption = None,
    sets: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells and stop.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure what is missing, then write tables, figures and the report."""
    from bench.session import chosen_budget, settle

    chosen = chosen_budget(budget.value, dataset=dataset, settings=settings, overrides=sets or [])
    session = settle(experiments, chosen, device=device, only=only, out=out)
    if dry_run:
        _show_plan(session, as_json)
        return
    raise typer.Exit(_run(session, workers, fresh, as_json))


@app.command()
def plan(  # noqa: PLR0913 - an option each
    experiments: Words,
    budget: BudgetOption = BudgetName.SMOKE,
    dataset: DatasetOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    only: OnlyOption = None,
    settings: SettingsOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the cells of a run and which of them are already measured (`run --dry-run`)."""
    run(experiments, budget, dataset, out, device, 1, only, settings, sets, True, False, as_json)


def _run(session, workers: int, fresh: bool, as_json: bool) -> int:
    from rich.console import Console

    from bench.progress import Display
    from bench.report import write_report
    from bench.session import exit_code, report_is_current, stamp_report

    console = Console(stderr=as_json)
    if "bm3d" in session.budget.denoising.classics and "table4" in session.experiments:
        console.print("note: the bm3d package is licensed for non-commercial use only")
    with Display(console, session.plan) as display:
        finished = session.measure(display, workers=workers, fresh=fresh)
    folders = session.folders
    if not report_is_current(finished, folders):
        write_report(finished, folders.report, tables_dir=folders.tables)
        stamp_report(finished, folders)
    counts = finished.manifest["counts"]
    _warn_of_noise(console, finished)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    console.print(f"{display.measured} cells measured of {len(session.plan)}: {told}")
    console.print(f"tables: {folders.tables}", soft_wrap=True)
    console.print(f"report: {folders.report / 'report.html'}", soft_wrap=True)
    if as_json:
        print(json.dumps({"run": str(folders.run), "counts": counts, "measured": display.measured}))
    for reason in sorted({p.unavailable for p in session.plan if p.unavailable}):
        print(f"bench: {reason}", file=sys.stderr)
    return exit_code(session, finished)


def _warn_of_noise(console, run) -> None:
    noisy = {row["backbone"] for r in run.records for row in r["rows"] if row.get("noisy")}
    if noisy:
        console.print(
            f"note: noisy timings ({', '.join(sorted(noisy))}); "
            "measure again on an idle machine: --fresh --only 'latency*'"
        )


def _show_plan(session, as_json: bool) -> None:
    lines = session.lines()
    if as_json:
        print(json.dumps(lines, indent=1))
        return
    for line in lines:
        kind = "timing" if line["timing"] else "quality"
        print(f"{line['key'][:12]}  {kind:<7}  {line['label']:<60}  {line['state']}")
    todo = sum(line["state"] == "to do" for line in lines)
    print(f"{len(lines)} cells, {todo} to do")


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the plug-ins: name, source, whether they can be used here."""
    from bench.registry import broken, catalogue

    found = catalogue(kind)
    for one in broken():
        print(f"bench: {one}", file=sys.stderr)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for line in found:
        state = f"  [unavailable: needs {', '.join(line['missing'])}]" if line["missing"] else ""
        print(f"{line['kind']:<10}  {line['name']:<40}  {line['source']}{state}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that holds run.json.")],
    out: OutOption = None,
) -> None:
    """Write tables, figures and the page of a run again, from its records."""
    from bench.report import write_report
    from bench.runs import load_run

    finished = load_run(folder)
    tables = (out or folder) / "tables"
    page = out or finished.report
    write_report(finished, page, tables_dir=tables)
    print(f"tables: {tables}\nreport: {page / 'report.html'}")


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(metavar="RUN")],
    name: Annotated[str, typer.Argument(metavar="NAME")],
) -> None:
    """Copy a run to results/reference and reports/reference, to be committed."""
    from bench.publish import publish as copy
    from bench.runs import load_run

    print("\n".join(str(path) for path in copy(load_run(folder), name, Path())))


@app.command()
def check(folder: Annotated[Path, typer.Argument(metavar="RUN")]) -> None:
    """Check that a run is whole and valid; exit 4 with the reasons where it is not."""
    from bench.check import faults, notes
    from bench.runs import load_run

    finished = load_run(folder)
    found = faults(finished)
    for note in notes(finished):
        print(f"note: {note}")
    for fault in found:
        print(f"INVALID: {fault}")
    if found:
        raise typer.Exit(4)
    print(f"VALID: {len(finished.records)} records")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN")],
    second: Annotated[Path, typer.Argument(metavar="RUN")],
) -> None:
    """Show the numbers of two runs side by side, with their ratio."""
    from bench.check import side_by_side
    from bench.runs import load_run

    table = side_by_side(load_run(first), load_run(second))
    if table.empty:
        raise BenchError("the two runs have no number in common; compare runs of one experiment")
    print(table.to_string(index=False))


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ASSET...]")] = None,
) -> None:
    """Download data sets into the cache, each file checked by its hash; list them without names."""
    from bench import assets
    from bench.registry import unknown

    for name in names or []:
        if name not in assets.FETCHABLE:
            raise unknown("asset to fetch", name, sorted(assets.FETCHABLE))
    for name in names or []:
        for path in assets.fetch(name):
            print(path)
    if not names:
        print("\n".join(sorted(assets.FETCHABLE)))


@app.command()
def doctor() -> None:
    """Tell what works on this machine, what is missing and what would mend it."""
    from bench.doctor import findings

    worst = 0
    for mark, what, remedy in findings():
        if not mark:
            print(f"\n{what}")
            continue
        print(f"{mark:<8} {what}" + (f"\n         -> {remedy}" if remedy else ""))
        worst = max(worst, 69 if mark == "broken" else 0)
    raise typer.Exit(worst)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; expected errors become one line."""
    try:
        with interrupting():
            code = app(list(arguments), standalone_mode=False) or 0
        return _interrupted(arguments) if code == EXIT_INTERRUPTED else code
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except typer.Exit as done:
        return done.exit_code
    except Exception as error:
        return _unexpected(error)


def _interrupted(arguments: Sequence[str]) -> int:
    words = shlex.join(arguments)
    print(f"bench: interrupted; go on with: python -m bench {words}", file=sys.stderr)
    return EXIT_INTERRUPTED


def _unexpected(error: Exception) -> int:
    """Return the code of a usage or storage error; anything else is a bug and is raised."""
    if hasattr(error, "format_message"):  # click's usage errors
        print(f"bench: {error.format_message()}; see --help", file=sys.stderr)
        return EXIT_USAGE
    if isinstance(error, OSError):
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_IO
    raise error
