"""Gap autopsy: how far the choices that the paper leaves open move one of its numbers, each alone.

A waterfall leads from our number over the contribution of every choice to the number with all of
them made otherwise; what is left to the paper's number is unexplained.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.report import comparison as c
from bench.report.curves import curves
from bench.report.names import DIFFUSION, ordered, paper_column, printed
from bench.report.paper import Printed, lookup
from bench.report.restoration import best_of, blocks, restored
from bench.report.rows import RunLike, floating, integer, listed, ok, settings, text_of
from bench.report.table4 import denoised
from bench.report.waterfall import Choice as Choice
from bench.report.waterfall import Step as Step
from bench.report.waterfall import Waterfall as Waterfall
from bench.report.waterfall import complete
from bench.shapley import shapley
from bench.statistics import Jackknife

TASK, DISTANCE = "autopsy", "autopsy_distance"
COLUMNS = (
    *("denoiser", "dataset", "schedule", "t", "n", "states", "part", "metric"),
    *("otherwise", "value", "choice", "ours", "alternative", "contribution", "low", "high"),
    *("contribution_of_each", "features", "steps", "leave_one_out", "n_real", "resize"),
)
CHOICES = (
    *("schedule", "told sigma", "window", "data range", "input range", "size", "estimate", "step"),
    *("features", "real images", "N", "images", "network"),
)
"""In the order in which they are shown."""
NETWORK, FEATURES = "network", "features"
RELEASED = "cunet-released"
"""The authors' released network, which stands for the paper's cU-Net as well."""
CLASSIC = "bm3d-torch"
TABLES = ("table1", "table2", "table4")
"""Those whose numbers are looked into."""


def waterfalls(run: RunLike, table: str) -> list[Waterfall]:
    """Return those of one of the paper's tables, of `TABLES`."""
    return list({"table1": _distances, "table2": _networks, "table4": _classics}[table](run))


# ------------------------------------------------------------------ restored images


def _networks(run: RunLike) -> Iterator[Waterfall]:
    """Yield those of Table 2."""
    rows, paper = ok(run, TASK, COLUMNS), lookup("table2")
    best = restored(run, "best")
    places = [(b, best_of(best, b)) for b in blocks(best) if not b.clipped]
    names = rows["denoiser"].astype(str)
    rows = rows.assign(backbone=names.str.removeprefix(DIFFUSION))[names.str.startswith(DIFFUSION)]
    for (dataset, schedule, metric, t), here in _groups(rows):
        found = next((f for b, f in places if (b.dataset, b.schedule) == (dataset, schedule)), {})
        for backbone in ordered(here["backbone"]):
            number = paper.get((str(t), printed(backbone), f"best_{metric}"))
            mine = here[here["backbone"] == backbone]
            if number is None or not complete(_values(mine)):
                continue
            other = here[here["backbone"] == RELEASED] if backbone == "cunet" else here[:0]
            known = found.get((t, backbone, metric))
            place = ("table2", str(t), printed(backbone), metric, dataset)
            ours = known.value if known else c.Value(None)
            yield _waterfall(place, mine, number, ours=ours, released=_values(other))


def _classics(run: RunLike) -> Iterator[Waterfall]:
    """Yield those of BM3D in Table 4."""
    rows, paper = ok(run, TASK, COLUMNS), lookup("table4")
    table4 = denoised(run)
    for (dataset, schedule, metric, t), mine in _groups(rows[rows["denoiser"] == CLASSIC]):
        number = paper.get(("BM3D", str(t), metric))
        if number is None or not complete(_values(mine)):
            continue
        same = table4[
            (table4["denoiser"] == CLASSIC)
            & (table4["dataset"] == dataset)
            & (table4["schedule"] == schedule)
            & (table4["t"] == t)
        ].to_dict("records")
        ours = c.Value(None)
        if same:
            one = same[0]
            ends = (floating(one[f"{metric}{end}"]) for end in ("", "_low", "_high"))
            ours = c.Value(*ends, integer(one["n"]), (str(one["key"]),))
        place = ("table4", "BM3D", str(t), metric, dataset)
        yield _waterfall(place, mine, number, ours=ours)


def _groups(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str, int], pd.DataFrame]]:
    rows = rows[rows["t"].notna() & rows["metric"].notna()]
    for metric in ("ssim", "lpips"):
        for (dataset, schedule, t), here in rows[rows["metric"] == metric].groupby(
            ["dataset", "schedule", "t"]
        ):
            yield (str(dataset), str(schedule), metric, int(t)), here


def _values(rows: pd.DataFrame) -> dict[Choice, float]:
    rows = rows[rows["part"] == "choice"]
    return {_named(row["otherwise"]): float(row["value"]) for row in rows.to_dict("records")}


def _named(value: Any) -> Choice:
    return frozenset(map(str, value)) if isinstance(value, list | tuple) else frozenset()


