"""Does the continuous U-Net converge faster, and need fewer steps? At equal effort of training.

Compared are trainings of one seed: same images in the same order, same noise, same first states of
the generated images. An interval over seeds alone (Student's t) does not decide: the comparisons of
a claim are a family, and the exact test of it has to agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.checked import Claim, Holds
from bench.named_options import options_of
from bench.report.finding import Finding, keys_of
from bench.report.names import printed
from bench.report.paired import Triple, paired_mean
from bench.report.rows import RunLike
from bench.report.sign_flips import LEVEL, holm, least_p, sign_flips
from bench.report.trainings import Effort, Trainings, efforts, trained, trainings

CHECK = "convergence"
NEAR = 0.05
"""A number of steps suffices where the distance is within so much, or one standard error, of the
network's own best."""
FASTER = {
    "updates": "Trained on the same images for as many updates, the continuous U-Net converges "
    "faster than the U-Net.",
    "multiply-adds": "Trained with as many multiply-adds, the continuous U-Net converges faster "
    "than the U-Net.",
    "wall-clock time": "Trained for as long, the continuous U-Net converges faster than the U-Net.",
}
FEWER = (
    "After training with equal {}, the continuous U-Net needs fewer sampling steps than the U-Net "
    "for images as good as its best."
)


@dataclass(frozen=True, slots=True)
class Gap:
    """A difference of two networks, cU-Net minus U-Net; less is better for the first."""

    label: str
    each: tuple[float, ...]
    """Of every seed."""
    triple: Triple
    p: float = 1.0
    p_family: float = 1.0
    p_holm: float = 1.0

    @property
    def direction(self) -> int:
        """-1 or 1 where it is decided, else 0."""
        _, low, high = self.triple
        if self.p_family > LEVEL or low <= 0 <= high:
            return 0
        return -1 if high < 0 else 1


@dataclass(frozen=True, slots=True)
class Compared:
    """Two networks after equal effort."""

    effort: Effort
    updates: tuple[float, float]
    """Of the U-Net and of the other."""
    gaps: tuple[Gap, ...]
    """Of the distance at every number of steps; last, of the logarithm of the held-out error."""
    needed: tuple[tuple[int, int], ...]
    """For every seed the steps that either needs."""
    fewer: Gap
    """Of the binary logarithm of those."""


def pair(found: Trainings) -> tuple[str, str] | None:
    """Return the U-Net and the cU-Net, whatever its options; None where the run has not both."""
    ours = next((name for name in found.networks if options_of(name)[0] == "cunet"), None)
    if ours is None or "unet" not in found.networks or len(found.seeds(("unet", ours))) < 2:
        return None
    return "unet", ours


def compared(run: RunLike) -> list[Compared]:
    """Return the comparisons, one for each measure of effort that reaches as far back."""
    found = trainings(run)
    names = pair(found) if found else None
    if found is None or names is None:
        return []
    made = [_compared(found, names, effort) for effort in efforts(run, names)]
    return _judged([one for one in made if one is not None])


def _compared(found: Trainings, names: tuple[str, str], effort: Effort) -> Compared | None:
    equal = effort.equal(names, found.most)
    looks = []
    for seed in found.seeds(names):
        base, ours = (found.networks[name][seed].at(equal[name]) for name in names)
        if base is None or ours is None:  # not looked at so early
            return None
        looks.append((base, ours))
    one, two = zip(*looks, strict=True)
    gaps = [
        _gap(f"{steps} steps", [look[0][k] for look in two], [look[0][k] for look in one])
        for k, steps in enumerate(found.steps)
    ]
    gaps.append(_gap("held-out error", [look[2] for look in two], [look[2] for look in one]))
    needed = tuple(
        (steps_needed(found.steps, *base[:2]), steps_needed(found.steps, *ours[:2]))
        for base, ours in looks
    )
    logs = [[math.log2(steps) for steps in column] for column in zip(*needed, strict=True)]
    updates = equal[names[0]], equal[names[1]]
    return Compared(effort, updates, tuple(gaps), needed, _gap("steps needed", logs[1], logs[0]))


Numbers = Sequence[float] | np.ndarray


def steps_needed(steps: Sequence[int], distances: Numbers, errors: Numbers) -> int:
    """Return the fewest steps whose distance is as good as a network's best, or nearly."""
    best = min(range(len(steps)), key=lambda k: distances[k])
    enough = distances[best] + max(NEAR * abs(distances[best]), errors[best])
    return next(step for step, value in zip(steps, distances, strict=True) if value <= enough)


def _gap(label: str, ours: Sequence[float], base: Sequence[float]) -> Gap:
    triple = paired_mean(ours, base)
    assert triple is not None  # two seeds or more
    return Gap(label, tuple(float(a - b) for a, b in zip(ours, base, strict=True)), triple)


