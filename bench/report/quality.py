"""Beside Table 1: fidelity, variety and memorisation of the generated images. Not of the paper."""

from dataclasses import dataclass

from bench.report import comparison as c
from bench.report.curves import Curve, curves
from bench.report.names import printed
from bench.report.rows import RunLike, data_words, floating, integer

NAME = "quality"


@dataclass(frozen=True, slots=True)
class Kind:
    """One number of a generated set."""

    group: str
    heading: str
    column: str
    digits: int
    counts: str
    """The column with the number of images behind it."""
    largest: bool | None = None
    """Whether the largest is the best; None where neither is."""


SETS, NEAR = "Nearest neighbours", "Memorisation: distance to the nearest training image"
KINDS = (
    Kind(SETS, "precision", "precision", 3, "n_manifold", True),
    Kind(SETS, "recall", "recall", 3, "n_manifold", True),
    Kind(SETS, "density", "density", 3, "n_manifold", True),
    Kind(SETS, "coverage", "coverage", 3, "n_manifold", True),
    Kind(NEAR, "median, generated", "nearest_training", 3, "n_generated"),
    Kind(NEAR, "median, held-out", "nearest_training_held_out", 3, "n_held_out"),
    Kind(NEAR, "nearer than 99 % of held-out", "nearest_share", 3, "n_generated"),
)


def quality(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that measured none of it."""
    found = [one for one in curves(run) if any(_number(one, kind) is not None for kind in KINDS)]
    if not found:
        return None
    kinds = [kind for kind in KINDS if any(_number(one, kind) is not None for one in found)]
    header = [("", "", name) for name in ("Data", "Features", "Recipe", "Backbone")]
    header += [("", "", "Steps"), ("", "", "N"), *((k.group, k.heading, "ours") for k in kinds)]
    return c.Table(
        NAME,
        "Quality: fidelity, variety and memorisation of the generated images",
        "Each network at the best number of steps of Table 1. Precision and density ask whether a "
        "generated image lies where real ones do, recall and coverage whether real images lie "
        "where generated ones do; higher is better, best in bold.",
        c.tidy(line for one in found for line in _lines(run, one, kinds)),
        c.layout(header, _body(run, found, kinds)),
        4,
        _notes(found),
    )


def _number(curve: Curve, kind: Kind) -> float | None:
    return floating(curve.best[kind.column])


def _lines(run: RunLike, curve: Curve, kinds: list[Kind]) -> list[c.Line]:
    words = f"{curve.protocol}; {curve.best['steps']:.0f} steps"
    place = c.Place(NAME, printed(curve.backbone), data_words(run, curve.dataset), words)
    lines = []
    for kind in kinds:
        n = integer(curve.best[kind.counts])
        value = c.Value(_number(curve, kind), n=n, keys=curve.value.keys)
        metric = kind.heading if kind.group == SETS else f"nearest training image: {kind.heading}"
        lines.append(c.line(run, place, (metric, "1"), ours=value, judged=(None, None)))
    return lines


def _body(run: RunLike, found: list[Curve], kinds: list[Kind]) -> list[list[str]]:
    """Return the cells; the best of those that can be compared, in bold."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for one in found:
        groups.setdefault((one.dataset, one.features, one.recipe), []).append(one)
    body = []
    for (dataset, features, recipe), here in groups.items():
        columns = [
            [data_words(run, dataset)] * len(here),
            [features] * len(here),
            [recipe] * len(here),
            [printed(one.backbone) for one in here],
            [f"{one.best['steps']:.0f}" for one in here],
            [c.number(integer(one.best["n_manifold"]), 0) for one in here],
        ]
        for kind in kinds:
            values = [_number(one, kind) for one in here]
            texts = [c.number(value, kind.digits) for value in values]
            if kind.largest is not None:
                texts = c.mark_best(values, texts, largest=kind.largest)
            columns.append(texts)
        body += [list(row) for row in zip(*columns, strict=True)]
    return body


def _notes(found: list[Curve]) -> tuple[str, ...]:
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
            "are copies or very plain images: look at the closest pairs."
        )
    return tuple(notes)
