"""The numbers of a run, each with its place, so that two runs' can be laid side by side."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.comparison.kinds import (
    BEST,
    HARD,
    SOFT,
    Kind,
    Measure,
    is_number,
    is_place,
    measure_of,
)
from bench.comparison.verdicts import Setting, Side, quartiles
from bench.report.paired import LEFT_OUT
from bench.runs import Run, flat
from bench.statistics import Jackknife
from bench.store import Record

OWN = "the run's own"
"""Stands for the data set that a run was asked for, so that other ones' numbers meet it."""
PER_IMAGE = "_per_image"
CANARY = "canary"
CLAIM = "claim"
POINTS = ("curve", "course", "spectrum")
"""Parts of which a row is one of many points of a line."""

Place = tuple[Any, ...]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Number:
    """One number of one run."""

    task: str
    label: str
    measure: str
    rule: Measure
    side: Side
    row: Row
    machine: Any = None

    @property
    def is_point(self) -> bool:
        """Whether it is one of many points of a line, which a table leaves out."""
        return self.row.get("part") in POINTS


def numbers(run: Run) -> list[Number]:
    """Return every number of a run's records that are whole."""
    return [one for record in run.records if record["status"] == "ok" for one in _of(record, run)]


def _of(record: Record, run: Run) -> Iterator[Number]:
    machine = record["made"].get("machine") or run.manifest.get("machine")
    budget = run.manifest.get("budget") or {}
    for raw in flat(record):
        row = {name: value for name, value in raw.items() if value is not None}
        row.setdefault("seed", budget.get("seed"))
        for name, rule, side in _sides(row):
            yield Number(record["task"], record["label"], name, rule, side, row, machine)


def _sides(row: Row) -> Iterator[tuple[str, Measure, Side]]:
    """Yield the numbers of a row: what they are of, by which rule, and with which interval."""
    if row["task"] == CANARY:  # what it measured need not repeat, only whether it passed
        if "passed" in row:
            yield "passed", measure_of("passed"), Side(row["passed"])
        return
    for name in row:
        if name == BEST:
            metric = str(row.get("metric", ""))
            yield f"best {metric}", measure_of(metric), _side(row, name)
        elif is_number(name, row):
            yield name, measure_of(name), _side(row, name)
        else:
            yield from _of_images(row, name)
    named = row.get("numbers") if row.get("part") == CLAIM else None
    for name, value in (named if isinstance(named, Mapping) else {}).items():
        if type(value) in (int, float):
            yield str(name), Measure(Kind.OTHER), Side(value)


def _of_images(row: Row, name: str) -> Iterator[tuple[str, Measure, Side]]:
    """Yield the mean of a column that has every image's number, where the row has no mean."""
    bare = name.removesuffix(PER_IMAGE)
    each = _floats(row[name]) if name != bare and bare not in row else ()
    if each:
        yield bare, measure_of(bare), Side(sum(each) / len(each), each=each)


def _side(row: Row, name: str) -> Side:
    value = row[name]
    stem = name.removesuffix("_value").removesuffix("_s")
    # A row of one distance alone calls its ends `low` and `high`.
    bare = name == "frechet" and f"{stem}_low" not in row
    ends = [row.get(end if bare else f"{stem}_{end}") for end in ("low", "high")]
    left_out = _floats(row.get(LEFT_OUT.get(name, "")))
    if None in ends and len(left_out) > 1 and type(value) is float:
        interval = Jackknife(value, left_out).interval()
        ends = [interval.low, interval.high]
    samples = _floats(row.get("samples_s")) if name == "latency_s" else ()
    q1, q3 = (row.get(f"{stem}_{quarter}_s") for quarter in ("q1", "q3"))
    low, high = (end if type(end) in (int, float) else None for end in ends)
    return Side(
        value,
        low,
        high,
        quartiles=quartiles(samples) if q1 is None or q3 is None else (q1, q3),
        samples=samples,
        each=_each(row, name),
        left_out=left_out,
        noisy=bool(row.get("noisy")),
    )


def _each(row: Row, name: str) -> tuple[float, ...]:
    """Return the numbers of all images that a mean is of; none where they are not of this mean."""
    found = _floats(row.get("per_image" if name == BEST else f"{name}{PER_IMAGE}"))
    errors = _floats(row.get(f"mse{PER_IMAGE}")) if name == "psnr" else ()
    if errors and min(errors) > 0:  # of values in [0, 1]
        found = tuple(-10 * math.log10(error) for error in errors)
    if not found or type(row[name]) is not float:
        return ()
    mean = sum(found) / len(found)
    return found if abs(mean - row[name]) <= 1e-6 * max(1e-9, abs(row[name])) else ()


