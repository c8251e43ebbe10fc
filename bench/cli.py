"""The command line; it and `bench.commands` are the only modules that print or exit.

Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

import errno
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.api import BenchError
from bench.commands.compare import compare
from bench.commands.planning import plan
from bench.commands.running import run
from bench.commands.score import score
from bench.options import JsonOption, OutOption, StoreOption
from bench.stopping import EXIT_INTERRUPTED, interrupting

EXIT_USAGE, EXIT_IO = 2, 74

app = typer.Typer(
    name="bench",
    help="Measure efficient diffusion backbones and classic denoisers; write every table and "
    "figure of 'The Missing U for Efficient Diffusion Models' as paper, ours, verdict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(run)
app.command()(plan)
app.command()(score)


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
def settings(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Of settings or their groups.")
    ] = None,
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The page of all.")] = False,
) -> None:
    """Tell what can be set, what it means, and its value under each budget."""
    from bench.settings_told import page, told

    if markdown:
        print(page(), end="")
        return
    found = told(names or [])
    if as_json:
        print(json.dumps([vars(one) for one in found], indent=1))
        return
    for one in found:
        values = ", ".join(f"{budget} {value or '-'}" for budget, value in one.values.items())
        print(f"{one.name}: {values}\n    {one.meaning}")


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: OutOption = None,
    readme: Annotated[
        Path | None, typer.Option(help="Renew the first screen of this README, and nothing else.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write tables, figures and the page of a run again, from its records."""
    from bench.commands.loading import loaded
    from bench.trust import refuse_untrusted

    runs = [loaded(folder, store) for folder in folders]
    for finished in runs:
        refuse_untrusted(finished)
    if readme is not None:
        from bench.report.first_screen import write

        write(readme, folders, runs)
        print(f"first screen: {readme}")
        return
    if len(runs) > 1 and out is not None:
        raise BenchError(f"--out takes one report, and {len(runs)} runs were named; name one")
    for folder, finished in zip(folders, runs, strict=True):
        _report(folder, finished, out)


def _report(folder: Path, finished, out: Path | None) -> None:
    from bench.report import write_report

    lost = finished.lost
    told = f"{len(lost)} of {len(finished.records)} records are missing"
    if lost and len(lost) == len(finished.records):
        raise BenchError(f"{folder}: {told}; the report that is there stays; run the command again")
    if lost:
        print(f"note: {told}; check tells which", file=sys.stderr)
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
    from bench.publish import places
    from bench.publish import publish as copy
    from bench.runs import load_run
    from bench.trust import refuse_untrusted

    finished = load_run(folder)
    refuse_untrusted(finished)
    before = [path for path in places(name, Path()) if path.exists()]
    print("\n".join(str(path) for path in copy(finished, name, Path())))
    if before:
        print(f"note: replaced what was published as {name} before", file=sys.stderr)


@app.command()
def ship(
    folder: Annotated[Path, typer.Argument(metavar="RUN")],
    name: Annotated[str, typer.Argument(metavar="SET")],
    store: StoreOption = None,
) -> None:
    """Copy a run's trained networks to a set of models/checkpoints, or of BENCH_CHECKPOINT_DIR."""
    from bench.commands.loading import loaded
    from bench.shipping import ship as copy
    from bench.trust import refuse_untrusted

    finished = loaded(folder, store)
    refuse_untrusted(finished)
    print("\n".join(str(path) for path in copy(finished, name)))


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="RUN")], store: StoreOption = None
) -> None:
    """Check that a run is whole and valid; exit 4 with the reasons where it is not."""
    from bench.check import faults, notes
    from bench.commands.loading import loaded

    finished = loaded(folder, store)
    found = faults(finished)
    for note in notes(finished):
        print(f"note: {note}")
    for fault in found:
        print(f"INVALID: {fault}")
    if found:
        raise typer.Exit(4)
    print(f"VALID: {len(finished.records)} records")


app.command()(compare)


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ASSET...]")] = None,
) -> None:
    """Download data sets into the cache, each file checked by its hash; list them without names."""
    from bench import assets
    from bench.errors import unknown

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
    from bench.provenance import command

    print(f"bench: interrupted; go on with: {command(arguments)}", file=sys.stderr)
    return EXIT_INTERRUPTED


def _unexpected(error: Exception) -> int:
    """Return the code of a usage or storage error; anything else is a bug and is raised."""
    if hasattr(error, "format_message"):  # click's usage errors
        print(f"bench: {error.format_message()}; see --help", file=sys.stderr)
        return EXIT_USAGE
    if isinstance(error, OSError):
        from bench.disk import UNTOUCHED

        full = f"; {UNTOUCHED}" if error.errno == errno.ENOSPC else ""
        print(f"bench: {error}{full}", file=sys.stderr)
        return EXIT_IO
    raise error
