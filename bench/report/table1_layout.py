"""Table 1 in the paper's form: one group of columns per data set, paper beside ours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.report import comparison as c
from bench.report import leaders as lead
from bench.report.curves import Curve, distance_name, kernel_name
from bench.report.names import PAIR, PAPER_COLUMNS, ordered, paper_column, printed
from bench.report.paired import worst_case
from bench.report.paper import lookup
from bench.report.rows import RunLike, data_words, floating, integer, same_data

NAME = "table1"
METRICS = (("fid", "FID", 2), ("steps", "Steps", 0), ("time", "Time (s)", 2))
"""The paper's: name, heading, decimals."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group of columns: a column of the paper, and the data set that stands in it."""

    column: str | None
    dataset: str | None
    title: str
    """What stands above the group."""


def _titled(run: RunLike, column: str, dataset: str | None) -> Group:
    if dataset is None or same_data(run, dataset):
        return Group(column, dataset, column)
    return Group(column, dataset, f"{column} (ours: {data_words(run, dataset)})")


def groups(run: RunLike, datasets: list[str]) -> list[Group]:
    """Return the columns of the paper, each with our data in it, then data of our own."""
    found = []
    for column in PAPER_COLUMNS:
        mine = [d for d in datasets if paper_column(d) == column]
        mine = sorted(mine, key=lambda d: (not same_data(run, d), d))
        found.append(_titled(run, column, mine[0] if mine else None))
        found += [Group(None, extra, extra) for extra in mine[1:]]
    return found + [Group(None, d, d) for d in datasets if paper_column(d) is None]


@dataclass(frozen=True)
class Measured:
    """One network on one data set: its curve, and the time of a sample at the best step."""

    curve: Curve
    time: c.Value
    how: str

    @property
    def steps(self) -> int:
        """The best number of steps."""
        return int(self.curve.best["steps"])


@dataclass(frozen=True)
class Column:
    """One column: its three header rows and its cells."""

    header: tuple[str, str, str]
    cells: list[str]
    optional: bool = False
    """Left out where nothing was measured."""

    @property
    def filled(self) -> bool:
        """Whether a cell holds something."""
        return set(self.cells) != {c.DASH}


def _paper(group: Group, rows: Sequence[str]) -> list[Column]:
    """Return the paper's columns of a group; none where it has no such data."""
    if group.column is None:
        return []
    numbers, columns = lookup(NAME), []
    for metric, heading, _ in METRICS:
        got = [numbers.get((printed(row), group.column, metric)) for row in rows]
        texts = [one.text if one else c.DASH for one in got]
        if metric != "steps":
            texts = c.mark_best([one and one.value for one in got], texts, largest=False)
        columns.append(Column((group.title, heading, "paper"), texts))
    return columns


def _ours(group: Group, found: list[Measured | None], name: str) -> list[Column]:
    """Return our columns beside the paper's: distance, steps, time."""
    columns = []
    for metric, heading, digits in METRICS:
        values = [_value(one, metric) for one in found]
        texts = [c.seconds(v) if metric == "time" else c.number(v, digits) for v in values]
        if metric == "time":
            texts = lead.marked(texts, lead.leaders(values, _time_gap(found)))
        elif metric == "fid" and not _kernel_leads(found):
            texts = lead.marked(texts, lead.leaders(values, _distance_gap(found, "frechet")))
        if metric == "fid":
            texts = [_bracketed(one, text) for one, text in zip(found, texts, strict=True)]
        heading = name if metric == "fid" else heading
        columns.append(Column((group.title, heading, "ours"), texts))
    return columns


def _value(found: Measured | None, metric: str) -> float | None:
    if found is None:
        return None
    return {"fid": found.curve.value.value, "steps": found.steps, "time": found.time.value}[metric]


def _time_gap(found: list[Measured | None]) -> lead.Gap:
    """Return how two networks' times differ: by the ends of both ranges, of steps and latency."""
    return lambda i, j: worst_case(found[i].time.ranged, found[j].time.ranged)


def _distance_gap(found: list[Measured | None], metric: str) -> lead.Gap:
    """Return how two networks' best distances differ."""
    rows = [one.curve.best if one else None for one in found]
    if metric == "frechet":
        values = [one.curve.value if one else c.Value(None) for one in found]
    else:
        values = [c.Value(None if row is None else floating(row[metric])) for row in rows]
    return lead.gap_of_distances(values, rows, metric)


def _kernel_leads(found: list[Measured | None]) -> bool:
    return any(one and one.curve.small_sample for one in found)