def _floats(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        return ()
    return tuple(map(float, values))


# ------------------------------------------------------------------ side by side


@dataclass(frozen=True, slots=True)
class Pair:
    """What both runs, or one of them, have in one place."""

    a: Number | None
    b: Number | None

    @property
    def one(self) -> Number:
        """Either's; where both have it, the first run's."""
        found = self.a or self.b
        assert found is not None
        return found

    @property
    def setting(self) -> Setting:
        """What both have in common, where both have it."""
        if self.a is None or self.b is None:
            return Setting()
        one, two = self.a.row, self.b.row
        unlike = [name for name in HARD if _differ(one, two, name)]
        told = f"other {unlike[0].replace('_', ' ')}" if unlike else ""
        paired = not unlike and not any(_differ(one, two, name) for name in SOFT)
        return Setting(
            told, paired, self.a.machine is not None and self.a.machine == self.b.machine
        )


def _differ(one: Row, two: Row, name: str) -> bool:
    """Return whether a condition differs; of what an earlier version did not tell nothing is."""
    return name in one and name in two and one[name] != two[name]


def pairs(a: Run, b: Run) -> list[Pair]:
    """Return the numbers of two runs by place, in the order of the first and then the second.

    A place is the task, the words and the axes of a row, as far as the rows of both runs have them:
    of an earlier version's they are fewer.
    """
    first, second = numbers(a), numbers(b)
    shared = _shared(first, second)
    placed = [
        _placed(found, shared, _asked(run, found)) for found, run in ((first, a), (second, b))
    ]
    return [
        Pair(placed[0].get(place), placed[1].get(place)) for place in {**placed[0], **placed[1]}
    ]


def _asked(run: Run, found: Iterable[Number]) -> Any:
    """Return the data set that a run was asked for; where it does not say so, the commonest."""
    asked = (run.manifest.get("budget") or {}).get("dataset")
    counted = Counter(one.row["dataset"] for one in found if "dataset" in one.row)
    return asked or next((name for name, _ in counted.most_common(1)), None)


def _shared(*sides: Iterable[Number]) -> dict[str, set[str]]:
    """Return the names of the axes of each task's rows, those that all sides have."""
    found: dict[str, list[set[str]]] = {}
    for i, side in enumerate(sides):
        for one in side:
            names = found.setdefault(one.task, [set() for _ in sides])
            names[i] |= {name for name in one.row if is_place(name, one.row)}
    return {
        task: set.intersection(*(each for each in names if each))
        for task, names in found.items()
        if any(names)
    }


def _placed(
    found: Iterable[Number], shared: Mapping[str, set[str]], own: Any
) -> dict[Place, Number]:
    placed: dict[Place, Number] = {}
    seen: Counter[Place] = Counter()
    for one in found:
        dataset = one.row.get("dataset")
        where = tuple(
            (name, str(one.row[name]) if isinstance(one.row[name], str) else one.row[name])
            for name in sorted(shared.get(one.task, ()))
            if name in one.row
        )
        place = (one.task, OWN if dataset == own else dataset, where, one.measure)
        seen[place] += 1
        placed[(*place, seen[place])] = one
    return placed


Telling = dict[tuple[str, str], frozenset[str]]


def telling(found: Iterable[Pair]) -> Telling:
    """Return for each cell and measure the names of what tells its numbers from one another."""
    values: dict[tuple[str, str], dict[str, set[str]]] = {}
    for pair in found:
        one = pair.one
        names = values.setdefault((one.label, one.measure), {})
        for name in one.row:
            if is_place(name, one.row):
                names.setdefault(name, set()).add(str(one.row[name]))
    return {
        cell: frozenset(name for name, several in names.items() if len(several) > 1)
        for cell, names in values.items()
    }


def about(number: Number, known: Telling) -> str:
    """Return in words where a number is: its cell, and what tells it from others of the cell."""
    words = [number.label.removeprefix(number.task).strip()]
    names = known.get((number.label, number.measure), frozenset())
    for name in number.row:
        if name in names:
            value = number.row[name]
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(shown if isinstance(value, str) else f"{name}={shown}")
    return " ".join(word for word in words if word)
