"""The paper's claims, each with what this run measured and a verdict."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from bench.report.claims_quality import (
    ablation,
    best_at,
    fewer_steps,
    less_time,
    restore_direction,
)
from bench.report.evidence import NOTHING, Evidence
from bench.report.latency import Latency, latency_of, peak_memory, timings
from bench.report.paired import paired_median, separate
from bench.report.paper import Printed, published
from bench.report.rows import RunLike, floating
from bench.report.table5 import TOLERANCE, costs
from bench.report.verdicts import Verdict, count, differences, direction, overall, under

PAIR = ("unet", "cunet")


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper and what became of it."""

    id: str
    section: str
    sentence: str
    measured: str
    n: str
    verdict: Verdict


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
    base, ours = (_cost(found, name, "parameters") for name in ("unet", "cunet"))
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

    Judged by both, the less favourable one first.
    """
    found = costs(run)
    sizes = {
        "peak of a call": _peaks(run),
        "checkpoint": {name: _cost(found, name, "checkpoint_mib") for name in PAIR},
    }
    there = {what: size for what, size in sizes.items() if None not in size.values()}
    if not there:
        return NOTHING
    texts, verdicts = [], {}
    for what, size in there.items():
        base, ours = (size[name] for name in PAIR)
        texts.append(f"{what} {ours:.1f} against {base:.1f} MiB")
        verdicts[what] = direction(ours - base, ours - base, paper_sign=-1)
    texts += [f"{what} not measured" for what in sizes if what not in there]
    reason = "; ".join(f"{what}: {verdict.label}" for what, verdict in verdicts.items())
    judged = replace(overall(list(verdicts.values())), reason=reason)
    return Evidence("; ".join(texts), "one call at full width, batch 1; files as written", judged)


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
    base, ours = (latency_of(times, name, like) for name in ("unet", "cunet"))
    if base is None or ours is None:
        return NOTHING
    gap = paired_median(ours.samples, base.samples) or separate(
        (ours.seconds, ours.low, ours.high), (base.seconds, base.low, base.high)
    )
    text = f"x{_ratio_of_times(ours, base):.2f} time per call "
    text += f"(medians {1e3 * ours.seconds:.3g} against {1e3 * base.seconds:.3g} ms; {ours.how})"
    unlike = differences(
        {
            "image size": (floating(like["image_size"]), 64.0),
            "width": (floating(like["scale"]), 1.0),
        }
    )
    verdict = under(unlike, direction(gap[1], gap[2], paper_sign=-1))
    return Evidence(text, f"{ours.repeats or '?'} repeats", verdict)


def _ratio_of_times(ours: Latency, base: Latency) -> float:
    """Return the ratio round by round where rounds are known, as the table of times does."""
    if ours.samples and len(ours.samples) == len(base.samples):
        return statistics.median(a / b for a, b in zip(ours.samples, base.samples, strict=True))
    return ours.seconds / base.seconds


CLAIMS: dict[str, Callable[[RunLike], Evidence]] = {
    "parameters-quarter": parameters_quarter,
    "flops-30": flops,
    "faster": faster,
    "fewer-steps": fewer_steps,
    "time-30": less_time,
    "lpips-cunet": lambda run: restore_direction(run, "lpips", "value", -1),
    "ssim-unet": lambda run: restore_direction(run, "ssim", "value", -1),
    "restore-fewer-steps": lambda run: restore_direction(run, "lpips", "steps", -1),
    "restore-faster": lambda run: restore_direction(run, "lpips", "time", -1),
    "low-noise-best": lambda run: best_at(run, "cunet", 50, ("ssim", "lpips")),
    "high-noise-ssim": lambda run: best_at(run, "unet", 400, ("ssim",)),
    "high-noise-lpips": lambda run: best_at(run, "cunet", 400, ("lpips",)),
    "parameters-4x": parameters_4x,
    "parameters-count": parameters_count,
    "memory-smaller": memory,
    "ablation": ablation,
}
"""Claim -> how it is judged, in the order of the report. `time-80` is part of `time-30`;
`similar-fid` gives no number that could be judged."""
HEADLINE = ("parameters-quarter", "flops-30", "faster", "fewer-steps", "time-30", "lpips-cunet")


def claims(run: RunLike) -> list[Claim]:
    """Return the paper's claims with their verdicts, the headlines first."""
    words = published("claims").set_index("id")
    found = []
    for name, judge in CLAIMS.items():
        evidence = judge(run)
        found.append(
            Claim(
                name,
                words.loc[name, "section"],
                words.loc[name, "sentence"],
                evidence.measured,
                evidence.n,
                evidence.verdict,
            )
        )
    return found
