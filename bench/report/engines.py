"""Engines: the same two networks, run in every way there is. Not a table of the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.report import comparison as c
from bench.report.ceilings import ceilings, reached
from bench.report.names import printed
from bench.report.rows import (
    RunLike,
    asked,
    fault_notes,
    floating,
    integer,
    ok,
    text_of,
    true,
)
from bench.report.speed import MILLI, Timed, calls_of_an_image, span
from bench.report.speed import READ as SPEED

TABLE = "engines"
READ = (*SPEED, "options", "place", "ratio_to_places")
BASE, EAGER = "unet", "eager"
LIBRARY = "torchdiffeq"
COMPARED = ("U-Net, same engine", "itself, eager", "itself by torchdiffeq")


@dataclass(frozen=True, slots=True)
class Run(Timed):
    """One network on one engine at one batch size, among those that it took turns with."""

    @property
    def engine(self) -> str:
        """What runs it."""
        return str(self.row["engine"])

    @property
    def is_foreign(self) -> bool:
        """Whether torchdiffeq solves its ODEs."""
        return LIBRARY in (text_of(self.row["options"]) or "")

    @property
    def way(self) -> str:
        """Engine and, where it is not ours, who solves the ODEs."""
        return f"{self.engine}, ODEs by {LIBRARY}" if self.is_foreign else self.engine

    def times_as_fast_as(self, other: "Run | None") -> c.Value:
        """Return how many times its speed is another's: the median of the rounds' ratios."""
        ratios = self.row["ratio_to_places"]
        if other is None or other is self or not isinstance(ratios, Mapping):
            return c.Value(None)
        value, low, high = ratios.get(str(other.row["place"]), (None, None, None))
        return c.Value(*(1 / x if x else None for x in (value, high, low)))


def runs(run: RunLike) -> list[Run]:
    """Return what was measured, by device and batch, in the order of the cell."""
    rows = ok(run, "latency", READ, table=TABLE)
    rows = rows[rows["latency_s"].notna()]
    limits = ceilings(run)
    found = [Run(row, reached(row, limits)) for _, row in rows.iterrows()]
    return sorted(found, key=lambda one: (str(one.row["device"]), one.batch))


def engines(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that measured none of it."""
    if not asked(run, TABLE):
        return None
    found = runs(run)
    beside = [(one, _compared(one, found)) for one in found]
    made = calls_of_an_image(run)
    header = [("", "", name) for name in ("Device", "Batch", "Network", "Engine")]
    header += [("One call", name, "ours") for name in ("median (ms)", "GMACs/s", "of the ceiling")]
    header += [("Finished image (s)", f"{made[0]} calls", "ours")] if made else []
    header += [("Times as fast as (95 %)", name, "ours") for name in COMPARED]
    return c.Table(
        TABLE,
        "Engines: the same networks, run in every way",
        "Full width, 3x64x64, all networks and engines taking turns in random order. How many "
        "times as fast is the median over rounds of the ratio of two times of one round. Both "
        "networks get every engine; the ceiling is the fastest convolution or product that this "
        "machine was seen to make in float32, so that bfloat16 may pass it.",
        c.tidy(line for one, compared in beside for line in _lines(run, one, compared)),
        c.layout(header, [_cells(one, compared, made) for one, compared in beside]),
        4,
        (*_noisy(found), *fault_notes(run, ("latency", "roofline"), table=TABLE)),
    )


def _compared(one: Run, found: list[Run]) -> list[c.Value]:
    """Return how many times as fast it is as each of `COMPARED`, where that is another."""

    def of(backbone: str, engine: str, *, foreign: bool = False) -> Run | None:
        return next(
            (
                other
                for other in found
                if (other.row["key"], other.backbone) == (one.row["key"], backbone)
                and (other.engine, other.is_foreign) == (engine, foreign)
            ),
            None,
        )

    base = None if one.is_foreign or one.backbone == BASE else of(BASE, one.engine)
    others = (base, of(one.backbone, EAGER), of(one.backbone, EAGER, foreign=True))
    return [one.times_as_fast_as(other) for other in others]


def _cells(one: Run, compared: list[c.Value], made: tuple[int, str] | None) -> list[str]:
    seconds, under = floating(one.row["latency_s"]), one.reached
    cells = [
        one.where,
        str(one.batch),
        printed(one.backbone),
        one.way,
        c.number(seconds * MILLI, 1),
        c.number(under.rate, 1) if under else c.DASH,
        f"{under.share:.0%}" if under and under.share is not None else c.DASH,
    ]
    if made:
        cells.append(c.seconds(seconds * made[0] / one.batch))
    return cells + [_with_interval(value) for value in compared]


def _with_interval(value: c.Value) -> str:
    if value.value is None:
        return c.DASH
    bounded = value.low and value.high is not None
    interval = span(value.low, value.high, 2) if bounded else "not bounded"
    return f"{c.number(value.value, 2)} ({interval})"


def _noisy(found: list[Run]) -> list[str]:
    """Return which timings are not to be trusted, and why."""
    return [
        f"Noisy: {printed(one.backbone)}, {one.way}, batch {one.batch}: "
        f"{text_of(one.row['noisy_reason'])}."
        for one in found
        if true(one.row["noisy"])
    ]


def _lines(run: RunLike, one: Run, compared: list[c.Value]) -> list[c.Line]:
    words = f"{one.row['device']}, {one.way}, {integer(one.row['repeats']) or '?'} rounds"
    row = f"{printed(one.backbone)}, {one.way}, batch {one.batch}"
    place = c.Place(TABLE, row, "3x64x64", words)
    under = one.reached
    values = {
        ("time of one call", "s"): c.Value(floating(one.row["latency_s"])),
        ("multiply-adds per second", "GMACs/s"): c.Value(under.rate if under else None),
        ("share of the compute ceiling", "1"): c.Value(under.share if under else None),
    }
    for name, value in zip(COMPARED, compared, strict=True):
        values[f"times as fast as {name}", "1"] = value
    keys = (str(one.row["key"]),)
    return [
        c.line(run, place, metric, ours=replace(value, keys=keys), judged=(None, None))
        for metric, value in values.items()
        if value.value is not None
    ]
