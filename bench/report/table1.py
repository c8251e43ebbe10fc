"""Table 1: image synthesis - best distance, the steps it takes, and the time of a sample."""

from dataclasses import replace

import pandas as pd

from bench.report import comparison as c
from bench.report.curves import Curve, curves, distance_name, kernel_name, primary
from bench.report.latency import latency_of, time_of, timings
from bench.report.names import NETWORK_NOTE, PAIR, PAPER_RECIPE, paper_column, printed
from bench.report.paper import lookup
from bench.report.rows import (
    RunLike,
    budget_measured,
    counted,
    data_words,
    fault_notes,
    floating,
    integer,
    listed,
    ok,
    text_of,
)
from bench.report.table1_layout import NAME, Measured, groups, table1_layout
from bench.report.training import unequal_notes
from bench.report.verdicts import differences, magnitude, missing, not_comparable
from bench.statistics import t_quantile

READS = ("train", "sample", "features", "frechet", "latency")
"""Tasks whose faults explain a gap in this table."""
PAPER_IMAGES = 30_000
BLOCKS = 8
"""Jackknife blocks behind a KID's standard error where a row does not tell."""


def measure(curve: Curve, times: pd.DataFrame) -> Measured:
    """Return a curve with its time per sample: network calls x latency of the same network."""
    latency = latency_of(times, curve.backbone, curve.best)
    if latency is None:
        return Measured(curve, c.Value(None), "no timing of this network")
    time = replace(time_of(curve.best_calls, latency), keys=(*curve.value.keys, latency.key))
    return Measured(curve, time, f"network calls x latency of one call ({latency.how})")


def unlike_paper(run: RunLike, curve: Curve) -> str:
    """Return where the conditions of a distance differ from the paper's; "" where nowhere."""
    column = paper_column(curve.dataset)
    conditions = {
        "budget": (budget_measured(run), "paper"),
        "data": (data_words(run, curve.dataset), column),
        "recipe": (text_of(curve.best["recipe"]) or PAPER_RECIPE, PAPER_RECIPE),
        "generated images": (integer(curve.best["n_generated"]), PAPER_IMAGES),
        "features": (curve.features, "inception"),
    }
    if integer(curve.best["image_size"]) is not None:
        conditions["image size"] = (integer(curve.best["image_size"]), 64)
    return differences(conditions)


def _lines(run: RunLike, found: Measured, main: set[str]) -> list[c.Line]:
    """Return the tidy lines of one network on one data set."""
    curve, printed_numbers = found.curve, lookup(NAME)
    column, row = paper_column(curve.dataset), printed(curve.backbone)
    key = data_words(run, curve.dataset)
    place = c.Place(NAME, row, key, curve.protocol)
    unlike = unlike_paper(run, curve)
    name = distance_name(curve.features)

    def judged(metric: str, value: c.Value) -> tuple:
        paper = printed_numbers.get((row, column or "", metric))
        if paper is None:
            return None, None
        if value.value is None:
            return paper, missing(found.how)
        if metric == "time":
            reason = "seconds of another machine" + (f"; {unlike}" if unlike else "")
            return paper, not_comparable(reason, paper.value, value.value)
        if unlike:
            return paper, not_comparable(unlike, paper.value, value.value)
        return paper, magnitude(paper, value.value, low=value.low, high=value.high)

    steps = curve.best_steps
    timed = c.Place(NAME, row, key, f"{curve.protocol}; {found.how}")
    beside = (None, None)  # the paper's number is judged once, by the features of the table
    against = judged("fid", curve.value) if curve.features in main else beside
    first = [c.line(run, place, (name, "1"), ours=curve.value, judged=against)]
    if curve.features in main:
        first += [
            c.line(run, place, ("steps", "steps"), ours=steps, judged=judged("steps", steps)),
            c.line(run, timed, ("time", "s"), ours=found.time, judged=judged("time", found.time)),
        ]
    return [*first, *_limits(run, place, curve), *_kid(run, place, curve)]


