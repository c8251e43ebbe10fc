"""Two runs side by side: what differs between them, and a verdict for each of their numbers."""

import enum
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.comparison.kinds import Kind
from bench.comparison.numbers import Pair, Telling, about, pairs, telling
from bench.comparison.verdicts import Judged, Verdict, judge
from bench.regression.mann_whitney import holm, mann_whitney
from bench.report.paired import Triple
from bench.runs import Run

ONE_SIDED = (Verdict.ONLY_A, Verdict.ONLY_B)
MOST_NAMED = 4
"""Settings that are named where many differ."""
ASIDE = ("name", "dataset", "seed")
"""Of a budget; they have lines of their own."""


class Exit(enum.IntEnum):
    """What the command ends with."""

    OK = 0
    GREW = 3
    NOTHING = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A number of two runs with its verdict."""

    group: str
    """The task that measured it."""
    about: str
    measure: str
    unit: str
    kind: Kind
    a: float | bool | str | None
    b: float | bool | str | None
    verdict: Verdict
    reason: str = ""
    gap: Triple | None = None
    """B - A with its 95 % interval, where there is one."""
    is_point: bool = False
    """Whether it is one of many points of a line."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing two runs."""

    conditions: Mapping[str, tuple[str, str]]
    """What differs between them: name -> (A's, B's)."""
    same: tuple[str, ...]
    """Names of the conditions that do not."""
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    is_one: bool = False
    """Whether both are one run."""

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many numbers have each verdict."""
        found = Counter(line.verdict for line in self.lines)
        return {verdict: found[verdict] for verdict in Verdict}

    @property
    def common(self) -> int:
        """How many numbers both have."""
        return sum(line.verdict not in ONE_SIDED for line in self.lines)

    @property
    def grown(self) -> list[Line]:
        """The counts that are larger in the second run."""
        return [
            line for line in self.lines if line.kind is Kind.COUNT and line.verdict is Verdict.WORSE
        ]

    @property
    def by_interval(self) -> int:
        """How many numbers were judged by a 95 % interval, of which chance misjudges some."""
        return sum(line.gap is not None for line in self.lines)

    @property
    def exit_code(self) -> Exit:
        """Nothing in common, a count that grew, or neither."""
        if not self.common:
            return Exit.NOTHING
        return Exit.GREW if self.grown else Exit.OK


def compare(a: Run, b: Run) -> Compared:
    """Return two runs' numbers side by side.

    Args:
        a: The run to compare with.
        b: The run that may be better or worse.
    """
    found = pairs(a, b)
    tests = {
        str(i): mann_whitney(pair.a.side.samples, pair.b.side.samples)
        for i, pair in enumerate(found)
        if pair.a and pair.b and pair.a.side.samples and pair.b.side.samples
    }
    adjusted = holm(tests)
    lost = [_lost(run) for run in (a, b)]
    known = telling(found)
    lines = [
        _line(pair, _judged(pair, adjusted.get(str(i)), lost), known)
        for i, pair in enumerate(found)
    ]
    unlike, same = _conditions(a, b)
    sums = [[record.get("checksum") for record in run.records] for run in (a, b)]
    is_one = sums[0] == sums[1] != [] and None not in sums[0]
    return Compared(unlike, same, tuple(lines), tuple(_notes(a, b)), is_one)


def _judged(pair: Pair, p: float | None, lost: Sequence[Mapping[str, str]]) -> Judged:
    if pair.a is None:
        return Judged(Verdict.ONLY_B, lost[0].get(pair.one.label, ""))
    if pair.b is None:
        return Judged(Verdict.ONLY_A, lost[1].get(pair.one.label, ""))
    return judge(pair.one.rule, pair.a.side, pair.b.side, pair.setting, p=p)


def _line(pair: Pair, found: Judged, known: Telling) -> Line:
    one = pair.one
    return Line(
        group=one.task,
        about=about(one, known),
        measure=one.measure,
        unit=one.rule.unit,
        kind=one.rule.kind,
        a=pair.a.side.value if pair.a else None,
        b=pair.b.side.value if pair.b else None,
        verdict=found.verdict,
        reason=found.reason,
        gap=found.gap,
        is_point=one.is_point,
    )


def _lost(run: Run) -> dict[str, str]:
    """Return the cells of a run that have no numbers, and why."""
    return {
        record["label"]: f"{record['status']}: {record['reason']}"
        for record in run.records
        if record["status"] != "ok"
    }


def _notes(a: Run, b: Run) -> Iterator[str]:
    for name, run in (("A", a), ("B", b)):
        absent = run.lost
        if absent:
            lost = f"{len(absent)} of {len(run.records)} records"
            yield f"{lost} of {name} cannot be read; the first: {absent[0]['reason']}"


# ------------------------------------------------------------------ what differs


def _conditions(a: Run, b: Run) -> tuple[dict[str, tuple[str, str]], tuple[str, ...]]:
    """Return the conditions that differ between two runs, and the names of those that do not."""
    told = [_facts(run.manifest) for run in (a, b)]
    unlike = {
        name: (told[0][name], told[1][name]) for name in told[0] if told[0][name] != told[1][name]
    }
    for name in ("settings", "versions"):
        sides = [_flattened(_part(run.manifest, name)) for run in (a, b)]
        shown = _unlike(*sides)
        if shown:
            unlike[name] = shown
    names = [*told[0], "settings", "versions"]
    return unlike, tuple(name for name in names if name not in unlike)


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    git, budget = (manifest.get(name) or {} for name in ("git", "budget"))
    commit = str(git.get("commit") or "unknown")[:12]
    machine = manifest.get("machine") or {}
    gpus = machine.get("gpu") or []
    return {
        "commit": commit + (" and changes" if git.get("changed") else ""),
        "machine": ", ".join(
            [str(machine.get("cpu", "unknown")), f"{machine.get('cores', '?')} cores"]
            + [str(gpu.get("name", gpu)) if isinstance(gpu, Mapping) else str(gpu) for gpu in gpus]
            + [f"{machine[name]} GiB" for name in ("memory_gib",) if name in machine]
            + [str(machine[name]) for name in ("system",) if name in machine]
        ),
        "device": str(manifest.get("device", "unknown")),
        "budget": str(budget.get("name", "unknown")),
        "data set": str(budget.get("dataset", "unknown")),
        "seed": str(budget.get("seed", "unknown")),
        "experiments": " ".join(map(str, manifest.get("experiments") or [])) or "unknown",
    }


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name != "settings":
        return manifest.get(name) or {}
    budget = manifest.get("budget") or {}
    return {key: value for key, value in budget.items() if key not in ASIDE}


def _flattened(part: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in part.items():
        if isinstance(value, Mapping):
            found |= _flattened(value, f"{before}{name}.")
        else:
            words = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            found[before + name] = words
    return found


def _unlike(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[str, str] | None:
    """Return both sides' values that differ; one that only one side has is "-" on the other."""
    names = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    if not names:
        return None
    both = [name for name in names if name in a and name in b]
    first = sorted(names, key=lambda name: name not in both)[:MOST_NAMED]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    one, two = (", ".join(f"{n} {side.get(n, '-')}" for n in first) + more for side in (a, b))
    return one, two
