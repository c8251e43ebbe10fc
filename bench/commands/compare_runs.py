"""`bench compare RUN RUN`: what differs between two runs, and a verdict for each number."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api import BenchError
from bench.inputs import escaped, printable

if TYPE_CHECKING:
    from rich.console import Console

    from bench.comparison.compare import Compared, Line

WIDE = 100
"""Characters of a line where nothing says how many there are."""
MOST = 8
"""Lines of a group that are shown unless all are asked for."""
ORDER = ("worse", "better", "differs", "only in A", "only in B", "same")
COLOURS = {"worse": "bold red", "better": "green", "only in A": "yellow", "only in B": "cyan"}
GROUPS = {
    "cost": "Cost (Table 5)",
    "latency": "Time and memory of a call",
    "frechet": "Synthesis (Table 1)",
    "judged": "Classes of generated images",
    "restore": "Restoration (Tables 2 and 3)",
    "notebook": "The authors' notebook",
    "denoise": "Denoising (Table 4)",
    "theory": "Theory",
    "canary": "Known answers",
    "train": "Training",
}
"""Titles of what tasks measure; others keep their names."""


def compare_runs(folders: Sequence[Path], *, every: bool, as_json: bool) -> int:
    """Print two runs side by side and return the exit code.

    Args:
        folders: Of the two runs, A and B.
        every: Whether equal numbers and all points of curves are printed too.
        as_json: Whether everything is printed as JSON instead.

    Raises:
        BenchError: If there are not two runs.
    """
    from bench.comparison.compare import Exit, compare
    from bench.runs import load_run

    if len(folders) != 2:
        raise BenchError(f"{len(folders)} runs; expected two, or --against REV for the code itself")
    found = compare(*map(load_run, folders))
    if as_json:
        print(json.dumps(_plain(folders, found), indent=1, allow_nan=False))
    else:
        _show(folders, found, every)
    if found.exit_code is Exit.NOTHING:
        told = "the two runs have no number in common; compare runs of one experiment"
        print(f"bench: {told}{_why_none(found)}", file=sys.stderr)
    return int(found.exit_code)


def _why_none(found: "Compared") -> str:
    sides = {"A": any(line.a is not None for line in found.lines)}
    sides["B"] = any(line.b is not None for line in found.lines)
    empty = [name for name, has in sides.items() if not has]
    return f" ({' and '.join(empty)} measured none)" if empty else ""


def _plain(folders: Sequence[Path], found: "Compared") -> dict[str, object]:
    """Return all of a comparison as JSON has it; numbers that are not finite become words."""
    numbers = [
        {
            name: str(value) if isinstance(value, float) and value - value else value
            for name, value in asdict(line).items()
        }
        for line in found.lines
    ]
    return {
        "a": str(folders[0]),
        "b": str(folders[1]),
        "same_run": found.is_one,
        "differs": found.conditions,
        "equal": found.same,
        "notes": found.notes,
        "counts": {str(verdict): count for verdict, count in found.counts.items()},
        "numbers": numbers,
        "exit_code": int(found.exit_code),
    }


# ------------------------------------------------------------------ for people


def _show(folders: Sequence[Path], found: "Compared", every: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if told else WIDE, highlight=False)

    def say(text: str) -> None:
        console.print(escape(text), soft_wrap=True)

    if found.is_one:
        told = f"A and B are one run, with {_plural(found.common, 'number')}"
        say(f"{told}: nothing differs. Compare it with another one.")
        if not every:
            return
    _head(console, folders, found)
    for note in found.notes:
        say(f"note: {escaped(note)}")
    shown = [
        line for line in found.lines if every or (line.verdict != "same" and not line.is_point)
    ]
    for group, lines in groupby(sorted(shown, key=_rank), key=lambda line: line.group):
        _group(console, GROUPS.get(group, group), list(lines), every)
    for text in _words(found, every):
        say(text)


def _rank(line: "Line") -> tuple[int, str, int]:
    """Return a key that puts groups in their order and what changed first."""
    known = [*GROUPS]
    place = known.index(line.group) if line.group in known else len(known)
    return place, line.group, ORDER.index(str(line.verdict))


def _head(console: "Console", folders: Sequence[Path], found: "Compared") -> None:
    """Print what differs between the runs, whatever they measured."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title_justify="left")
    for title in ("", "A", "B"):
        table.add_column(title, overflow="fold")
    table.add_row("run", *(escape(printable(folder)) for folder in folders))
    for name, sides in found.conditions.items():
        table.add_row(name, *(escape(printable(side)) for side in sides))
    console.print(table)
    if found.same:
        console.print(f"Equal: {', '.join(found.same)}.")


