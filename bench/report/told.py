"""What a run tells, before what it leaves to other commands: its claims and its tables."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.report import claims_tables
from bench.report.again import again
from bench.report.claims import Claim
from bench.report.comparison import Table
from bench.report.rows import RunLike
from bench.report.verdicts import Label


class Claims(NamedTuple):
    """The paper's claims, by what became of them in a run."""

    measured: list[Claim]
    elsewhere: list[Claim]
    """Those that the run did not measure, and another command does."""
    untested: list[Claim]
    """Those that nothing here decides."""


def sorted_claims(judged: Sequence[Claim]) -> Claims:
    """Return claims in their order, the measured ones apart from those without a number."""
    found = Claims([], [], [])
    for claim in judged:
        if claim.measured != "-":
            found.measured.append(claim)
        elif claim.verdict.label is Label.MISSING:
            found.elsewhere.append(claim)
        else:
            found.untested.append(claim)
    return found


def counted(told: Claims) -> str:
    """Return in a sentence how many claims there are of each kind."""
    total = sum(map(len, told))
    partly = sum(claim.verdict.label is Label.MISSING for claim in told.measured)
    share = f" ({partly} of them in part)" if partly else ""
    return (
        f"Of {total} claims this run has measured {len(told.measured)}{share}, other commands "
        f"measure {len(told.elsewhere)}, and nothing here tests {len(told.untested)}."
    )


class Tables(NamedTuple):
    """The tables of a run."""

    shown: list[Table]
    elsewhere: list[tuple[str, str]]
    """Titles of those that the run was not asked for and has no number of, with their command."""


def sorted_tables(run: RunLike, tables: Sequence[Table]) -> Tables:
    """Return the tables, those apart that nobody asked for and that hold the paper's numbers only.

    One that was asked for is shown without a number, too: its notes say what failed.
    """
    known: Any = run.manifest.get("experiments")
    asked = {str(name) for name in known} if isinstance(known, list | tuple) else set()
    shown, elsewhere = [], []
    for table in tables:
        others = asked and table.name in claims_tables.NAMES and table.name not in asked
        if others and table.comparison["ours"].isna().all():
            elsewhere.append((table.title, again(run, [table.name])))
        else:
            shown.append(table)
    return Tables(shown, elsewhere)
