"""The claims of the theory: what is said, where, whether it holds, and what was found.

A source of claims is a function that reads a run's rows and returns `Finding`s; the table, the
figure of curves and the report's list of claims are made of what all of them return.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from bench.checked import Claim, Curve, Holds
from bench.report import comparison as c
from bench.report import (
    convergence,
    posterior,
    robustness,
    smoothing,
    solver_curves,
    solvers,
    trainings,
)
from bench.report.finding import Finding as Finding
from bench.report.names import DIFFUSION, printed
from bench.report.rows import RunLike, fault_notes, floating, listed, ok, once, text_of, true

NAME = "theory"
TASK = "theory"
COLUMNS = ("part", "check", "place", "text", "holds", "found", "numbers")
CURVES = (
    *("part", "check", "panel", "curve", "x", "y", "low", "high"),
    *("x_axis", "y_axis", "logarithmic", "reference"),
)
COMMAND = "python -m bench run theory"


def checked(run: RunLike) -> list[Finding]:
    """Return the claims that the checks of kind `check` decided by themselves."""
    rows = ok(run, TASK, COLUMNS)
    return [_finding(row) for row in rows[rows["part"] == "claim"].to_dict("records")]


def _finding(row: Mapping[str, object]) -> Finding:
    numbers = row["numbers"] if isinstance(row["numbers"], Mapping) else {}
    known = {str(name): floating(value) for name, value in numbers.items()}
    place, text, found = (str(row[name]) for name in ("place", "text", "found"))
    holds = row["holds"] if row["holds"] in set(Holds) else Holds.OPEN  # of another version
    claim = Claim(place, text, Holds(holds), found, known)
    return Finding(text_of(row["check"]) or "", claim, (str(row["key"]),), exact=True)


def curves_checked(run: RunLike) -> list[Curve]:
    """Return the curves of those checks, in the order in which they were measured."""
    rows = ok(run, TASK, CURVES)
    return [_curve(row) for row in rows[rows["part"] == "curve"].to_dict("records")]


def _curve(row: Mapping[str, object]) -> Curve:
    texts = {name: str(row[name]) for name in ("panel", "x_axis", "y_axis", "logarithmic")}
    points = {name: listed(row[name]) for name in ("x", "y", "low", "high")}
    return Curve(label=str(row["curve"]), reference=true(row["reference"]), **texts, **points)


SOURCES: tuple[Callable[[RunLike], list[Finding]], ...] = (
    checked,
    posterior.posterior,
    smoothing.smoothing,
    robustness.robustness,
    convergence.converges,
    solvers.findings,
)
"""What reads claims out of a run, in the order of the table."""
DRAWN: tuple[Callable[[RunLike], list[Curve]], ...] = (
    curves_checked,
    posterior.drawn,
    smoothing.drawn,
    solver_curves.curves,
)
"""What reads curves out of a run, in the order of the figure."""
TASKS: tuple[str, ...] = (
    TASK,
    posterior.TASK,
    smoothing.TASK,
    robustness.TASK,
    robustness.BLOCKS,
    trainings.TASK,
    trainings.PACE,
    *solvers.TASKS,
)
"""The tasks whose faults are told below the table."""


@once
def findings(run: RunLike) -> list[Finding]:
    """Return every claim of the theory that a run decided."""
    return [finding for source in SOURCES for finding in source(run)]


@once
def curves(run: RunLike) -> list[Curve]:
    """Return every curve that belongs to them."""
    return [curve for source in DRAWN for curve in source(run)]


def theory(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that did not ask for the theory."""
    found, notes = findings(run), fault_notes(run, TASKS)
    if not found and not notes:
        return None
    header = [("", "", "Where"), ("", "", "Claim"), ("", "", "Verdict"), ("", "", "Found")]
    body = [
        [one.claim.place, one.claim.text, one.claim.holds.value, one.claim.found] for one in found
    ]
    return c.Table(
        NAME,
        "Theory: what of it holds",
        "Sections 2, 3 and 4.2 of the paper, checked by computing: on single blocks, on a mixture "
        "of Gaussians whose score is known exactly, and on trained networks. "
        f"Command: {COMMAND}.",
        c.tidy(line for one in found for line in _lines(run, one)),
        c.layout(header, body),
        len(header),
        (*_counted(found), *notes),
    )


def _counted(found: list[Finding]) -> list[str]:
    counts = pd.Series([one.claim.holds.value for one in found]).value_counts()
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in counts.index)
    return [f"{len(found)} claims: {told}."] if found else []


def _lines(run: RunLike, finding: Finding) -> list[c.Line]:
    claim = finding.claim
    place = c.Place(NAME, claim.place, claim.holds.value, finding.check)
    networks = _networks(run)
    return [
        c.line(run, place, (name, "1"), ours=c.Value(value, keys=keys), judged=(None, None))
        for name, value in claim.numbers.items()
        for keys in [_narrowed(name, finding.keys, networks)]
    ]


def _narrowed(
    name: str, keys: Sequence[str], networks: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    """Return the records of the network that a number's name names, else all."""
    parts = set(name.split(", "))
    own = tuple(key for key in keys if networks.get(key, frozenset()) & parts)
    return own or tuple(keys)


@once
def _networks(run: RunLike) -> Mapping[str, frozenset[str]]:
    """Return key of a record -> the networks that it measured, as they are printed."""
    if "key" not in run.rows:
        return {}
    named = [name for name in ("backbone", "denoiser") if name in run.rows]
    return {
        str(key): frozenset(
            printed(str(name).removeprefix(DIFFUSION))
            for column in named
            for name in rows[column].dropna().unique()
        )
        for key, rows in run.rows.groupby("key")
    }
