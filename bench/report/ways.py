"""What was measured of each sampler on each network: distance, network calls, time per sample."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from bench.report.comparison import Value
from bench.report.generated import SAME, completed, images, same
from bench.report.latency import Latency, latency_of, timings
from bench.report.names import SAMPLERS, ordered, sampler_name
from bench.report.pareto import front
from bench.report.rows import RunLike, floating, integer, listed, ok, text_of, true
from bench.statistics import t_quantile

TABLE = "samplers"
COLUMNS = (
    *SAME,
    *("frechet", "low", "high", "kid", "kid_se", "leave_one_out", "kid_leave_one_out", "leads"),
    *("features", "weights_sha", "resize", "n_real", "dimension"),
)
BLOCKS = 8
"""Jackknife blocks where a row does not tell."""


@dataclass(frozen=True)
class Tried:
    """One way to sample, on one network, with one number of steps."""

    row: pd.Series
    backbone: str
    name: str
    """The way in words, without the steps."""
    steps: int
    calls: int | None
    """Network calls per image."""
    evaluations: int | None
    """ODE evaluations of all calls; 0 for a discrete network."""
    latency: Latency | None
    leaks: bool
    """Whether it started from training images: a control, which can win nothing."""
    images: str | None
    """Key of the cell with the images."""
    optimal: tuple[str, ...] = field(default=())
    """In which costs it is Pareto-optimal: "calls", "time"."""

    @property
    def short(self) -> str:
        """The way in fewer words, without the level at which it starts."""
        return self.name.partition(", T'")[0]

    @property
    def group(self) -> tuple[str, str, str]:
        """What can be compared: data set, recipe, features."""
        return str(self.row["dataset"]), str(self.row["recipe"]), str(self.row["features"])

    @property
    def time(self) -> Value:
        """Seconds per image: calls x latency of the same network."""
        if self.calls is None or self.latency is None:
            return Value(None)
        one = self.latency
        ends = (self.calls * seconds for seconds in (one.seconds, one.low, one.high))
        return Value(*ends, one.repeats, (str(self.row["key"]), one.key))

    def distance(self, metric: str) -> Value:
        """Return a distance with its 95 % interval: "kid" or "frechet"."""
        row, n, keys = self.row, integer(self.row["n_generated"]), (str(self.row["key"]),)
        value = floating(row[metric])
        if metric == "frechet":
            return Value(value, floating(row["low"]), floating(row["high"]), n, keys)
        error = floating(row["kid_se"])
        if value is None or error is None:
            return Value(value, n=n, keys=keys)
        reach = t_quantile(max(len(listed(row["leave_one_out"])), 2) - 1) * error
        return Value(value, value - reach, value + reach, n, keys)


def leading(found: Sequence[Tried]) -> str:
    """Return the distance to go by: the kernel's, where images are too few for the Fréchet."""
    few = any(text_of(one.row["leads"]) == "kid" for one in found)
    return (
        "kid" if few and all(one.distance("kid").value is not None for one in found) else "frechet"
    )


def tried(run: RunLike) -> dict[tuple[str, str, str], list[Tried]]:
    """Return what was tried, by what can be compared, with what is Pareto-optimal in it."""
    rows = completed(ok(run, "frechet", COLUMNS, table=TABLE))
    known = images(run, ("calls", "leaks"))
    times, nfe = timings(run), _nfe(run)
    groups: dict[tuple[str, str, str], list[Tried]] = {}
    for _, row in rows[rows["frechet"].notna()].iterrows():
        made = known.get(same(row))
        calls = None if made is None else integer(made["calls"])
        per_call = nfe.get(row["backbone"])
        one = Tried(
            row,
            str(row["backbone"]),
            _name(row),
            int(row["steps"]),
            calls,
            None if calls is None or per_call is None else calls * per_call,
            latency_of(times, row["backbone"], row),
            made is not None and true(made["leaks"]),
            None if made is None else made["key"],
        )
        groups.setdefault(one.group, []).append(one)
    return {group: _judged(_sorted(groups[group])) for group in sorted(groups)}


def _nfe(run: RunLike) -> dict[str, int]:
    """Return how often one call evaluates ODE fields; the width of a network changes nothing."""
    rows = ok(run, "cost", ("backbone", "nfe"))
    return {row.backbone: int(row.nfe) for row in rows.itertuples() if not pd.isna(row.nfe)}


def _name(row: pd.Series) -> str:
    name = sampler_name(str(row["sampler"]), str(row["spacing"]))
    student, generator = integer(row["student"]), text_of(row["generator"])
    if student is not None:
        return f"{name}, distilled"
    if generator is not None:
        return f"ES-{name} from {generator}, T' = {integer(row['start'])}"
    return name


def _sorted(found: list[Tried]) -> list[Tried]:
    networks, known = ordered(one.backbone for one in found), list(SAMPLERS)

    def place(one: Tried) -> tuple:
        name = str(one.row["sampler"]).partition("+")[0]
        late = (text_of(one.row["generator"]) is not None, integer(one.row["student"]) is not None)
        rank = known.index(name) if name in known else len(known)
        return networks.index(one.backbone), late, rank, one.leaks, one.name, one.steps

    return sorted(found, key=place)


def _judged(found: list[Tried]) -> list[Tried]:
    """Return them with what is Pareto-optimal marked; controls are left out of the contest."""
    metric = leading(found)
    optimal: dict[int, list[str]] = {}
    for what in ("calls", "time"):
        running = []
        for i, one in enumerate(found):
            cost = one.calls if what == "calls" else one.time.value
            value = one.distance(metric).value
            if not one.leaks and cost is not None and value is not None:
                running.append((i, (float(cost), value)))
        for place in front([point for _, point in running]):
            optimal.setdefault(running[place][0], []).append(what)
    return [replace(one, optimal=tuple(optimal.get(i, ()))) for i, one in enumerate(found)]
