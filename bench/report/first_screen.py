"""The first screen: the headline claims and Table 5's facts, for a README or any other page.

A README holds it between two comments of which the first names the runs that it was made of, so
that a test can say whether it is stale, and one command renews it.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from bench.disk import beside, sync_folder
from bench.errors import BenchError, StorageError
from bench.inputs import printable, unreadable
from bench.report.again import again, claim_again
from bench.report.claims import HEADLINE, Claim, claims
from bench.report.claims_tables import best_lines
from bench.report.comparison import number
from bench.report.formats import escape_markdown, shortened
from bench.report.markdown import code, table_text, verdict_words
from bench.report.page import printed_claims
from bench.report.paper import Printed
from bench.report.rows import RunLike, budget_measured, data_words, dataset, machine, snapshot
from bench.report.table5 import DIGITS, costs, published, table5
from bench.report.table5_findings import Uncounted, two_models
from bench.report.verdicts import Label

BEGIN, END = "<!-- first screen of: {} -->", "<!-- end of the first screen -->"
BLOCK = re.compile(rf"{BEGIN.format('([^>]*?)')}\n(.*?){END}", re.DOTALL)
SPEED = "faster"
METRICS = MappingProxyType(
    {"parameters": "parameters", "gflops": "multiply-adds (G)", "mb": "checkpoint (MiB)"}
)


def markdown(*runs: RunLike) -> str:
    """Return the first screen: of each claim the first run that can judge it, or has its number.

    Raises:
        BenchError: If there is no run.
    """
    if not runs:
        raise BenchError("a first screen is made of a run, and none was named")
    fixed = [snapshot(run) for run in runs]
    judged = [{claim.id: claim for claim in claims(run)} for run in fixed]
    paper, rows, used = printed_claims(), [], set()
    for name in HEADLINE:
        place = min(range(len(judged)), key=lambda i: _rank(judged[i][name]))
        used.add(place)
        claim = judged[place][name]
        rows.append(_row(claim, paper[name], _command(fixed[place], claim)))
    header = ("The paper says", "Its number", "Here", "N", "Verdict and cause", "Run it")
    first = min(range(len(judged)), key=lambda i: _rank(judged[i][SPEED]))
    parts = [
        _answer(fixed[first], judged[first][SPEED]),
        *(_about(fixed[place]) for place in sorted(used)),
        table_text(header, rows),
        *_table5(fixed),
    ]
    return "\n".join(parts)


def _rank(claim: Claim) -> int:
    """Return 0 for a verdict on the paper, 1 for a number under other conditions, 2 for none."""
    label = claim.verdict.label
    return 2 if label is Label.MISSING else int(label is Label.NOT_COMPARABLE)


def _answer(run: RunLike, claim: Claim) -> str:
    """Return in a line whether the claim of speed is true, by how much, where, and how to see."""
    found = claim.verdict.reason if claim.measured == "-" else claim.measured
    return (
        "**Is a call of the cU-Net faster? "
        f"{escape_markdown(verdict_words(claim).capitalize())}:** "
        f"{escape_markdown(found)}, on {escape_markdown(machine(run))}. "
        f"Run it: {code(_command(run, claim))}\n"
    )


def _command(run: RunLike, claim: Claim) -> str:
    return claim_again(run, claim.id, missing=claim.verdict.label is Label.MISSING)


def _about(run: RunLike) -> str:
    """Return where the numbers come from, in a line."""
    name = escape_markdown(data_words(run, dataset(run)))
    return (
        f"Measured on {escape_markdown(machine(run))}; budget: "
        f"{escape_markdown(budget_measured(run))}; data: {name}; command: "
        f"{code(again(run, []))}\n"
    )


def _row(claim: Claim, paper: str, command: str) -> list[str]:
    words = f"**{escape_markdown(verdict_words(claim))}**"
    reason = _conditions(claim.verdict.reason)
    return [
        escape_markdown(f"{claim.sentence} ({claim.section})"),
        escape_markdown(paper),
        escape_markdown(shortened(claim.measured)),
        escape_markdown(claim.n),
        f"{words}: {escape_markdown(shortened(reason))}" if reason else words,
        code(command),
    ]


def _conditions(reason: str) -> str:
    """Return the first of several conditions, and how many there are."""
    first, *more = reason.split("; ")
    if " instead of " not in first or not more:
        return reason
    return f"{first}, and {len(more)} more differ{'s' if len(more) == 1 else ''}"


def _table5(runs: Sequence[RunLike]) -> list[str]:
    """Return Table 5's facts about the paper's pair, of the run that counted most networks."""
    run = max(runs, key=lambda run: len(costs(run)))
    best = best_lines(table5(run))
    wanted = [
        (place[0], metric, line)
        for metric in METRICS
        for place, line in best.items()
        if place[0] in ("U-Net", "cU-Net") and place[2] == metric
    ]
    if not wanted:
        return []
    paper = published()
    rows = [
        [
            f"{row}, {METRICS[metric]}",
            paper[row, metric].text,
            number(line["ours"], DIGITS[metric]),
            f"**{line['verdict']}**, {line['row'].partition('[')[2].rstrip(']')}",
        ]
        for row, metric, line in sorted(wanted, key=lambda one: one[0] == "cU-Net")
    ]
    found = costs(run)
    mixed = {"cunet-released", "cunet-released-a5"} <= set(found)
    told = _mixed(found, paper) if mixed else ""
    return [
        "Table 5 is counted, so that no budget or machine changes it; the paper's parameters are "
        "those of its Figure 6, in full from the authors' notebook: "
        f"{code(claim_again(run, 'table5-numbers'))}\n",
        table_text(("", "paper", "here", ""), rows),
        *([f"{escape_markdown(told[:1].upper() + told[1:])}\n"] if told else []),
    ]


def _mixed(found: Mapping[str, pd.Series], paper: Mapping[tuple[str, str], Printed]) -> str:
    try:
        return two_models(found, paper)
    except Uncounted:
        return ""


# ------------------------------------------------------------------ in a README


def runs_of(readme: Path) -> list[Path]:
    """Return the folders of the runs that a README's first screen was made of.

    Raises:
        BenchError: If it has no place for one.
    """
    home = readme.parent
    return [home / name for name in _block(readme)[1].split()]


def block_of(readme: Path) -> str:
    """Return a README's first screen as it is there."""
    return _block(readme)[2]


