"""Table 1 in the paper's form: one group of columns per data set, paper beside ours."""

from dataclasses import dataclass

import pandas as pd

from bench.report import comparison as c
from bench.report.curves import Curve, distance_name
from bench.report.names import PAPER_COLUMNS, ordered, paper_column, printed
from bench.report.paper import lookup
from bench.report.rows import RunLike, data_words, same_data

NAME = "table1"
NETWORKS = ("unet", "cunet")


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


def _header(group: Group, features: str | None) -> list[tuple[str, str, str]]:
    ours = distance_name(features) if features else "FID"
    paper = [(group.title, m, "paper") for m in ("FID", "Steps", "Time (s)")]
    mine = [(group.title, m, "ours") for m in (ours, "Steps", "Time (s)")]
    if group.column is None:
        return mine
    return [one for pair in zip(paper, mine, strict=True) for one in pair]


def _group_cells(group: Group, rows: list[str], found: dict[str, Measured]) -> list[list[str]]:
    """Return the cells of one group, one list per row (rows are plug-in names)."""
    paper = lookup(NAME)
    cells: list[list[str]] = []
    for source in ("paper", "ours"):
        if source == "paper" and group.column is None:
            continue
        for metric, digits in (("fid", 2), ("steps", 0), ("time", 2)):
            if source == "paper":
                got = [paper.get((printed(r), group.column, metric)) for r in rows]
                values, texts = [g and g.value for g in got], [g.text if g else "-" for g in got]
            else:
                values = [_ours(found.get(r), metric) for r in rows]
                texts = [c.seconds(v) if metric == "time" else c.number(v, digits) for v in values]
            if metric != "steps":
                texts = c.mark_best(values, texts, largest=False)
            if source == "ours" and metric == "fid":
                small = [r in found and found[r].curve.small_sample for r in rows]
                texts = [f"({t})" if s else t for t, s in zip(texts, small, strict=True)]
            cells.append(texts)
    half = len(cells) // 2
    if group.column is not None:
        cells = [column for pair in zip(cells[:half], cells[half:], strict=True) for column in pair]
    return [list(row) for row in zip(*cells, strict=True)]


def _ours(found: Measured | None, metric: str) -> float | None:
    if found is None:
        return None
    return {"fid": found.curve.value.value, "steps": found.steps, "time": found.time.value}[metric]


def table1_layout(found: list[Measured], columns: list[Group]) -> pd.DataFrame:
    """Return Table 1 as text: one block of rows per recipe, one group of columns per data set."""
    blocks = sorted({m.curve.recipe for m in found}) or ["authors"]
    header, body = [("", "", "Recipe"), ("", "", "Backbone")], []
    features = {m.curve.dataset: m.curve.features for m in found}
    for group in columns:
        header += _header(group, features.get(group.dataset or ""))
    for block in blocks:
        here = [m for m in found if m.curve.recipe == block]
        rows = ordered([*NETWORKS, *(m.curve.backbone for m in here)])
        parts = [
            _group_cells(
                group, rows, {m.curve.backbone: m for m in here if m.curve.dataset == group.dataset}
            )
            for group in columns
        ]
        body += [
            [block, printed(row), *(cell for part in parts for cell in part[i])]
            for i, row in enumerate(rows)
        ]
    return c.layout(header, body)
