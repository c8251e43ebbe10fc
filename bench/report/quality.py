"""Beside Table 1: fidelity, variety and memorisation of the generated images. Not of the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.report import comparison as c
from bench.report.curves import Curve, curves
from bench.report.judged import CONFIDENT, FLOOR, REAL, UNEVEN, classes_of, words_of
from bench.report.names import printed
from bench.report.rows import RunLike, data_words, fault_notes, floating, integer

NAME = "quality"
READS = ("judge", "judged")
"""Tasks whose faults leave a gap in this table alone."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One number of a generated set."""

    group: str
    heading: str
    column: str
    digits: int
    counts: str
    """The column with the number of images behind it."""


SETS, NEAR = "Nearest neighbours", "Memorisation: distance to the nearest training image"
SHOWN = "Classes"
KINDS = (
    Kind(SETS, "precision", "precision", 3, "n_manifold"),
    Kind(SETS, "recall", "recall", 3, "n_manifold"),
    Kind(SETS, "density", "density", 3, "n_manifold"),
    Kind(SETS, "coverage", "coverage", 3, "n_manifold"),
    Kind(NEAR, "median, generated", "nearest_training", 3, "n_generated"),
    Kind(NEAR, "median, held-out", "nearest_training_held_out", 3, "n_held_out"),
    Kind(NEAR, "nearer than 99 % of held-out", "nearest_share", 3, "n_generated"),
)
CLASSES = (
    Kind(SHOWN, "confident", CONFIDENT, 3, "n_generated"),
    Kind(SHOWN, "confident, real", REAL, 3, "n_test"),
    Kind(SHOWN, "TV", UNEVEN, 3, "n_generated"),
    Kind(SHOWN, "TV floor", FLOOR, 3, "n_generated"),
)
METRICS = {SETS: "", NEAR: "nearest training image: ", SHOWN: "classes: "}
"""What comes before a heading where it stands alone."""


def quality(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that measured none of it."""
    every = [Quality(one, _values(run, one)) for one in curves(run)]
    found = [one for one in every if one.values]
    if not found:
        return None
    kinds = [kind for kind in (*KINDS, *CLASSES) if any(kind.column in one.values for one in found)]
    header = [("", "", name) for name in ("Data", "Features", "Recipe", "Backbone")]
    header += [("", "", "Steps"), ("", "", "N"), *((k.group, k.heading, "ours") for k in kinds)]
    return c.Table(
        NAME,
        "Quality: fidelity, variety and memorisation of the generated images",
        "Each network at its best number of steps by the row's features, which for those of Table "
        "1 is the table's. Precision and density ask whether a "
        "generated image lies where real ones do, recall and coverage whether real images lie "
        "where generated ones do; higher is better. Classes are what a judge sees.",
        c.tidy(line for one in found for line in _lines(run, one, kinds)),
        c.layout(header, _body(run, found, kinds)),
        4,
        _notes(run, [one.curve for one in found]),
    )


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of one network's images at its best number of steps, by column."""

    curve: Curve
    values: Mapping[str, c.Value]

    def number(self, kind: Kind) -> float | None:
        """Return one of the numbers, None where it was not measured."""
        return self.values[kind.column].value if kind.column in self.values else None


def _values(run: RunLike, curve: Curve) -> Mapping[str, c.Value]:
    best, keys = curve.best, curve.value.keys
    found = {
        kind.column: c.Value(floating(best[kind.column]), n=integer(best[kind.counts]), keys=keys)
        for kind in KINDS
    }
    found |= classes_of(run, curve)
    return {column: value for column, value in found.items() if value.value is not None}


def _lines(run: RunLike, one: Quality, kinds: list[Kind]) -> list[c.Line]:
    curve = one.curve
    words = f"{curve.protocol}; {curve.best['steps']:.0f} steps"
    place = c.Place(NAME, printed(curve.backbone), data_words(run, curve.dataset), words)
    seen = replace(place, protocol=f"recipe {curve.recipe}; judge; {curve.best['steps']:.0f} steps")
    lines = []
    for kind in kinds:
        value = one.values.get(kind.column, c.Value(None, keys=curve.value.keys))
        metric = f"{METRICS[kind.group]}{kind.heading}"
        where = seen if kind.group == SHOWN else place
        lines.append(c.line(run, where, (metric, "1"), ours=value, judged=(None, None)))
    return lines


def _body(run: RunLike, found: list[Quality], kinds: list[Kind]) -> list[list[str]]:
    """Return the cells; the best of those that can be compared, in bold."""
    groups: dict[tuple[str, str, str], list[Quality]] = {}
    for one in found:
        curve = one.curve
        groups.setdefault((curve.dataset, curve.features, curve.recipe), []).append(one)
    body = []
    for (dataset, features, recipe), ours in groups.items():
        here = [one.curve for one in ours]
        columns = [
            [data_words(run, dataset)] * len(here),
            [features] * len(here),
            [recipe] * len(here),
            [printed(one.backbone) for one in here],
            [f"{one.best['steps']:.0f}" for one in here],
            [c.number(integer(one.best["n_manifold"]), 0) for one in here],
        ]
        for kind in kinds:
            values = [one.number(kind) for one in ours]
            # No bold: these shares have no interval that would tell a winner from chance.
            columns.append([c.number(value, kind.digits) for value in values])
        body += [list(row) for row in zip(*columns, strict=True)]
    return body


def _notes(run: RunLike, found: list[Curve]) -> tuple[str, ...]:
    notes = [
        "N images of either set: precision, recall (Kynkäänniemi et al. 2019, k = 3), density and "
        "coverage (Naeem et al. 2020, k = 5) change with N and with the features: compare within "
        "one row group only.",
    ]
    row = found[0].best
    training, held_out = integer(row["n_training"]), integer(row["n_held_out"])
    if training is not None and held_out is not None:
        notes.append(
            f"Memorisation: distances in feature space to the nearest of {training:,} training "
            "images (a sample, where a network was trained on more), beside those of "
            f"{held_out:,} real images that were not trained on. About 1 % of a network's images "
            "lie nearer than 99 % of the held-out ones by chance; many more, or a smaller median, "
            "are copies or very plain images; the closest pairs, where they are drawn, tell which."
        )
    return (*notes, *words_of(run, found), *fault_notes(run, READS))
