"""Samplers: distance and time of every sampler on every network. Not a table of the paper."""

from dataclasses import replace

from bench.report import comparison as c
from bench.report import leaders as lead
from bench.report.curves import distance_name, kernel_name
from bench.report.names import printed
from bench.report.rows import RunLike, asked, counted, data_words, fault_notes, integer, settings
from bench.report.ways import TABLE, Tried, leading, tried

READS = ("train", "distil", "estimate", "sample", "features", "frechet", "latency")
OPTIMAL = {(): c.DASH, ("calls",): "calls", ("time",): "time", ("calls", "time"): "calls and time"}
CONTROL = "control"


def samplers(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that measured none of it."""
    if not asked(run, TABLE):
        return None
    groups = tried(run)
    header = [("", "", name) for name in ("Data", "Recipe", "Backbone", "Sampler", "Steps")]
    header += [("Per image", "network calls", "ours"), ("Per image", "ODE evaluations", "ours")]
    header += [
        ("Per image", "time (s)", "ours"),
        *_distances(groups),
        ("", "Pareto-optimal", "ours"),
    ]
    return c.Table(
        TABLE,
        "Samplers: distance and time against network calls",
        "Every sampler on every network; all begin with the same noise. Time per image is network "
        "calls x latency of one call, batch 1. Lower is better; in bold the best distance and all "
        "that tie with it.",
        c.tidy(line for found in groups.values() for one in found for line in _lines(run, one)),
        c.layout(header, [row for found in groups.values() for row in _body(run, found)]),
        5,
        (*_notes(run, groups), *fault_notes(run, READS, table=TABLE)),
    )


def _distances(groups: dict[tuple[str, str, str], list[Tried]]) -> list[tuple[str, str, str]]:
    """Return the headings of the distances; features that differ are named row by row."""
    features = {name for _, _, name in groups}
    one = features.pop() if len(features) == 1 else ""
    names = (kernel_name(one), distance_name(one)) if one else ("KID", "Fréchet distance")
    return [(name, heading, "ours") for name in names for heading in ("value", "95 % interval")]


def _body(run: RunLike, found: list[Tried]) -> list[list[str]]:
    metric = leading(found)
    columns = [
        [data_words(run, str(one.row["dataset"])) for one in found],
        [str(one.row["recipe"]) for one in found],
        [printed(one.backbone) for one in found],
        [f"{one.name} ({CONTROL}: leaks)" if one.leaks else one.name for one in found],
        [str(one.steps) for one in found],
        [c.number(one.calls, 0) for one in found],
        [c.number(one.evaluations or None, 0) for one in found],
        [c.seconds(one.time.value) for one in found],
    ]
    for which, digits in (("kid", 4), ("frechet", 2)):
        values = [one.distance(which) for one in found]
        texts = [c.number(value.value, digits) for value in values]
        bounds = [_bounds(value, digits) for value in values]
        if which == metric:
            gap = lead.gap_of_distances(values, [one.row for one in found], metric)
            known = [None if one.leaks else v.value for one, v in zip(found, values, strict=True)]
            texts = lead.marked(texts, lead.leaders(known, gap))
        elif which == "frechet":
            texts, bounds = ([f"({text})" for text in group] for group in (texts, bounds))
        columns += [texts, bounds]
    columns.append([CONTROL if one.leaks else OPTIMAL[one.optimal] for one in found])
    return [list(row) for row in zip(*columns, strict=True)]


def _bounds(value: c.Value, digits: int) -> str:
    if value.low is None or value.high is None:
        return c.DASH
    return f"{c.number(value.low, digits)} to {c.number(value.high, digits)}"


def _lines(run: RunLike, one: Tried) -> list[c.Line]:
    features = str(one.row["features"])
    words = {
        "recipe": str(one.row["recipe"]),
        "features": features,
        "weights": str(one.row["weights_sha"] or "")[:12],
        "generated": integer(one.row["n_generated"]),
        "real": integer(one.row["n_real"]),
        "control": "starts from training images" if one.leaks else None,
    }
    protocol = "; ".join(f"{key} {value}" for key, value in words.items() if value)
    row = f"{printed(one.backbone)}, {one.name}, {one.steps} steps"
    place = c.Place(TABLE, row, data_words(run, str(one.row["dataset"])), protocol)
    keys = (str(one.row["key"]),)
    values = {
        (kernel_name(features), "1"): one.distance("kid"),
        (distance_name(features), "1"): one.distance("frechet"),
        ("network calls per image", "calls"): c.Value(one.calls),
        ("ODE evaluations per image", "evaluations"): c.Value(one.evaluations or None),
        ("time per image", "s"): one.time,
        ("Pareto-optimal in calls", "1"): c.Value(float("calls" in one.optimal)),
        ("Pareto-optimal in time", "1"): c.Value(float("time" in one.optimal)),
    }
    values = {metric: replace(value, keys=value.keys or keys) for metric, value in values.items()}
    return [
        c.line(run, place, metric, ours=value, judged=(None, None))
        for metric, value in values.items()
        if value.value is not None
    ]


def _notes(run: RunLike, groups: dict[tuple[str, str, str], list[Tried]]) -> list[str]:
    every = [one for found in groups.values() for one in found]
    notes = []
    for (dataset, *_), found in groups.items():
        row = found[0].row
        text = f"{data_words(run, dataset)}: N = {counted(row['n_generated'])} generated against "
        text += f"{counted(row['n_real'])} real images"
        if leading(found) == "kid":
            text += f", no more than the {counted(row['dimension'])} feature dimensions: KID leads"
            text += ", the Fréchet distance is in brackets"
        notes.append(f"{text}.")
    notes.append(
        "Pareto-optimal: no other row has a distance as small at as few calls (or as little "
        "time), by the values themselves; where intervals overlap, chance decides."
    )
    if any((one.distance("kid").value or 0) < 0 for one in every):
        notes.append("KID is unbiased: between sets that are alike it falls below 0 by chance.")
    if any(one.leaks for one in every):
        notes.append(
            f"{CONTROL}: starts from blurred training images, so what it gains is leakage; it is "
            "in no contest."
        )
    if any(one.name.startswith("ES-") for one in every):
        notes.append("Time from a generator's images leaves out that generator's one call.")
    students = settings(run).get("samplers", {}).get("distil")
    if students and not any(integer(one.row["student"]) is not None for one in every):
        notes.append(
            "No distilled network: with this recipe it predicts noise, or its cells failed."
        )
    return notes