def _block(readme: Path) -> re.Match[str]:
    found = BLOCK.search(_text(readme))
    if found is None:
        raise BenchError(
            f"{readme} has no place for a first screen; expected the lines "
            f"'{BEGIN.format('RUN')}' and '{END}'"
        )
    return found


def _text(readme: Path) -> str:
    try:
        return readme.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(readme, error, "a README") from error
    except UnicodeDecodeError as error:
        raise BenchError(
            f"{printable(readme)} is not UTF-8 (byte {error.start}); save it as UTF-8 first"
        ) from error


def write(readme: Path, folders: Sequence[Path], runs: Sequence[RunLike]) -> None:
    """Put the first screen of some runs where a README has a place for it.

    Args:
        readme: The README.
        folders: The folders of the runs, whose names relative to the README are kept in it.
        runs: The runs, in the same order.

    Raises:
        BenchError: If it cannot be read or has no place for one.
        StorageError: If it cannot be written; it is as it was.
    """
    found = _block(readme)
    names = [
        Path(os.path.relpath(folder.resolve(), readme.parent.resolve())).as_posix()
        for folder in folders
    ]
    text = found.string
    block = f"{BEGIN.format(' '.join(names))}\n{markdown(*runs)}{END}"
    whole = text[: found.start()] + block + text[found.end() :]
    _exchange(readme.resolve(), whole.encode())  # what a link leads to, and not the link


def _exchange(path: Path, content: bytes) -> None:
    """Write a person's file anew, as a whole or not at all; who may read it stays the same."""
    try:
        with beside(path, content) as temporary:
            shutil.copymode(path, temporary)
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {printable(path)}: {error.strerror or error}; it is as it was: free "
            "space, or see that its folder can be written"
        ) from error
