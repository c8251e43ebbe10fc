"""The paper's claims about cost: parameters, multiply-adds, memory, time of a call."""

import math
from dataclasses import replace

import pandas as pd

from bench.report.evidence import NOTHING, Evidence
from bench.report.latency import Latency, latency_of, peak_memory, timings
from bench.report.names import PAIR
from bench.report.paired import Triple, paired_median, worst_ratio
from bench.report.paper import Printed
from bench.report.rows import RunLike, floating
from bench.report.table5 import TOLERANCE, costs
from bench.report.verdicts import (
    Label,
    Verdict,
    count,
    differences,
    direction,
    missing,
    overall,
    under,
)

PEAK = "peak of a call"
NEAR, NEAR_MIB = 0.1, 5.0
"""How far two readings of one network's memory may lie apart: between runs nearly 10 %."""


def _ratio(
    run: RunLike, column: str, printed: Printed, *, backbones: tuple[str, ...], cause: str = ""
) -> Evidence:
    """Return the evidence on a cost of the cU-Net against the U-Net, full width."""
    found = costs(run)
    base = _cost(found, "unet", column)
    texts, verdict = [], None
    for backbone in backbones:
        ours = _cost(found, backbone, column)
        if base is None or ours is None:
            continue
        texts.append(f"{ours / base:.1%} ({backbone})")
        verdict = verdict or count(printed, ours / base, tolerance=TOLERANCE, cause=cause)
    if verdict is None:
        return NOTHING
    return Evidence("; ".join(texts), "counted, 3x64x64", verdict)


def _cost(found: dict[str, pd.Series], backbone: str, column: str) -> float | None:
    return floating(found[backbone][column]) if backbone in found else None


def parameters_quarter(run: RunLike) -> Evidence:
    """A quarter of the parameters."""
    return _ratio(run, "parameters", Printed(0.25, "0.25"), backbones=("cunet", "cunet-released"))


def parameters_4x(run: RunLike) -> Evidence:
    """Four times fewer parameters: the same ratio, turned around."""
    found = costs(run)
    base, ours = (_cost(found, name, "parameters") for name in PAIR)
    if base is None or ours is None:
        return NOTHING
    verdict = count(Printed(4, "4"), base / ours, tolerance=TOLERANCE)
    return Evidence(f"{base / ours:.2f} times fewer (cunet)", "counted, 3x64x64", verdict)


def parameters_count(run: RunLike) -> Evidence:
    """8.8 million parameters."""
    ours = _cost(costs(run), "cunet-released", "parameters")
    if ours is None:
        return NOTHING
    verdict = count(Printed(8.8e6, "8.8M"), ours, tolerance=0.0)
    return Evidence(f"{ours:,.0f} (cunet-released)", "counted, 3x64x64", verdict)


def flops(run: RunLike) -> Evidence:
    """30 % of the FLOPs."""
    return _ratio(
        run,
        "gmacs_authors",
        Printed(0.30, "0.30"),
        backbones=("cunet", "cunet-released-a5"),
        cause="the paper's own Table 5 gives 2.90 / 7.21 = 40.2 %",
    )


def memory(run: RunLike) -> Evidence:
    """A smaller memory footprint: the peak of a call, and Table 5's reading, a checkpoint's size.

    Judged by both, the less favourable one first: a file alone tells nothing of a running network.
    """
    found = costs(run)
    sizes = {
        PEAK: _peaks(run),
        "checkpoint": {name: _cost(found, name, "checkpoint_mib") for name in PAIR},
    }
    there = {what: size for what, size in sizes.items() if None not in size.values()}
    if not there:
        return NOTHING
    texts, verdicts = [], {}
    for what, size in there.items():
        base, ours = (size[name] for name in PAIR)
        texts.append(f"{what} {ours:.1f} against {base:.1f} MiB")
        verdicts[what] = smaller(ours, base, read=what == PEAK)
    texts += [f"{what} not measured" for what in sizes if what not in there]
    reason = "; ".join(f"{what}: {verdict.label}" for what, verdict in verdicts.items())
    judged = replace(overall(list(verdicts.values())), reason=reason)
    if len(there) < len(sizes) and judged.label is Label.REPRODUCED:
        judged = missing(f"{reason}; {texts[-1]} in this run; its command does")
    return Evidence("; ".join(texts), "one call at full width, batch 1; files as written", judged)


def smaller(ours: float, base: float, *, read: bool) -> Verdict:
    """Judge whether one size is below another; what is read off a process has an error."""
    if read and abs(ours - base) <= max(NEAR_MIB, NEAR * min(ours, base)):
        return Verdict(Label.TIE, "as near as two readings of one network may be")
    return direction(ours - base, ours - base, paper_sign=-1)


def _peaks(run: RunLike) -> dict[str, float | None]:
    """Return the MiB of a call at full width by network; None where only a bound is known."""
    times = timings(run)
    times = times[(times["scale"] == 1.0) & (times["image_size"] == 64)]
    found: dict[str, float | None] = dict.fromkeys(PAIR)
    for _, row in times[times["backbone"].isin(PAIR)].iterrows():
        size, is_bound = peak_memory(row)
        found[str(row["backbone"])] = None if is_bound else size
    return found


def faster(run: RunLike) -> Evidence:
    """Faster per network call: latency of the pair, at full width where that was timed."""
    times = timings(run)
    full = times[(times["scale"] == 1.0) & (times["image_size"] == 64)]
    row = (full if set(full["backbone"]) >= {"unet", "cunet"} else times).head(1)
    if row.empty:
        return NOTHING
    like = row.iloc[0]
    base, ours = (latency_of(times, name, like) for name in PAIR)
    if base is None or ours is None:
        return NOTHING
    ratio = ratio_of_times(ours, base)
    if ratio is None:
        return NOTHING
    value, low, high = ratio
    text = f"x{value:.2f} time per call (95 %: {low:.3g} to {high:.3g}; "
    text += f"medians {1e3 * ours.seconds:.3g} against {1e3 * base.seconds:.3g} ms; {ours.how})"
    unlike = differences(
        {
            "image size": (floating(like["image_size"]), 64.0),
            "width": (floating(like["scale"]), 1.0),
        }
    )
    verdict = under(unlike, direction(low - 1, high - 1, paper_sign=-1))
    return Evidence(text, f"{ours.repeats or '?'} repeats", verdict)


def ratio_of_times(ours: Latency, base: Latency) -> Triple | None:
    """Return the ratio with its 95 % interval: over rounds where known, as the table of times does.

    The median of the rounds' ratios, whose interval is made of its order statistics; else of the
    two medians, between the ends that lie farthest apart.
    """
    sides = [[math.log(time) for time in side.samples if time > 0] for side in (ours, base)]
    logs = paired_median(*sides)
    if logs is not None:
        value, low, high = map(math.exp, logs)
        return value, low, high
    return worst_ratio((ours.seconds, ours.low, ours.high), (base.seconds, base.low, base.high))
