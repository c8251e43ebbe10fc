"""The paper's claims about generated images: as good, with other techniques too, and by whom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.cell import UNIFORM
from bench.named_options import options_of
from bench.report.claims_quality import images, pairs
from bench.report.comparison import Value
from bench.report.curves import Curve, distance_name, kernel_name
from bench.report.engines import Run, runs
from bench.report.evidence import NOTHING, Evidence, gathered
from bench.report.generated import completed
from bench.report.names import printed, sampler_name
from bench.report.paired import LEFT_OUT, Triple, paired_jackknife, paired_mean, worst_ratio
from bench.report.paper import lookup
from bench.report.rows import (
    RunLike,
    budget_measured,
    floating,
    integer,
    listed,
    ok,
    plural,
    settings,
)
from bench.report.sign_flips import LEVEL, sign_flips
from bench.report.table1 import unlike_paper
from bench.report.trainings import Training, Trainings, trainings
from bench.report.verdicts import Label, Verdict, difference, differences, direction, missing, under
from bench.report.ways import BLOCKS, Tried, leading, tried
from bench.statistics import Jackknife, t_quantile

NO_GPU = (
    "no timing on a GPU in this run; on a machine with one: python -m bench run speed --device cuda"
)


def exp(ends: Sequence[float]) -> Triple:
    """Return a ratio from its logarithm with its interval."""
    value, low, high = map(math.exp, ends)
    return value, low, high


def similar_at_most() -> float:
    """Return the largest factor between two distances that the paper calls similar: its own."""
    paper = lookup("table1")
    data = {column for _, column, metric in paper if metric == "fid"}
    logs = [
        math.log(paper["cU-Net", one, "fid"].value / paper["U-Net", one, "fid"].value)
        for one in data
    ]
    return math.exp(max(map(abs, logs)))


def similar(run: RunLike) -> Evidence:
    """Return whether the best distances are as near to each other as those of Table 1."""
    texts, verdicts, n, most = [], [], [], similar_at_most()
    for pair in pairs(run):
        ratio = _ratio(pair)
        if ratio is None:
            continue
        value, low, high = ratio
        text = f"{pair[0].dataset}: x{value:.3g} (95 %: {low:.3g} to {high:.3g})"
        texts.append(f"{text}{_by_kernel(pair)}")
        verdicts.append(under(unlike_paper(run, pair[0]), _within(ratio, most)))
        n.append(images(pair))
    return gathered(texts, verdicts, n)


def _ratio(pair: tuple[Curve, Curve]) -> Triple | None:
    """Return the best distance of the first / of the second, over the same blocks of images."""
    cells = [listed(curve.best["leave_one_out"]) for curve in pair]
    values = [float(curve.best["frechet"]) for curve in pair]
    if all(value > 0 for value in [*values, *cells[0], *cells[1]]):
        logs = [[math.log(value) for value in cell] for cell in cells]
        gap = paired_jackknife((math.log(values[0]), math.log(values[1])), *logs)
        if gap is not None:
            return exp(gap)
    if any(curve.value.low is None for curve in pair):
        return None
    return worst_ratio(*(curve.value.triple for curve in pair))


def _by_kernel(pair: tuple[Curve, Curve]) -> str:
    """Return what the kernel distance says beside it, where the images are so few that it leads."""
    mine, base = (floating(curve.best["kid"]) for curve in pair)
    if not any(curve.small_sample for curve in pair) or mine is None or not base or base < 0:
        return ""
    return f"; the kernel distance, which leads with so few images, x{mine / base:.3g}"


def _within(ratio: Triple, most: float) -> Verdict:
    """Judge "similar": the whole interval within the paper's own factor, or outside of it."""
    _, low, high = ratio
    told = f"x{1 / most:.2f} to x{most:.2f}, as far apart as the paper's own"
    if 1 / most <= low and high <= most:
        return Verdict(Label.REPRODUCED, f"the interval lies within {told}")
    if high < 1 / most or low > most:
        return Verdict(Label.CONTRADICTED, f"the interval lies outside {told}")
    return Verdict(Label.TIE, f"the interval is not on one side of {told}")


# ------------------------------------------------------------------ with other techniques


@dataclass(frozen=True, slots=True)
class Gain:
    """A technique beside the recipe's own sampler, which makes as many network calls or more."""

    way: Tried
    base: Tried
    gap: Triple
    """Distance with it - without, with a simultaneous 95 % interval."""