def _bracketed(found: Measured | None, text: str) -> str:
    """Put a Fréchet distance in brackets where the kernel distance leads."""
    small = found is not None and found.curve.small_sample
    return f"({text})" if small and text != c.DASH else text


def _kernel(group: Group, found: list[Measured | None], name: str) -> Column:
    """Return the kernel distance; the best is marked where it leads."""
    values = [floating(one.curve.best["kid"]) if one else None for one in found]
    errors = [floating(one.curve.best["kid_se"]) if one else None for one in found]
    texts = [c.plus_minus(v, e, 4) for v, e in zip(values, errors, strict=True)]
    if _kernel_leads(found):
        texts = lead.marked(texts, lead.leaders(values, _distance_gap(found, "kid")))
    return Column((group.title, f"{name} ± SE", "ours"), texts, optional=True)


def _about(group: Group, found: list[Measured | None]) -> list[Column]:
    """Return the columns that a distance must not be read without."""
    columns = []
    for heading, text in ABOUT.items():
        texts = [text(one.curve) if one else c.DASH for one in found]
        if heading == BRACKETED:
            texts = [_bracketed(one, t) for one, t in zip(found, texts, strict=True)]
        columns.append(Column((group.title, heading, "ours"), texts, optional=True))
    return columns


def _bounds(curve: Curve) -> str:
    low, high = curve.value.low, curve.value.high
    return c.DASH if low is None or high is None else f"{c.number(low)} to {c.number(high)}"


def _floor(curve: Curve) -> str:
    value, n = floating(curve.best["floor"]), integer(curve.best["floor_n"])
    return c.DASH if value is None or n is None else f"{c.number(value)} ({n:,})"


def _counts(curve: Curve) -> str:
    sides = [integer(curve.best[name]) for name in ("n_generated", "n_real")]
    return " / ".join(c.DASH if n is None else f"{n:,}" for n in sides)


def _infinity(curve: Curve) -> str:
    return c.plus_minus(curve.limit.value, floating(curve.best["infinity_se"]), 2)


ABOUT: dict[str, Callable[[Curve], str]] = {
    "95 % interval": _bounds,
    "N → ∞ ± SE": _infinity,
    "Floor (N)": _floor,
    "N (generated / real)": _counts,
}
"""Heading -> text of a column that says how far a distance can be believed."""
BRACKETED = "95 % interval"
"""What is about the Fréchet distance itself."""


def _columns(
    group: Group, rows: Sequence[str], here: dict[str, Measured], features: str | None
) -> list[Column]:
    """Return all columns of a group; the paper's come in pairs with ours."""
    found = [here.get(row) for row in rows]
    ours = _ours(group, found, distance_name(features) if features else "FID")
    paper = _paper(group, rows)
    pairs = [one for pair in zip(paper, ours, strict=True) for one in pair] if paper else ours
    if features is None:
        return pairs
    kernel = _kernel(group, found, kernel_name(features))
    first = _kernel_leads(found)
    about = _about(group, found)
    return [kernel, *pairs, *about] if first else [*pairs, *about[:2], kernel, *about[2:]]


def table1_layout(found: list[Measured], columns: list[Group]) -> pd.DataFrame:
    """Return Table 1 as text: one block of rows per recipe, one group of columns per data set."""
    blocks = sorted({m.curve.recipe for m in found}) or ["authors"]
    rows = {
        block: ordered([*PAIR, *(m.curve.backbone for m in found if m.curve.recipe == block)])
        for block in blocks
    }
    places = [(block, row) for block in blocks for row in rows[block]]
    every = [
        Column(("", "", "Recipe"), [block for block, _ in places]),
        Column(("", "", "Backbone"), [printed(row) for _, row in places]),
    ]
    for group in columns:
        mine = [m for m in found if m.curve.dataset == group.dataset]
        every += _stacked(group, mine, rows)
    body = zip(*(column.cells for column in every), strict=True)
    return c.layout([column.header for column in every], list(body))


def _stacked(group: Group, mine: list[Measured], rows: dict[str, list[str]]) -> list[Column]:
    """Return a group's columns for all blocks of rows, without empty optional ones."""
    features = next((m.curve.features for m in mine), None)
    stacked: dict[tuple[str, str, str], Column] = {}
    above = 0
    for block, names in rows.items():
        here = {m.curve.backbone: m for m in mine if m.curve.recipe == block}
        for column in _columns(group, names, here, features):
            old = stacked.setdefault(
                column.header, Column(column.header, [c.DASH] * above, column.optional)
            )
            old.cells.extend(column.cells)
        above += len(names)
    return [column for column in stacked.values() if not column.optional or column.filled]
