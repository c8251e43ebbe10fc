"""The paper's claims about quality: steps and time to the best distance, and restoration."""

from collections.abc import Iterable
from dataclasses import replace

from bench.report import restoration as r
from bench.report import table4_pairs
from bench.report.comparison import Value
from bench.report.curves import Curve, curves, primary
from bench.report.evidence import NOTHING, Evidence, gathered, share, whole
from bench.report.latency import latency_of, time_of, timings
from bench.report.leaders import gap_over_blocks
from bench.report.names import PAPER_COLUMNS, PAPER_RECIPE, paper_column
from bench.report.paired import (
    Triple,
    side,
    worst_case,
    worst_ratio,
)
from bench.report.paper import Printed, lookup
from bench.report.rows import RunLike, listed, plural, text_of
from bench.report.table1 import unlike_paper
from bench.report.table2 import Restorations
from bench.report.table4 import blocks, methods
from bench.report.verdicts import (
    Label,
    Verdict,
    direction,
    known,
    magnitude,
    missing,
    overall,
    under,
)

NO_INTERVAL = "no interval of the difference"


def judged(gap: Triple | None, sign: int, unlike: str) -> Verdict:
    """Return the verdict on a difference; under other conditions, what was seen here."""
    if gap is None:
        return missing(NO_INTERVAL)
    return under(unlike, direction(gap[1], gap[2], paper_sign=sign))


def _paper_recipe(run: RunLike) -> list[Curve]:
    """Return the curves of the authors' recipe, or those of every other one where it is absent."""
    found = primary(run, curves(run))
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
    texts, verdicts, n, both = [], [], [], pairs(run)
    for pair in both:
        ours, base = (curve.best_steps for curve in pair)
        gap = pair[0].steps_beyond(pair[1]) or _ranged(ours, base)
        texts.append(f"{pair[0].dataset}: {ours.value:.0f} against {base.value:.0f} steps")
        verdicts.append(judged(gap, -1, unlike_paper(run, pair[0])))
        n.append(images(pair))
    return _on_all_data(both, gathered(texts, verdicts, n))


def _on_all_data(both: Iterable[tuple[Curve, Curve]], found: Evidence) -> Evidence:
    """Return what is known of a claim about all the paper's data sets: one can but refute it."""
    here = {paper_column(pair[0].dataset) for pair in both}
    absent = [column for column in PAPER_COLUMNS if column not in here]
    if not absent or found.verdict.label in (Label.CONTRADICTED, Label.NOT_COMPARABLE):
        return found
    reason = f"{' and '.join(absent)} not measured in this run"
    return replace(found, verdict=under(reason, found.verdict))


def _ranged(ours: Value, base: Value) -> Triple | None:
    """Return ours - base; None where either has no range."""
    if ours.low is None or base.low is None:
        return None
    return worst_case(ours.triple, base.triple)


MOST_TIME = 0.70
"""The claim is "about 30% less at the least": the cU-Net's share of the U-Net's time."""
LARGEST = Printed(0.80, "80%")
"""And "80% at the most": what it saves."""


def _times(run: RunLike) -> list[tuple[tuple[Curve, Curve], Value, Value]]:
    """Return the pairs with the time of an image to either's best, where both are known."""
    times, found = timings(run), []
    for pair in pairs(run):
        ours, base = (
            time_of(curve.best_calls, latency_of(times, curve.backbone, curve.best))
            for curve in pair
        )
        if ours.value is not None and base.value is not None:
            found.append((pair, ours, base))
    return found


def less_time(run: RunLike) -> Evidence:
    """Return how much less time a sample takes, split into fewer steps and faster steps."""
    texts, verdicts, n, timed = [], [], [], _times(run)
    for pair, ours, base in timed:
        steps = pair[0].best_steps.value / pair[1].best_steps.value
        time = ours.value / base.value
        ends = _quotient(ours, base)
        told = f"; the ranges of both: x{ends[1]:.2f} to x{ends[2]:.2f}" if ends else ""
        texts.append(
            f"{pair[0].dataset}: {abs(1 - time):.0%} {'less' if time < 1 else 'more'} time "
            f"(steps x{steps:.2f}, per step x{time / steps:.2f}{told})"
        )
        gap = less_than(MOST_TIME, ours, base)
        verdicts.append(judged(gap, -1, unlike_paper(run, pair[0])))
        n.append(images(pair))
    return _on_all_data((pair for pair, _, _ in timed), gathered(texts, verdicts, n))


def least_time(run: RunLike) -> Evidence:
    """Return how much less time a sample takes on the data set where it gains most."""
    found = _times(run)
    if not found:
        return NOTHING
    pair, ours, base = min(found, key=lambda one: one[1].value / one[2].value)
    less, unlike = 1 - ours.value / base.value, unlike_paper(run, pair[0])
    ends = _quotient(ours, base)
    if ends is None:
        verdict, text = missing("no interval of the ratio"), ""
    else:
        low, high = 1 - ends[2], 1 - ends[1]
        verdict = magnitude(LARGEST, less, low=low, high=high)
        if verdict.label is Label.REPRODUCED and low <= 0:
            verdict = Verdict(Label.TIE, f"the range reaches {LARGEST.text}, and nothing saved")
        text = f" (the ranges of steps and latency together: {low:.0%} to {high:.0%})"
    measured = f"{pair[0].dataset}: {less:z.0%} of the time saved{text}"
    judged_here = Evidence(measured, images(pair), under(unlike, verdict))
    return _on_all_data((pair for pair, _, _ in found), judged_here)


def less_than(share: float, ours: Value, base: Value) -> Triple | None:
    """Return ours / base - share; None where either has no range."""
    ratio = _quotient(ours, base)
    return None if ratio is None else tuple(end - share for end in ratio)