def _judged(found: list[Compared]) -> list[Compared]:
    """Return the comparisons with their p: alone, among those of the same claim, and by Holm.

    Holm's is over all comparisons of the run, those of distances and errors apart from those of
    steps. It cannot fall below 5 % for as few trainings, and decides nothing.
    """
    far = holm([p for one in found for p in sign_flips([gap.each for gap in one.gaps])[0]])
    fewer = holm([sign_flips([one.fewer.each])[0][0] for one in found])
    return [
        replace(
            one,
            gaps=_with_p(one.gaps, far[k * len(one.gaps) : (k + 1) * len(one.gaps)]),
            fewer=_with_p([one.fewer], [fewer[k]])[0],
        )
        for k, one in enumerate(found)
    ]


def _with_p(gaps: Sequence[Gap], adjusted: Sequence[float]) -> tuple[Gap, ...]:
    alone, family = sign_flips([gap.each for gap in gaps])
    every = zip(gaps, alone, family, adjusted, strict=True)
    return tuple(replace(gap, p=a, p_family=f, p_holm=h) for gap, a, f, h in every)


# ------------------------------------------------------------------ findings


def converges(run: RunLike) -> list[Finding]:
    """Return what became of "converges faster" and "needs fewer steps", for each equal effort."""
    found, made = trainings(run), compared(run)
    names = pair(found) if found else None
    if found is None or names is None:
        return []
    claims = [read(found, names, one) for read in (_faster, _fewer) for one in made]
    keys = keys_of(*(rows[rows["backbone"].isin(names)] for rows in trained(run)))
    return [Finding(CHECK, claim, keys) for claim in claims]


def verdict(gaps: Sequence[Gap]) -> Holds:
    """Return what differences say of a claim that all are below 0."""
    signs = [gap.direction for gap in gaps]
    if all(sign < 0 for sign in signs):
        return Holds.YES
    if any(sign < 0 for sign in signs):
        return Holds.PARTLY
    return Holds.NO if any(sign > 0 for sign in signs) else Holds.OPEN


def _faster(found: Trainings, names: tuple[str, str], one: Compared) -> Claim:
    *far, error = one.gaps
    gaps = "; ".join(f"{gap.label} {_ranged(gap.triple)}" for gap in far)
    ratio = tuple(math.exp(end) for end in error.triple)
    text = (
        f"{_after(found, names, one)}, {found.distance_name}, cU-Net minus U-Net: {gaps} "
        f"(N = {found.n_generated} images, {found.n_real} real). Squared error of "
        f"{found.n_held_out} held-out images in one call: x{_ranged(ratio, 3)}. {_tests(one.gaps)}"
    )
    claim, numbers = FASTER[one.effort.name], _numbers(one.gaps)
    return Claim("Abstract; Sections 1 and 4.2", claim, verdict(one.gaps), text, numbers)


def _fewer(found: Trainings, names: tuple[str, str], one: Compared) -> Claim:
    ratio = tuple(2**end for end in one.fewer.triple)
    listed = [", ".join(map(str, column)) for column in zip(*one.needed, strict=True)]
    text = (
        f"{_after(found, names, one)}: steps to within 5 % or a standard error of a network's own "
        f"best {found.distance_name}, among {', '.join(map(str, found.steps))}: U-Net {listed[0]}, "
        f"cU-Net {listed[1]}; ratio x{_ranged(ratio, 3)}. {_tests([one.fewer])}"
    )
    claim = FEWER.format(one.effort.name)
    holds, numbers = verdict([one.fewer]), _numbers([one.fewer])
    return Claim("Section 4.2; Figure 3; Table 1", claim, holds, text, numbers)


def _after(found: Trainings, names: tuple[str, str], one: Compared) -> str:
    base, ours = (f"{updates:.0f}" for updates in one.updates)
    note = f" ({one.effort.note})" if one.effort.note else ""
    several = len(found.seeds(names))
    if base == ours:
        return f"After {base} updates of either{note}, {several} trainings each"
    return (
        f"After {base} updates of {printed(names[0])} and {ours} of {printed(names[1])}{note}, "
        f"{several} trainings each"
    )


def _tests(gaps: Sequence[Gap]) -> str:
    p, least = min(gap.p_family for gap in gaps), least_p(len(gaps[0].each))
    several = len(gaps[0].each)
    return (
        f"Intervals: 95 %, over trainings. Exact sign flips over them: p {p:.2g} at the least, and "
        f"{several} pairs cannot give less than {least:.2g}."
    )


def _ranged(triple: Sequence[float], digits: int = 2) -> str:
    value, low, high = (f"{end:.{digits}g}" for end in triple)
    return f"{value} ({low} to {high})"


def _numbers(gaps: Sequence[Gap]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for gap in gaps:
        value, low, high = gap.triple
        label = f"{gap.label}, cU-Net - U-Net"
        numbers |= {label: value, f"{label}, low": low, f"{label}, high": high}
        numbers |= {
            f"{gap.label}, p": gap.p,
            f"{gap.label}, p in the family": gap.p_family,
            f"{gap.label}, p by Holm": gap.p_holm,
        }
    return numbers
