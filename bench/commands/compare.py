"""`bench compare`: two runs side by side, or the present code beside a revision of it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.api import BenchError
from bench.commands.compare_runs import compare_runs
from bench.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console

    from bench.regression.gate import Compared
    from bench.regression.judge import Finding

NOTHING = "-"
COLUMNS = ("base", "head", "ratio", "95 %", "p")
WIDE = 200
"""Characters of a line where nothing says how many there are."""
ORDER = ("same", "runs nowhere", "new", "gone", "improved", "regressed")
COLOURS = {"regressed": "bold red", "improved": "green", "new": "cyan", "gone": "yellow"}


def compare(  # noqa: PLR0913 - an option each
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN RUN]", help="Folders that hold run.json.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="REV", help="Measure the present tree beside it."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Of A B B A, for each time (8).")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="GLOB", help="Only benchmarks of such a name.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Risk of a false alarm in all times (0.01).")
    ] = None,
    least: Annotated[
        float | None, typer.Option("--least", help="A ratio up to which slower is the same (1.05).")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Of two runs also what is the same, and every point.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put two runs side by side, or judge what the present code costs beside that of a revision.

    Of two runs every number has a verdict: same, better, worse, differs, only in A or B. Exit code
    3 where the second costs more: a count that grew, or with --against a time or memory too; 5
    where nothing could be compared.
    """
    options = {"rounds": rounds, "only": only, "alpha": alpha, "least": least}
    given = {name: value for name, value in options.items() if value is not None}
    if against is None:
        for word in given:
            raise BenchError(f"--{word} belongs to --against; two runs are compared without it")
        raise typer.Exit(compare_runs(runs or [], every=every, as_json=as_json))
    if runs:
        raise BenchError("two runs or --against REV, not both: they are different comparisons")
    if every:
        raise BenchError("--all belongs to two runs; --against shows every benchmark without it")
    _compare_trees(against, given, as_json)


def _compare_trees(revision: str, given: dict[str, Any], as_json: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    from bench.regression.gate import Asked, compare_with
    from bench.regression.judge import Limits

    _check(given)
    limits = {name: given.pop(name) for name in ("alpha", "least") if name in given}
    asked = Asked(revision, limits=Limits(**limits), **given)
    errors = Console(stderr=True)
    with errors.status("starting") as shown:

        def say(text: str, *, note: bool = False) -> None:
            shown.update(escape(text))
            if note:  # the status line is for terminals alone
                errors.print(f"note: {text}", markup=False)

        found = compare_with(asked, Path.cwd(), say)
    if as_json:
        told = {**asdict(found), "exit_code": found.exit_code}
        print(json.dumps(told, indent=1, allow_nan=False))
    else:
        _show(Console(width=None if sys.stdout.isatty() else WIDE), found)
    if found.exit_code == 5:
        print("bench: nothing could be compared; see --only and the notes", file=sys.stderr)
    raise typer.Exit(found.exit_code)


def _check(given: dict[str, Any]) -> None:
    if not 0 < given.get("alpha", 0.01) < 1:
        raise BenchError(f"--alpha {given['alpha']:g}; expected a number between 0 and 1")
    if not 1 <= given.get("least", 1.05) < float("inf"):
        raise BenchError(f"--least {given['least']:g}; expected a ratio of 1 or more")


def _show(console: "Console", found: "Compared") -> None:
    """Print a line per benchmark, the notes and what it comes to."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for title in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("benchmark", overflow="fold")
    # What changed comes last, nearest to where a person looks.
    for one in sorted(found.findings, key=lambda one: ORDER.index(str(one.verdict))):
        name = f"{one.name}: {one.reason}" if one.reason else one.name
        cells = (*_numbers(one), str(one.verdict), name)
        table.add_row(*map(escape, cells), style=COLOURS.get(str(one.verdict)))
    if found.findings:
        console.print(table)
    for line in _words(found):
        console.print(escape(line), soft_wrap=True, highlight=False)


def _numbers(one: "Finding") -> Iterator[str]:
    for value in (one.base, one.head):
        yield NOTHING if value is None else _told(value, one.unit)
    yield NOTHING if one.ratio is None else f"{one.ratio:.3f}"
    yield NOTHING if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
    yield NOTHING if one.p is None else f"{one.p:.2g}"


def _told(value: float, unit: str) -> str:
    """Return a number with its unit, times in what keeps them readable."""
    if unit == "s":
        for factor, name in ((1, "s"), (1e3, "ms")):
            if value * factor >= 1:
                return f"{value * factor:.3g} {name}"
        return f"{value * 1e6:.3g} us"
    if unit == "MiB":
        return f"{value:.1f} MiB"
    return f"{value:,}"


def _words(found: "Compared") -> Iterator[str]:
    counts: dict[str, int] = {}
    for one in found.findings:
        counts[str(one.verdict)] = counts.get(str(one.verdict), 0) + 1
    yield from (f"note: {note}" for note in found.notes)
    tree = "the present tree, uncommitted changes included," if found.dirty else "the present tree"
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "no benchmark"
    yield f"{tree} beside {found.base[:12]}: {told} ({found.seconds:.0f} s)"