def _waterfall(
    place: tuple[str, str, str, str, str],
    rows: pd.DataFrame,
    number: Printed,
    *,
    ours: c.Value,
    released: Mapping[Choice, float] | None = None,
) -> Waterfall:
    """Return a waterfall of restored images, with the released network as a choice if it is there.

    The contributions of the cell's own choices come with their intervals; those that are computed
    anew together with the other network have none.
    """
    values = _values(rows)
    steps = [_step(row) for row in rows[rows["part"] == "contribution"].to_dict("records")]
    if released and set(released) == set(values):
        values |= {names | {NETWORK}: value for names, value in released.items()}
        words = {step.choice: (step.ours, step.alternative) for step in steps}
        words[NETWORK] = ("as described", "as released")
        steps = [Step(name, *words[name], value) for name, value in shapley(values).items()]
    first = rows.iloc[0]
    states = integer(first["states"]) or 1
    kept = "8-bit images" + (f" of {states} steps" if states > 1 else "")
    keys = tuple(dict.fromkeys(map(str, rows["key"])))
    start = values[frozenset()]
    n = integer(first["n"])
    return Waterfall(*place, number, ours, start, kept, _in_order(steps), values, n, keys)


def _step(row: Mapping[str, Any]) -> Step:
    words = (str(row["choice"]), str(row["ours"]), str(row["alternative"]))
    ends = floating(row["low"]), floating(row["high"])
    return Step(
        *words, float(row["contribution"]), *ends, tuple(listed(row["contribution_of_each"]))
    )


def _in_order(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (CHOICES.index(step.choice), step.choice))


# ------------------------------------------------------------------ generated images


def _distances(run: RunLike) -> Iterator[Waterfall]:
    """Yield those of Table 1."""
    rows, paper = ok(run, DISTANCE, (*COLUMNS, "backbone")), lookup("table1")
    rows = rows[rows["steps"].notna() & rows["features"].notna()]
    for (dataset, steps), here in rows.groupby(["dataset", "steps"]):
        for backbone in ordered(here["backbone"]):
            number = paper.get((printed(backbone), paper_column(str(dataset)) or "", "fid"))
            mine = here[here["backbone"] == backbone]
            own = _own_features(run, mine)
            if number is None or own is None:
                continue
            if complete(_jackknives(mine[mine["features"] == own])):
                yield _distance(run, mine, number, own=own, steps=int(steps))


def _own_features(run: RunLike, rows: pd.DataFrame) -> str | None:
    there = list(dict.fromkeys(rows["features"].astype(str)))
    generation = settings(run).get("generation")
    wanted = text_of(generation.get("features")) if isinstance(generation, Mapping) else None
    return wanted if wanted in there else (there[0] if wanted is None and there else None)


def _distance(
    run: RunLike, rows: pd.DataFrame, number: Printed, *, own: str, steps: int
) -> Waterfall:
    tables = {name: _jackknives(part) for name, part in rows.groupby("features", sort=False)}
    mine = dict(tables.pop(own))
    sizes = {names: len(value) for names, value in mine.items()}
    others = {
        name: table
        for name, table in tables.items()
        if {names: len(value) for names, value in table.items()} == sizes
    }
    chosen = next(iter(others), None)
    if chosen is not None:
        mine |= {names | {FEATURES}: value for names, value in others[chosen].items()}
    words = {
        FEATURES: (own, chosen or ""),
        "real images": ("training split", "held-out split"),
        "N": ("as many as there are", "extrapolated to infinity"),
    }
    found = [Step(name, *words[name], *_interval(value)) for name, value in shapley(mine).items()]
    first = rows[rows["features"] == own].iloc[0]
    backbone, dataset = str(first["backbone"]), str(first["dataset"])
    column = paper_column(dataset) or ""
    best = [one for one in curves(run) if (one.backbone, one.dataset) == (backbone, dataset)]
    same = [one for one in best if one.features == own]
    return Waterfall(
        *("table1", printed(backbone), column, "frechet", dataset),
        number,
        same[0].value if same else c.Value(None),
        float(mine[frozenset()][0]),
        f"{steps} steps, {integer(first['n_real']) or 0:,} real images",
        _in_order(found),
        {names: float(value[0]) for names, value in mine.items()},
        integer(first["n"]),
        tuple(dict.fromkeys(map(str, rows["key"]))),
        {name: float(table[frozenset()][0]) for name, table in others.items()},
    )


def _jackknives(rows: pd.DataFrame) -> dict[Choice, np.ndarray]:
    """Return choices -> the distance and what it is without each block."""
    return {
        _named(row["otherwise"]): np.array([float(row["value"]), *listed(row["leave_one_out"])])
        for row in rows.to_dict("records")
    }


def _interval(value: np.ndarray) -> tuple[float, float | None, float | None]:
    if len(value) < 3:
        return float(value[0]), None, None
    found = Jackknife(float(value[0]), tuple(map(float, value[1:]))).interval()
    return found.value, found.low, found.high
