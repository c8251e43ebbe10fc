"""The paper's claims about quality: steps and time to the best distance, and restoration."""

from bench.report import restoration as r
from bench.report.comparison import Value
from bench.report.curves import Curve, curves, primary
from bench.report.evidence import NOTHING, Evidence, gathered
from bench.report.latency import Latency, latency_of, timings
from bench.report.names import PAPER_RECIPE
from bench.report.paired import (
    Triple,
    paired_jackknife,
    paired_mean,
    separate,
    worst_case,
    worst_ratio,
)
from bench.report.paper import Printed
from bench.report.rows import RunLike, listed, plural, text_of
from bench.report.table1 import unlike_paper
from bench.report.table2 import Restorations
from bench.report.table4 import blocks, methods
from bench.report.table4_pairs import diffusion_row
from bench.report.verdicts import Verdict, direction, magnitude, missing, under


def judged(gap: Triple | None, sign: int, unlike: str) -> Verdict:
    """Return the verdict on a difference; under other conditions, what was seen here."""
    if gap is None:
        return missing("no interval of the difference")
    return under(unlike, direction(gap[1], gap[2], paper_sign=sign))


def _paper_recipe(run: RunLike) -> list[Curve]:
    """Return the curves of the authors' recipe, or those of every other one where it is absent."""
    found = primary(curves(run))
    same = [c for c in found if (text_of(c.best["recipe"]) or PAPER_RECIPE) == PAPER_RECIPE]
    return same or found


def pairs(run: RunLike) -> list[tuple[Curve, Curve]]:
    """Return the curves of (cU-Net, U-Net) on each data set and recipe."""
    table = {(c.dataset, c.recipe, c.backbone): c for c in _paper_recipe(run)}
    return [
        (table[dataset, recipe, "cunet"], table[dataset, recipe, "unet"])
        for dataset, recipe, backbone in table
        if backbone == "cunet" and (dataset, recipe, "unet") in table
    ]


def images(pair: tuple[Curve, Curve]) -> str:
    """Return how many images a pair of curves is of, in words."""
    return plural(pair[0].value.n, "image") or "-"


def fewer_steps(run: RunLike) -> Evidence:
    """Return whether the cU-Net's best distance comes at fewer sampling steps."""
    texts, verdicts, n = [], [], []
    for pair in pairs(run):
        ours, base = (curve.best_steps for curve in pair)
        gap = pair[0].steps_beyond(pair[1]) or _ranged(ours, base)
        texts.append(f"{pair[0].dataset}: {ours.value:.0f} against {base.value:.0f} steps")
        verdicts.append(judged(gap, -1, unlike_paper(run, pair[0])))
        n.append(images(pair))
    return gathered(texts, verdicts, n)


def _ranged(ours: Value, base: Value) -> Triple | None:
    """Return ours - base; None where either has no range."""
    if ours.low is None or base.low is None:
        return None
    return worst_case(ours.triple, base.triple)


def time_of(steps: Value, latency: Latency | None, *, stride: int = 1) -> Value:
    """Return steps x latency of a step; its ends are those of both ranges together.

    Without a range of the steps there is none of the time.
    """
    if latency is None or steps.value is None:
        return Value(None)
    middle = steps.value * latency.seconds / stride
    if steps.low is None or steps.high is None:
        return Value(middle, n=latency.repeats)
    low = steps.low * max(latency.low, 0.0) / stride
    return Value(middle, low, steps.high * latency.high / stride, latency.repeats)


MOST_TIME = 0.70
"""The claim is "about 30% less at the least": the cU-Net's share of the U-Net's time."""
LARGEST = Printed(0.80, "80%")
"""And "80% at the most": what it saves."""


def _times(run: RunLike) -> list[tuple[tuple[Curve, Curve], Value, Value]]:
    """Return the pairs with the time of an image to either's best, where both are known."""
    times, found = timings(run), []
    for pair in pairs(run):
        ours, base = (
            time_of(curve.best_steps, latency_of(times, curve.backbone, curve.best))
            for curve in pair
        )
        if ours.value is not None and base.value is not None:
            found.append((pair, ours, base))
    return found


def less_time(run: RunLike) -> Evidence:
    """Return how much less time a sample takes, split into fewer steps and faster steps."""
    texts, verdicts, n = [], [], []
    for pair, ours, base in _times(run):
        steps = pair[0].best_steps.value / pair[1].best_steps.value
        time = ours.value / base.value
        texts.append(
            f"{pair[0].dataset}: {abs(1 - time):.0%} {'less' if time < 1 else 'more'} time "
            f"(steps x{steps:.2f}, per step x{time / steps:.2f})"
        )
        gap = less_than(MOST_TIME, ours, base)
        verdicts.append(judged(gap, -1, unlike_paper(run, pair[0])))
        n.append(images(pair))
    return gathered(texts, verdicts, n)