def _quotient(ours: Value, base: Value) -> Triple | None:
    """Return ours / base, between the ends of both ranges; None where either has none."""
    if ours.low is None or base.low is None:
        return None
    return worst_ratio(ours.triple, base.triple)


def restore_direction(run: RunLike, metrics: tuple[str, ...], what: str, sign: int) -> Evidence:
    """Return which network restores better, sooner or faster, over the noise levels.

    Args:
        run: The run.
        metrics: ssim, lpips or both, each of which counts.
        what: "value" (the best score), "steps" (to get there) or "time".
        sign: The paper's sign of cU-Net - U-Net.
    """
    all_ = Restorations(run)
    block = all_.blocks[0]
    found = r.best_of(all_.rows, block)
    texts, sides, n, unlike = [], [], set(), ""
    for metric, t in sorted({(m, t) for t, _, m in found if m in metrics}):
        ours, base = found.get((t, "cunet", metric)), found.get((t, "unet", metric))
        if ours is None or base is None:
            continue
        values, gap = _gap(all_, (ours, base), what)
        if values is None:
            continue
        unlike = r.unlike_paper(run, ours.row)
        n.add(plural(ours.value.n, "image") or "-")
        name = f"{r.METRICS[metric][0]}, " if len(metrics) > 1 else ""
        texts.append(f"{name}t={t}: {values[0]:.3g} against {values[1]:.3g}")
        if gap is not None:
            sides.append(side(gap, sign))
    return _shared(texts, sides, sorted(n), unlike)


def _gap(
    all_: Restorations, pair: tuple[r.Best, r.Best], what: str
) -> tuple[tuple[float, float] | None, Triple | None]:
    """Return the two values, and their difference with its interval."""
    if what == "value":
        a, b = (best.value for best in pair)
        gap = r.compared(*pair)
    elif what == "steps":
        a, b = (best.steps for best in pair)
        gap = _ranged(a, b)
    else:
        a, b = (all_.seconds(best) for best in pair)
        gap = _ranged(a, b)
    if a.value is None or b.value is None:
        return None, None
    return (a.value, b.value), gap


def best_at(run: RunLike, backbone: str, t: int, metrics: tuple[str, ...]) -> Evidence:
    """Return whether a network's restoration beats the paper's other methods at a level.

    One comparison for each of them and each metric, over the same images. It may lose to those
    that are there; that it beats all is not said before all are.
    """
    rows = [m for m in methods(run, blocks(run)[0]) if m.paper_row and not m.assumed]
    mine = next((m for m in rows if m.label == table4_pairs.diffusion_row(backbone)), None)
    if mine is None or not all(_has(mine, (t, metric)) for metric in metrics):
        return NOTHING
    texts, verdicts = [], []
    others = [m for m in rows if m is not mine]
    able = {m.paper_row for m in others if all(_has(m, (t, metric)) for metric in metrics)}
    absent = {row for row, *_ in lookup("table4")} - {mine.paper_row} - able
    for metric in metrics:
        name, largest, _ = r.METRICS[metric]
        key, sign = (t, metric), 1 if largest else -1
        there = [m for m in others if _has(m, key)]
        if not there:
            return NOTHING
        verdicts += [judged(table4_pairs.gap(mine, m, key), sign, "") for m in there]
        rival = (max if largest else min)(there, key=lambda m, k=key: m.scores[k].value)
        best = f"best of the paper's others {rival.scores[key].value:.3g} ({rival.label})"
        texts.append(f"{name} {mine.scores[key].value:.3g}, {best}")
    found, names = overall(verdicts), " and ".join(sorted(absent))
    if absent and found.label is not Label.CONTRADICTED:
        found = missing(f"{names} not measured in this run; its command does")
    n = plural(mine.scores[t, metrics[0]].n, "image") or "-"
    return Evidence("; ".join(texts), n, under(r.unlike_paper(run, mine.rows[t]), found))


def _has(method: table4_pairs.Method, key: table4_pairs.Key) -> bool:
    return key in method.scores and known(method.scores[key].value)


ABLATIONS = ("cunet-no-attention", "cunet-no-residual", "cunet-no-attention-no-residual")


def ablation(run: RunLike) -> Evidence:
    """Return whether samples are worse without attention, residual connections, or both."""
    table = {(c.dataset, c.recipe, c.backbone): c for c in _paper_recipe(run)}
    texts, sides, n, unlike, absent = [], [], [], "", {*ABLATIONS}
    for (dataset, recipe, backbone), curve in table.items():
        full = table.get((dataset, recipe, "cunet"))
        if backbone not in ABLATIONS or full is None:
            continue
        absent.discard(backbone)
        blocks = (listed(one.best["leave_one_out"]) for one in (curve, full))
        gap = gap_over_blocks(curve.value, full.value, tuple(blocks))
        texts.append(f"{backbone}: {curve.value.value:.3g} against {full.value.value:.3g}")
        n.append(plural(curve.value.n, "image") or "-")
        unlike = unlike_paper(run, curve)
        if gap is not None:
            sides.append(side(gap))
    return whole(_shared(texts, sides, n, unlike), absent)


def _shared(texts: list[str], sides: list[int], n: Iterable[str], unlike: str) -> Evidence:
    """Return the evidence of many comparisons, each decided by its own interval."""
    if not texts:
        return NOTHING
    words, of = "; ".join(texts), ", ".join(dict.fromkeys(n))
    if not sides:
        return Evidence(words, of, missing(NO_INTERVAL))
    agree, tie, opposite = (sides.count(sign) for sign in (1, 0, -1))
    told = f"{words}: {agree} as the paper says, {tie} tied, {opposite} the other way"
    return Evidence(told, of, under(unlike, share(agree, tie, opposite)))