def _group(console: "Console", title: str, lines: Sequence["Line"], every: bool) -> None:
    """Print the lines of a group; what only one run has is counted unless all is asked for."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    both = [line for line in lines if every or not str(line.verdict).startswith("only")]
    shown = both if every else both[:MOST]
    if shown:
        table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
        table.add_column("where", overflow="fold", ratio=3)
        table.add_column("number", overflow="fold")
        for name in ("A", "B", "change"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold", ratio=2)
        for line in shown:
            table.add_row(*map(escape, _cells(line)), style=COLOURS.get(str(line.verdict)))
        console.print(table)
    for text in _folded(title, both[len(shown) :], [line for line in lines if line not in both]):
        console.print(escape(text), soft_wrap=True)


def _folded(title: str, more: Sequence["Line"], single: Sequence["Line"]) -> Iterator[str]:
    if more:
        yield f"  {title}, with --all: {_counted(more)}"
    if single:
        cells = {(line.verdict, line.about): None for line in single}
        yield f"  {title}: {_counted(single)}, in {_plural(len(cells), 'place')}"
    whys = dict.fromkeys(line.reason for line in single if line.reason)
    yield from (f"    {escaped(why)}" for why in whys)


def _counted(lines: Iterable["Line"]) -> str:
    found: dict[str, int] = {}
    for line in lines:
        found[str(line.verdict)] = found.get(str(line.verdict), 0) + 1
    return ", ".join(f"{name} {found[name]:,}" for name in ORDER if name in found)


def _cells(line: "Line") -> Iterator[str]:
    yield escaped(line.about)
    unit = f", {line.unit}" if line.unit not in ("", "s", "x") else ""
    yield escaped(f"{line.measure}{unit}")
    yield _told(line.a, line.unit)
    yield _told(line.b, line.unit)
    yield _change(line)
    yield f"{line.verdict}: {line.reason}" if line.reason else str(line.verdict)


def _told(value: float | bool | str | None, unit: str) -> str:
    """Return a number as a person reads it: whole ones whole, others with four digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return printable(value, 20)
    if unit == "s" and 0 < value < 1:
        return f"{value * 1e3:.4g} ms" if value >= 1e-3 else f"{value * 1e6:.4g} us"
    text = f"{value:,}" if isinstance(value, int) or abs(value) >= 1e5 else f"{value:.4g}"
    return f"{text} s" if unit == "s" else text


def _change(line: "Line") -> str:
    a, b = line.a, line.b
    if any(side is None or isinstance(side, bool | str) for side in (a, b)) or a == b:
        return ""
    assert isinstance(a, int | float) and isinstance(b, int | float)
    ratio = f"x{b / a:.3f}" if a > 0 and b > 0 else ""
    return f"{b - a:+.3g}" if ratio in ("", "x1.000") else ratio


def _words(found: "Compared", every: bool) -> Iterator[str]:
    counts = ", ".join(f"{name} {count:,}" for name, count in found.counts.items() if count)
    yield f"{_plural(len(found.lines), 'number')}: {counts or 'none'}"
    points = sum(line.is_point and line.verdict != "same" for line in found.lines)
    if points and not every:
        yield f"{points:,} of them are points of curves, which --all shows"
    if found.by_interval:
        told = f"{_plural(found.by_interval, 'number')} judged by 95 % intervals"
        yield f"{told}: of those, 1 in 20 may be better or worse by chance alone"
    if any(line.kind == "time" and line.verdict in ("better", "worse") for line in found.lines):
        yield (
            "times of two runs were not taken in turns: a machine that was busier in one of them "
            "looks the same as slower code; `compare --against REV` takes turns"
        )
    for line in found.grown:
        yield f"regressed: {escaped(line.about)}: {line.measure} {line.a:.12g} -> {line.b:.12g}"


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