def least_time(run: RunLike) -> Evidence:
    """Return how much less time a sample takes on the data set where it gains most."""
    found = _times(run)
    if not found:
        return NOTHING
    pair, ours, base = min(found, key=lambda one: one[1].value / one[2].value)
    less, unlike = 1 - ours.value / base.value, unlike_paper(run, pair[0])
    ends = worst_ratio(ours.triple, base.triple) if ours.low and base.low else None
    if ends is None:
        verdict, text = missing("no interval of the ratio"), ""
    else:
        low, high = 1 - ends[2], 1 - ends[1]
        verdict = magnitude(LARGEST, less, low=low, high=high)
        text = f" (95 %: {low:.0%} to {high:.0%})"
    measured = f"{pair[0].dataset}: {less:.0%} of the time saved{text}"
    return Evidence(measured, images(pair), under(unlike, verdict))


def less_than(share: float, ours: Value, base: Value) -> Triple | None:
    """Return ours / base - share; None where either has no range."""
    if ours.low is None or base.low is None:
        return None
    ratio = worst_ratio(ours.triple, base.triple)
    return None if ratio is None else tuple(end - share for end in ratio)


def restore_direction(run: RunLike, metric: str, what: str, sign: int) -> Evidence:
    """Return which network restores better, sooner or faster, over the noise levels.

    Args:
        run: The run.
        metric: ssim or lpips.
        what: "value" (the best score), "steps" (to get there) or "time".
        sign: The paper's sign of cU-Net - U-Net.
    """
    all_ = Restorations(run)
    block = all_.blocks[0]
    found = r.best_of(all_.rows, block)
    texts, verdicts, n = [], [], set()
    for t in sorted({t for t, _, m in found if m == metric}):
        ours, base = found.get((t, "cunet", metric)), found.get((t, "unet", metric))
        if ours is None or base is None:
            continue
        values, gap = _gap(all_, (ours, base), what)
        verdicts.append(judged(gap, sign, r.unlike_paper(run, ours.row)))
        n.add(plural(ours.value.n, "image") or "-")
        if values is not None:
            texts.append(f"t={t}: {values[0]:.3g} against {values[1]:.3g}")
    return gathered(texts, verdicts, sorted(n))


def _gap(
    all_: Restorations, pair: tuple[r.Best, r.Best], what: str
) -> tuple[tuple[float, float] | None, Triple | None]:
    """Return the two values, and their difference with its interval."""
    if what == "value":
        a, b = (best.value for best in pair)
        images = (listed(best.row["per_image"]) for best in pair)
        gap = paired_mean(*images) or separate(a.ranged, b.ranged)
    elif what == "steps":
        a, b = (best.steps for best in pair)
        gap = _ranged(a, b)
    else:
        a, b = (time_of(best.steps, all_.latency(best), stride=best.stride) for best in pair)
        gap = _ranged(a, b)
    if a.value is None or b.value is None:
        return None, None
    return (a.value, b.value), gap


def best_at(run: RunLike, backbone: str, t: int, metrics: tuple[str, ...]) -> Evidence:
    """Return whether a network's restoration beats every other method of Table 4 at a level."""
    block = blocks(run)[0]
    found = methods(run, block)
    mine = next((m for m in found if m.label == diffusion_row(backbone)), None)
    if mine is None or not all((t, metric) in mine.scores for metric in metrics):
        return NOTHING
    unlike = r.unlike_paper(run, mine.rows[t])
    texts, verdicts = [], []
    for metric in metrics:
        _, largest, _ = r.METRICS[metric]
        ours = mine.scores[t, metric]
        others = [m for m in found if m is not mine and (t, metric) in m.scores]
        others = [m for m in others if m.paper_row and m.scores[t, metric].triple]
        if not others:
            continue
        pick = max if largest else min
        rival = pick(others, key=lambda m, k=(t, metric): m.scores[k].value)
        gap = separate(ours.ranged, rival.scores[t, metric].ranged)
        verdicts.append(judged(gap, 1 if largest else -1, unlike))
        name = r.METRICS[metric][0]
        texts.append(
            f"{name} {ours.value:.3g}, best other {rival.scores[t, metric].value:.3g} "
            f"({rival.label})"
        )
    return gathered(texts, verdicts, [plural(mine.scores[t, metrics[0]].n, "image") or "-"])


ABLATIONS = ("cunet-no-attention", "cunet-no-residual", "cunet-no-attention-no-residual")


def ablation(run: RunLike) -> Evidence:
    """Return whether samples are worse without attention or residual connections."""
    table = {(c.dataset, c.recipe, c.backbone): c for c in _paper_recipe(run)}
    texts, verdicts, n = [], [], []
    for (dataset, recipe, backbone), curve in table.items():
        full = table.get((dataset, recipe, "cunet"))
        if backbone not in ABLATIONS or full is None:
            continue
        rows = curve.best, full.best
        gap = paired_jackknife(
            (curve.value.value, full.value.value),
            *(listed(row["leave_one_out"]) for row in rows),
        ) or separate(curve.value.ranged, full.value.ranged)
        texts.append(f"{backbone}: {curve.value.value:.3g} against {full.value.value:.3g}")
        verdicts.append(judged(gap, 1, unlike_paper(run, curve)))
        n.append(plural(curve.value.n, "image") or "-")
    return gathered(texts, verdicts, n)
