"""The claims of the theory: what is said, where, whether it holds, and what was found."""

from collections.abc import Mapping

import pandas as pd

from bench.report import comparison as c
from bench.report.rows import RunLike, fault_notes, floating, ok, text_of

NAME = "theory"
TASK = "theory"
COLUMNS = ("part", "check", "place", "text", "holds", "found", "numbers")
COMMAND = "python -m bench run theory"


def claims(run: RunLike) -> pd.DataFrame:
    """Return the claims that a run checked."""
    rows = ok(run, TASK, COLUMNS)
    return rows[rows["part"] == "claim"]


def theory(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that did not ask for the theory."""
    rows = claims(run)
    notes = fault_notes(run, (TASK,))
    if rows.empty and not notes:
        return None
    header = [("", "", "Where"), ("", "", "Claim"), ("", "", "Verdict"), ("", "", "Found")]
    body = [
        [str(row[name]) for name in ("place", "text", "holds", "found")]
        for _, row in rows.iterrows()
    ]
    return c.Table(
        NAME,
        "Theory: what of it holds",
        "Sections 3 and 4.2 of the paper, checked by computing: on single blocks, and on a "
        f"mixture of Gaussians whose score is known exactly. Command: {COMMAND}.",
        c.tidy(line for _, row in rows.iterrows() for line in _lines(run, row)),
        c.layout(header, body),
        len(header),
        (*_counted(rows), *notes),
    )


def _counted(rows: pd.DataFrame) -> list[str]:
    counts = rows["holds"].value_counts()
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in counts.index)
    return [f"{len(rows)} claims: {told}."] if len(rows) else []


def _lines(run: RunLike, row: pd.Series) -> list[c.Line]:
    numbers = row["numbers"]
    if not isinstance(numbers, Mapping):
        return []
    place = c.Place(NAME, str(row["place"]), str(row["holds"]), text_of(row["check"]) or "")
    return [
        c.line(run, place, (str(name), "1"), ours=c.Value(floating(value)), judged=(None, None))
        for name, value in numbers.items()
    ]
