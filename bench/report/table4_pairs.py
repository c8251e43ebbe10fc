"""Table 4's comparisons in pairs, over the same images: what leads, what ties, and who wins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.cell import ASSUMED
from bench.report import comparison as c
from bench.report import leaders as lead
from bench.report import restoration as r
from bench.report.names import PAIR, printed
from bench.report.paired import Triple, paired_mean, separate
from bench.report.paper import Printed
from bench.report.rows import RunLike, floating, plural
from bench.report.verdicts import Label, Verdict, direction, missing, under

ONE_STEP = ", one step"
DIFF = "Diff "
"""Rows of diffusion networks begin with it, as the paper's do."""


def diffusion_row(backbone: str) -> str:
    """Return how the row of a diffusion network's samples is called."""
    return f"{DIFF}{printed(backbone)}"


U_NET, C_U_NET = NETWORKS = tuple(diffusion_row(name) for name in PAIR)
PAIRS = (
    NETWORKS,
    (U_NET + ONE_STEP, C_U_NET + ONE_STEP),
    (U_NET, "BM3D"),
    (C_U_NET, "BM3D"),
)
"""Rows that every table compares image by image."""
Key = tuple[int, str]
"""Noising step and metric."""


@dataclass(frozen=True)
class Method:
    """One row of Table 4: how it is called, and its scores by (noising step, metric)."""

    label: str
    paper_row: str | None
    scores: Mapping[Key, c.Value]
    rows: Mapping[int, pd.Series]
    protocol: str
    per_image: Mapping[Key, Sequence[float]]
    """Every image's score; empty where a run does not have it."""

    @property
    def assumed(self) -> bool:
        """Whether it was told a noise level whatever the images have: not the paper's method."""
        return any(floating(row.get(ASSUMED)) is not None for row in self.rows.values())


@dataclass(frozen=True)
class Duel:
    """Two methods at one noising step by one metric: a - b with its interval."""

    a: Method
    b: Method
    key: Key
    gap: Triple

    @property
    def winner(self) -> str | None:
        """The better one's row, None for a tie: the interval of the difference contains 0."""
        _, low, high = self.gap
        if low <= 0 <= high:
            return None
        largest = r.METRICS[self.key[1]][1]
        return self.a.label if (low > 0) == largest else self.b.label


def gap(a: Method, b: Method, key: Key) -> Triple | None:
    """Return a - b with its 95 % interval: paired where both have scores of every image."""
    ours, theirs = a.scores.get(key), b.scores.get(key)
    if ours is None or theirs is None:
        return None
    return paired_mean(a.per_image.get(key, ()), b.per_image.get(key, ())) or separate(
        ours.ranged, theirs.ranged
    )


def leaders(found: Sequence[Method], key: Key) -> list[bool]:
    """Return which methods lead by a metric at a noising step (`bench.report.leaders`)."""
    values = [method.scores.get(key, c.Value(None)).value for method in found]
    largest = r.METRICS[key[1]][1]
    return lead.leaders(values, lambda i, j: gap(found[i], found[j], key), largest=largest)


def compared(found: Sequence[Method]) -> list[tuple[str, str]]:
    """Return which rows to compare: `PAIRS`, and what other network there is with the cU-Net."""
    labels = [method.label for method in found]
    others = [x for x in labels if x.startswith(DIFF) and not x.endswith(ONE_STEP)]
    return [*PAIRS, *((label, C_U_NET) for label in others if label not in NETWORKS)]


def duels(found: Sequence[Method], levels: Sequence[int], pair: tuple[str, str]) -> list[Duel]:
    """Return one method against another at these levels; none where one of them is missing.

    Args:
        found: The methods of a block.
        levels: Noising steps.
        pair: Their rows, such as "Diff U-Net" and "BM3D".
    """
    named = {method.label: method for method in found}
    a, b = (named.get(label) for label in pair)
    if a is None or b is None:
        return []
    keys = [(t, metric) for t in levels for metric in r.METRICS if (t, metric) in a.scores]
    pairs = [(key, gap(a, b, key)) for key in keys]
    return [Duel(a, b, key, triple) for key, triple in pairs if triple is not None]


def duel_note(fought: Sequence[Duel]) -> str:
    """Return in words how many comparisons of a pair each side wins, and every one of them."""
    if not fought:
        return ""
    wins, (a, b) = [duel.winner for duel in fought], (fought[0].a.label, fought[0].b.label)
    ties = plural(wins.count(None), "tie") or "no tie"
    parts = []
    for duel in fought:
        (t, metric), (value, low, high) = duel.key, duel.gap
        name = r.METRICS[metric][0]
        parts.append(
            f"{name} at {t} {value:+.3f} ({low:+.3f} to {high:+.3f}), {duel.winner or 'a tie'}"
        )
    return (
        f"{a} - {b}, mean difference over the same images with its paired 95 % interval: "
        f"{wins.count(a)} for {a}, {wins.count(b)} for {b}, {ties}. {'; '.join(parts)}."
    )


def duel_lines(
    run: RunLike, fought: Sequence[Duel], paper: Mapping[tuple[str, str, str], Printed], about: str
) -> list[c.Line]:
    """Return the differences as tidy lines, each judged by the sign of the paper's difference.

    Args:
        run: The run.
        fought: The comparisons.
        paper: The paper's numbers by (row, column, metric).
        about: The block in words.
    """
    lines = []
    for duel in fought:
        (t, metric), unit = duel.key, "1"
        printed_pair = [paper.get((m.paper_row or "", str(t), metric)) for m in (duel.a, duel.b)]
        row = f"{duel.a.label} - {duel.b.label}"
        place = c.Place("table4", row, str(t), f"{about}; difference over the same images")
        pair = [side.scores[duel.key] for side in (duel.a, duel.b)]
        ours = c.Value(*duel.gap, n=pair[0].n, keys=(*pair[0].keys, *pair[1].keys))
        verdict = _judged(run, duel, printed_pair)
        lines.append(
            c.line(run, place, (f"{metric}_difference", unit), ours=ours, judged=(None, verdict))
        )
    return lines


def _judged(run: RunLike, duel: Duel, pair: list[Printed | None]) -> Verdict:
    if None in pair:
        return missing("the paper has no such number")
    sign = pair[0].value - pair[1].value
    if sign == 0:
        return missing("the paper prints the same number for both")
    verdict = direction(duel.gap[1], duel.gap[2], paper_sign=1 if sign > 0 else -1)
    unlike = r.unlike_paper(run, duel.a.rows[duel.key[0]])
    judged = under(unlike, verdict)
    if judged.label is Label.NOT_COMPARABLE and judged.seen_words:
        return Verdict(judged.label, f"{judged.reason}; seen here: {judged.seen_words}")
    return judged
