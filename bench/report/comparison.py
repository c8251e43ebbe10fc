"""A table of the paper beside ours: tidy lines, and a layout in the paper's own form."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

import pandas as pd

from bench.report.paper import Printed
from bench.report.rows import RunLike, budget, machine
from bench.report.verdicts import Verdict, known

DASH = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """One number of a table: the paper's, ours with its interval, and the verdict."""

    table: str
    row: str
    column: str
    metric: str
    unit: str = "1"
    paper: float | None = None
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    verdict: str = ""
    factor: float | None = None
    reason: str = ""
    protocol: str = ""
    budget: str = ""
    machine: str = ""
    records: str = ""
    """Keys of the records that ours was read from, with a space between them."""


@dataclass(frozen=True)
class Table:
    """One table, ready to be written in any format."""

    name: str
    title: str
    caption: str
    comparison: pd.DataFrame
    """Tidy: one line per number, the columns of `Line`."""
    layout: pd.DataFrame
    """Text, in the paper's form; three header rows (group, metric, paper or ours)."""
    labels: int = 1
    """How many leading columns of the layout name the row."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """A measured number with its interval and the number of images behind it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    keys: tuple[str, ...] = ()
    """Keys of the records that it was read from."""

    @property
    def triple(self) -> tuple[float, float, float] | None:
        """The value with its interval, None where there is no number."""
        if not known(self.value):
            return None
        low = self.low if known(self.low) else self.value
        high = self.high if known(self.high) else self.value
        return (self.value, low, high)

    @property
    def ranged(self) -> tuple[float, float, float] | None:
        """The value with its interval, None where it has none: of one image, for instance."""
        return self.triple if known(self.low) and known(self.high) else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number stands, and by which protocol it came about."""

    table: str
    row: str
    column: str
    protocol: str = ""


def line(
    run: RunLike, place: Place, metric: tuple[str, str], *, ours: Value, judged: tuple
) -> Line:
    """Return one line of a comparison.

    Args:
        run: The run it comes from.
        place: Table, row, column, protocol.
        metric: Its name and unit.
        ours: The measured number.
        judged: The paper's number (`Printed` or None) and the verdict on ours.
    """
    paper, verdict = judged
    return Line(
        place.table,
        place.row,
        place.column,
        *metric,
        paper=paper.value if isinstance(paper, Printed) else None,
        ours=ours.value,
        low=ours.low,
        high=ours.high,
        n=ours.n,
        verdict=str(verdict.label) if isinstance(verdict, Verdict) else "",
        factor=verdict.factor if isinstance(verdict, Verdict) else None,
        reason=verdict.reason if isinstance(verdict, Verdict) else "",
        protocol=place.protocol,
        budget=budget(run),
        machine=machine(run) if metric[1] == "s" else "",
        records=" ".join(dict.fromkeys(key for key in ours.keys if key)),
    )


def tidy(lines: Iterable[Line]) -> pd.DataFrame:
    """Return lines as a frame with the columns of `Line`, also when there are none."""
    return pd.DataFrame(
        [asdict(one) for one in lines], columns=[field.name for field in fields(Line)]
    )


def layout(columns: Sequence[tuple[str, str, str]], body: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return a layout of text cells under three header rows."""
    header = pd.MultiIndex.from_tuples(columns, names=["group", "metric", "source"])
    return pd.DataFrame([list(row) for row in body], columns=header, dtype=object)


def number(value: float | None, digits: int = 2) -> str:
    """Return a number as text; one too small for its decimals gets three significant digits."""
    if not known(value):
        return DASH
    if value != 0 and abs(value) < 0.5 * 10**-digits:
        return f"{value:.3g}"
    return f"{value:,.{digits}f}" if digits else f"{value:,.0f}"


def plus_minus(value: float | None, error: float | None, digits: int) -> str:
    """Return a number with its standard error, where that is known."""
    if not known(value):
        return DASH
    spread = f" ± {error:.{digits}f}" if known(error) else ""
    return f"{value:,.{digits}f}{spread}"


def seconds(value: float | None) -> str:
    """Return a time as text: hundredths as the paper prints, finer below a second."""
    if not known(value) or value >= 1:
        return number(value)
    return f"{value:#.2g}" if value else "0"


def bold(text: str) -> str:
    """Mark a cell's text as the best of its kind (`**text**`, as in Markdown)."""
    return text if text == DASH else f"**{text}**"


def mark_best(values: Sequence[float | None], texts: Sequence[str], *, largest: bool) -> list[str]:
    """Return texts with every best value in bold; alone, or where all are equal, nothing is."""
    there = [v for v in values if known(v)]
    if len(set(there)) < 2:
        return list(texts)
    best = max(there) if largest else min(there)
    return [bold(t) if known(v) and v == best else t for v, t in zip(values, texts, strict=True)]


def tally(lines: Iterable[Line]) -> str:
    """Return how often each verdict was given, in one sentence."""
    counts: dict[str, int] = {}
    for one in lines:
        if one.paper is not None and one.verdict:
            counts[one.verdict] = counts.get(one.verdict, 0) + 1
    if not counts:
        return ""
    return "Verdicts: " + ", ".join(f"{n} {label}" for label, n in sorted(counts.items())) + "."
