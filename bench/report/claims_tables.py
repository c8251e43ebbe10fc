"""Whole tables as claims: how many of the printed numbers of a table were reached."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.named_options import options_of
from bench.report.comparison import Table
from bench.report.evidence import NOTHING, Evidence
from bench.report.rows import RunLike, plural
from bench.report.verdicts import Label, Verdict, missing, not_comparable

NAMES = tuple(f"table{i}" for i in range(1, 6))
PREFERRED = (Label.REPRODUCED, Label.DIFFERS, Label.NOT_COMPARABLE)
"""Of several of our numbers beside one of the paper's the first such one counts."""

Place = tuple[str, str, str, float]
"""Row and column of the paper, metric, the paper's number."""
Line = dict[Any, Any]
"""One number of a tidy table by its columns."""


def numbers(table: Table, metric: str | None = None) -> Evidence:
    """Return how many of a table's printed numbers ours reach, by the rules of the table.

    Where several of our networks stand for a row of the paper, the number is reached if one of
    them reaches it.

    Args:
        table: The table.
        metric: Only numbers of this metric, in the rows of the paper's pair.
    """

    def wanted(place: Place) -> bool:
        return metric is None or (place[2] == metric and place[0] in ("U-Net", "cU-Net"))

    best = {place: line for place, line in best_lines(table).items() if wanted(place)}
    if not best:
        return NOTHING
    labels = [Label(line["verdict"]) for line in best.values() if line["verdict"]]
    reached, there = labels.count(Label.REPRODUCED), len(labels)
    comparable = there - labels.count(Label.NOT_COMPARABLE)
    measured = f"{there} of them measured, {comparable} comparable, {reached} reached"
    if metric is not None:
        measured = "; ".join(
            f"{line['row']} {line['ours']:.1f} {line['unit']}" for line in best.values()
        )
    n = plural(there, "number")
    if not comparable:
        reason = next(line["reason"] for line in best.values())
        return Evidence(measured, n, not_comparable(str(reason)))
    verdict = _judged(best, reached, comparable)
    printed = {_place(line) for line in _printed(table)}
    total = sum(map(wanted, printed))
    if verdict.label is Label.REPRODUCED and there < total:
        verdict = missing(
            f"{there} of {total} printed numbers measured in this run; its command does"
        )
    return Evidence(measured, n, verdict)


def best_lines(table: Table) -> dict[Place, Line]:
    """Return of each printed number the line of ours that is most like it."""
    best: dict[Place, Line] = {}
    for line in _printed(table):
        if pd.isna(line["ours"]):
            continue
        place = _place(line)
        if place not in best or _rank(line) < _rank(best[place]):
            best[place] = line
    return best


def _printed(table: Table) -> list[Line]:
    """Return the lines with a number of the paper, measured here or not."""
    lines = table.comparison
    return lines[lines["paper"].notna()].to_dict("records")


def _place(line: Line) -> Place:
    row = str(line["row"]).partition(" [")[0]
    return row, str(line["column"]), str(line["metric"]), float(line["paper"])


def _judged(best: dict[Place, Line], reached: int, comparable: int) -> Verdict:
    if reached == comparable:
        return Verdict(Label.REPRODUCED, f"all {comparable} by the rules of the table")
    line = next(one for one in best.values() if one["verdict"] == Label.DIFFERS)
    return Verdict(
        Label.DIFFERS,
        f"{comparable - reached} of {comparable} are not reached: {line['row']}, "
        f"{line['metric']}: {line['reason']}",
    )


def _rank(line: Line) -> int:
    return PREFERRED.index(line["verdict"]) if line["verdict"] in PREFERRED else len(PREFERRED)


def of(found: Sequence[Table], name: str, metric: str | None = None) -> Evidence:
    """Return the evidence on a table's numbers; nothing where the table is not there."""
    table = next((one for one in found if one.name == name), None)
    return NOTHING if table is None else numbers(table, metric)


RELEASED = "cunet-released"


def time_embedding(run: RunLike) -> Evidence:
    """Return what the contract tests, whose finding a run repeats, say of the time embedding."""
    notes = {
        str(one.get("name")): str(one.get("note", ""))
        for one in run.manifest.get("findings") or []
        if isinstance(one, dict)
    }
    backbones = run.rows.get("backbone", pd.Series(dtype=object)).dropna().astype(str)
    measured = backbones.map(lambda name: options_of(name)[0]).eq(RELEASED).any()
    if not measured or "time embedding" not in notes.get(RELEASED, ""):
        return Evidence("-", "-", missing("not among the networks of this run; its command does"))
    return Evidence(
        f"{RELEASED}: {notes[RELEASED].rstrip('.')}",
        "two steps, bit for bit",
        Verdict(
            Label.CONTRADICTED,
            "of the released code, whose parameters and multiply-adds the paper prints; the "
            "network as Section 3 describes it hears the step",
        ),
    )