def compatible(run: RunLike) -> Evidence:
    """Return whether a technique improves the cU-Net's images at equal calls.

    Intervals are simultaneous over all techniques that were tried (Bonferroni), for the best one
    of many is good by chance alone.
    """
    texts, verdicts, n = [], [], []
    for (dataset, _, features), found in tried(run).items():
        metric = leading(found)
        gains = _gains(run, [one for one in found if one.backbone == "cunet"], metric)
        if not gains:
            continue
        best = min(gains, key=lambda one: one.gap[2])
        name = (kernel_name if metric == "kid" else distance_name)(features)
        value, low, high = best.gap
        better = sum(one.gap[2] < 0 for one in gains)
        texts.append(
            f"{dataset}: {better} of {len(gains)} comparisons gain beyond doubt; {best.way.name} "
            f"against {best.base.name}, {best.way.calls} against {best.base.calls} calls: {name} "
            f"{value:+.3g} ({low:+.3g} to {high:+.3g})"
        )
        verdicts.append(_gained(gains))
        n.append(plural(best.way.distance(metric).n, "image") or "-")
    unlike = differences({"budget": (budget_measured(run), "paper")})
    return gathered(texts, [under(unlike, verdict) for verdict in verdicts], n)


def _gained(gains: Sequence[Gain]) -> Verdict:
    many = f"{len(gains)} simultaneous 95 % intervals of the difference"
    if any(one.gap[2] < 0 for one in gains):
        return Verdict(Label.REPRODUCED, f"{many}: at least one lies below 0")
    if all(one.gap[1] > 0 for one in gains):
        return Verdict(Label.CONTRADICTED, f"{many}: all lie above 0")
    return Verdict(Label.TIE, f"{many}: none lies below 0")


def _gains(run: RunLike, found: Sequence[Tried], metric: str) -> list[Gain]:
    """Return each technique against the recipe's sampler with as many calls, or a few more."""
    usual = _usual(run)
    plain = {one.calls: one for one in found if one.name == usual and one.calls is not None}
    others = [one for one in found if one.name != usual and not one.leaks]
    met = []
    for one in others:
        enough = [calls for calls in plain if one.calls is not None and calls >= one.calls]
        if enough:
            met.append((one, plain[min(enough)]))
    gaps = [(*both, _gap(*both, metric=metric, family=len(met))) for both in met]
    return [Gain(one, base, gap) for one, base, gap in gaps if gap is not None]


def _usual(run: RunLike) -> str:
    """Return the recipe's sampler as the tables call it: as Table 1 does, where it is there."""
    rows = completed(ok(run, "frechet", ("sampler", "spacing")).dropna(subset=["sampler"]))
    if len(rows):
        return sampler_name(*rows.iloc[0][["sampler", "spacing"]].map(str))
    asked = str((settings(run).get("generation") or {}).get("sampler", "ddim"))
    spacing = str(options_of(asked)[1].get("spacing", UNIFORM))
    return sampler_name(asked.replace(f"+spacing={spacing}", ""), spacing)


def _gap(one: Tried, base: Tried, *, metric: str, family: int) -> Triple | None:
    """Return a difference of distances over the same blocks, with its simultaneous interval."""
    cells = [listed(side.row[LEFT_OUT[metric]]) for side in (one, base)]
    a, b = (side.distance(metric) for side in (one, base))
    if a.value is None or b.value is None:
        return None
    if len(cells[0]) == len(cells[1]) > 1:
        gap = Jackknife(a.value, tuple(cells[0])) - Jackknife(b.value, tuple(cells[1]))
        ends = gap.interval(1 - 0.05 / family)
        return ends.value, ends.low, ends.high
    mine, theirs = a.ranged, b.ranged
    if mine is None or theirs is None:
        return None
    value, low, high = difference(mine, theirs)
    wider = t_quantile(BLOCKS - 1, 1 - 0.05 / family) / t_quantile(BLOCKS - 1)
    return value, value + wider * (low - value), value + wider * (high - value)


# ------------------------------------------------------------------ solvers on a GPU