def _limits(run: RunLike, place: c.Place, curve: Curve) -> list[c.Line]:
    """Return where the distance tends to with the number of images, and its floor."""
    name, row, lines = distance_name(curve.features), curve.best, []
    if curve.limit.value is not None:
        sizes = ", ".join(f"{n:.0f}" for n in listed(row["infinity_n"]))
        words = f"{place.protocol}; a line in 1/N through N = {sizes}; both sets shrink together"
        lines.append((f"{name}, N to infinity", words, curve.limit))
    floor = floating(row["floor"])
    if floor is not None:
        against = integer(row["floor_against"])
        words = f"{place.protocol}; other real images in the place of the generated ones"
        words += f", against {against:,}" if against is not None else ""
        lines.append((f"{name}, floor", words, _floor(curve, floor)))
    return [
        c.line(run, replace(place, protocol=words), (metric, "1"), ours=value, judged=(None, None))
        for metric, words, value in lines
    ]


def _floor(curve: Curve, floor: float) -> c.Value:
    return c.Value(floor, n=integer(curve.best["floor_n"]), keys=curve.value.keys)


def _kid(run: RunLike, place: c.Place, curve: Curve) -> list[c.Line]:
    """Return the kernel distance; its jackknife has the blocks of the distance's own."""
    kid, error = floating(curve.best["kid"]), floating(curve.best["kid_se"])
    if kid is None:
        return []
    if error is None:
        value = c.Value(kid, n=curve.value.n, keys=curve.value.keys)
    else:
        known = len(listed(curve.best["leave_one_out"]))
        freedom = (known if known > 1 else BLOCKS) - 1
        reach = t_quantile(freedom) * error
        value = c.Value(kid, kid - reach, kid + reach, curve.value.n, curve.value.keys)
        words = f"{place.protocol}; interval by Student's t, {freedom} degrees of freedom"
        words += "" if known > 1 else " (number of blocks not recorded)"
        place = replace(place, protocol=words)
    return [c.line(run, place, (kernel_name(curve.features), "1"), ours=value, judged=(None, None))]


def iso_quality(run: RunLike, pair: list[Measured], times: pd.DataFrame) -> list[c.Line]:
    """Return steps, seconds and GMACs that each network of a pair needs for a common distance."""
    if len(pair) != 2:
        return []
    level = max(one.curve.value.value for one in pair)
    cost = ok(run, "cost", ("backbone", "gmacs_authors", "image_size", "scale"))
    lines = []
    for one in pair:
        steps = one.curve.steps_to(level)
        if steps is None:
            continue
        calls = one.curve.calls_at(steps)
        latency = latency_of(times, one.curve.backbone, one.curve.best)
        macs = cost[cost["backbone"] == one.curve.backbone]
        for column in ("image_size", "scale"):
            wanted = floating(one.curve.best[column])
            if wanted is not None:
                macs = macs[macs[column] == wanted]
        values = {
            ("steps to the common distance", "steps"): float(steps),
            ("time to the common distance", "s"): calls * latency.seconds if latency else None,
            ("GMACs to the common distance", "GMACs"): (
                calls * float(macs["gmacs_authors"].iloc[0]) if len(macs) else None
            ),
        }
        place = c.Place(
            NAME,
            printed(one.curve.backbone),
            data_words(run, one.curve.dataset),
            f"{one.curve.protocol}; common distance {level:.4g}",
        )
        lines += [
            c.line(
                run,
                place,
                metric,
                ours=c.Value(value, n=one.curve.value.n, keys=one.curve.keys),
                judged=(None, None),
            )
            for metric, value in values.items()
            if value is not None
        ]
    return lines