def gpu_solvers(run: RunLike) -> Evidence:
    """Return how much time torchdiffeq takes on a GPU beside our own solver of the same blocks.

    On a processor the same comparison decides nothing about GPUs, and says so.
    """
    found = [one for one in runs(run) if not one.is_foreign and one.engine == "eager"]
    beside = [(one, _foreign(one, runs(run))) for one in found]
    known = [(one, value) for one, value in beside if value.value is not None]
    on_gpu = [both for both in known if str(both[0].row["device"]).startswith("cuda")]
    if not known:
        return Evidence("-", "-", missing(NO_GPU))
    texts, verdicts = [], []
    for one, value in on_gpu or known:
        ends = f" (95 %: {value.low:.3g} to {value.high:.3g})" if value.low and value.high else ""
        texts.append(
            f"{printed(one.backbone)}, {one.row['device']}, batch {one.batch}: torchdiffeq takes "
            f"x{value.value:.3g} of our solver's time{ends}{_used(one)}"
        )
        bounds = (value.low - 1, value.high - 1) if value.low and value.high else (None, None)
        verdicts.append(under("" if on_gpu else NO_GPU, direction(*bounds, paper_sign=1)))
    n = [f"{integer(one.row['repeats']) or '?'} rounds" for one, _ in on_gpu or known]
    return gathered(texts, verdicts, n)


def _foreign(one: Run, found: Sequence[Run]) -> Value:
    """Return torchdiffeq's time / ours, where the two took turns."""
    other = next(
        (
            o
            for o in found
            if o.is_foreign and (o.row["key"], o.backbone) == (one.row["key"], one.backbone)
        ),
        None,
    )
    return one.times_as_fast_as(other)


def _used(one: Run) -> str:
    if one.reached is None or one.reached.share is None:
        return ""
    return f", which reaches {one.reached.share:.0%} of the machine's ceiling"


# ------------------------------------------------------------------ better denoisers


def better_denoiser(run: RunLike) -> Evidence:
    """Return whether a network that denoises better needs fewer steps for images as good.

    Compared is each training with itself, early against late: the same network, once as the worse
    and once as the better denoiser. Networks are judged apart, as their trainings are not draws of
    one thing.
    """
    found = trainings(run)
    if found is None:
        return NOTHING
    several = {name: list(each.values()) for name, each in found.networks.items() if len(each) > 1}
    if not several:
        return NOTHING
    judged = [_speed_up(found, name, each) for name, each in several.items()]
    texts, verdicts, n = zip(*judged, strict=True)
    unlike = differences({"budget": (budget_measured(run), "paper")})
    return gathered(texts, [under(unlike, verdict) for verdict in verdicts], n)


def _speed_up(found: Trainings, name: str, each: Sequence[Training]) -> tuple[str, Verdict, str]:
    """Return what a network's trainings say in words, their verdict, and how many they are.

    Steps come from a few that were tried, so that their logarithms are neither normal nor free to
    vary: the verdict is that of flipped signs, which assume neither.
    """
    errors = [float(one.error[-1]) - one.error_at(one.snapshots[0]) for one in each]
    fewer = [_steps_saved(found, one) for one in each]
    error, steps = (paired_mean(gaps, [0.0] * len(gaps)) for gaps in (errors, fewer))
    assert error is not None and steps is not None  # two trainings or more
    told = ["x{:.3g} (95 %: {:.3g} to {:.3g})".format(*exp(ends)) for ends in (error, steps)]
    if len(set(fewer)) == 1:
        told[1] = f"x{math.exp(fewer[0]):.3g} in every one"
    p = sign_flips([fewer])[0][0]
    text = (
        f"{printed(name)}: squared error of one call {told[0]}, steps to the early network's best "
        f"{told[1]}, p = {p:.2g} by flipped signs"
    )
    verdict = direction(*steps[1:], paper_sign=-1)
    if p > LEVEL:
        verdict = Verdict(Label.TIE, f"p = {p:.2g} by flipped signs of {len(each)} trainings")
    if error[2] >= 0:
        verdict = missing("the trainings did not make better denoisers")
    return text, verdict, f"{len(each)} trainings of each network, late / early"


def _steps_saved(found: Trainings, one: Training) -> float:
    """Return log(steps late / early) to the best distance of the early network.

    One that never gets there counts as twice the most steps.
    """
    early, late = one.distance[0], one.distance[-1]
    first = int(early.argmin())
    enough = (s for s, value in zip(found.steps, late, strict=True) if value <= early[first])
    return math.log(next(enough, 2 * found.steps[-1]) / found.steps[first])