def _absent(run: RunLike, measured: set[tuple[str, str]]) -> list[c.Line]:
    """Return lines for the paper's numbers that the run says nothing about."""
    metrics = {"fid": "FID", "steps": "steps", "time": "time"}
    units = {"fid": "1", "steps": "steps", "time": "s"}
    return [
        c.line(
            run,
            c.Place(NAME, row, column),
            (metrics[metric], units[metric]),
            ours=c.Value(None),
            judged=(paper, missing()),
        )
        for (row, column, metric), paper in lookup(NAME).items()
        if (row, column) not in measured
    ]


def _notes(found: list[Measured]) -> list[str]:
    notes = []
    for dataset in sorted({m.curve.dataset for m in found}):
        here = [m.curve for m in found if m.curve.dataset == dataset]
        row = here[0].best
        floor, half = floating(row["floor"]), integer(row["floor_n"])
        text = f"{dataset}: N = {counted(row['n_generated'])} generated against "
        text += f"{counted(row['n_real'])} real images"
        if floor is not None:
            text += f"; floor {floor:.3g} ({half} other real images against the same)"
        notes.append(text + ".")
        if any(curve.small_sample for curve in here):
            notes.append(_small(here))
        notes += _ends(here)
    if any(m.curve.limit.value is not None for m in found):
        notes.append(
            "N → ∞: a line in 1/N through the distances of nested parts of both sets (Chong and "
            "Forsyth 2020); it may fall below 0 by chance. It is given where there are more images "
            "than dimensions."
        )
    return notes


def _ends(here: list[Curve]) -> list[str]:
    """Return which networks are best at the most steps that were tried: more may be better."""
    ends = [
        f"{printed(one.backbone)} ({one.best['steps']:.0f})"
        for one in here
        if one.best["steps"] == one.points["steps"].max()
    ]
    if not ends:
        return []
    return [
        f"{here[0].dataset}: best at the most steps that were tried, so that more may be better: "
        f"{', '.join(ends)}."
    ]


def _small(here: list[Curve]) -> str:
    """Return what to believe where there are no more images than feature dimensions."""
    best = ", ".join(
        f"{printed(curve.backbone)} {curve.points.loc[curve.points['kid'].idxmin(), 'steps']:.0f}"
        for curve in here
        if curve.points["kid"].notna().any()
    )
    text = (
        f"{here[0].dataset}: no more images than the {counted(here[0].best['dimension'])} feature "
        "dimensions, so KID leads and the Fréchet distance, by which the best steps are chosen, is "
        "given in brackets"
    )
    return f"{text}; steps of the smallest KID: {best}." if best else f"{text}."


def table1(run: RunLike) -> c.Table:
    """Return Table 1 of a run."""
    every = curves(run)
    main = primary(run, every)
    times = timings(run)
    found = [measure(curve, times) for curve in every]
    shown = [m for m in found if any(m.curve is p for p in main)]
    lines = []
    for one in found:
        chosen = {p.features for p in main if p.dataset == one.curve.dataset}
        lines += _lines(run, one, chosen)
    for key in sorted({(m.curve.dataset, m.curve.recipe) for m in shown}):
        pair = [
            m
            for m in shown
            if (m.curve.dataset, m.curve.recipe) == key and m.curve.backbone in PAIR
        ]
        lines += iso_quality(run, pair, times)
    measured = {(printed(m.curve.backbone), paper_column(m.curve.dataset) or "") for m in shown}
    lines += _absent(run, measured)
    datasets = sorted({m.curve.dataset for m in shown})
    columns, uneven = groups(run, datasets), unequal_notes(run, datasets)
    return c.Table(
        NAME,
        "Table 1: image synthesis",
        "Best distance over sampling steps, the steps that it takes, and seconds per sample "
        "(network calls x latency of one, batch 1). Lower is better; in bold the best of ours and "
        "all that tie with it, nothing where all do; the paper's best as printed.",
        c.tidy(lines),
        table1_layout(shown, columns),
        2,
        (*_notes(shown), *uneven, NETWORK_NOTE, c.tally(lines), *fault_notes(run, READS)),
    )
