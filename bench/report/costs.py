"""Costs: what every network counts, weighs and moves, by every counter. Not of the paper."""

import pandas as pd

from bench.report import comparison as c
from bench.report.rows import RunLike, fault_notes, faults, floating, listed, ok, true
from bench.report.table5 import VARIANTS, costs

NAME = "costs"
LEDGER = ("books", "block_times", "training_memory")
"""Tasks of the experiment `costs` alone: without any of them its tables are left out."""
KINDS = ("convolution", "linear", "product")
MIB = 2**20
COUNTS = "GMACs: convolutions, linear layers, matrix products"
COLUMNS: tuple[tuple[str, str, str, float, int], ...] = (
    ("Parameters", "all", "parameters", 1.0, 0),
    ("Parameters", "trained", "trained_parameters", 1.0, 0),
    ("GMACs", "authors' rule", "gmacs_authors", 1.0, 3),
    (COUNTS, "fvcore", "fvcore", 1.0, 3),
    (COUNTS, "torch", "torch", 1.0, 3),
    (COUNTS, "closed form + products", "layers", 1.0, 3),
    (COUNTS, "largest gap (%)", "counters_gap", 100.0, 3),
    ("GFLOPs", "torch, 2 a MAC", "gflops_torch", 1.0, 3),
    ("Gop", "elementwise", "gops_elementwise", 1.0, 4),
    ("MiB", "moved", "bytes_moved", 1 / MIB, 1),
    ("MiB", "activations", "activation_bytes", 1 / MIB, 1),
    ("Evaluations", "NFE", "nfe", 1.0, 0),
    ("MiB", "checkpoint", "checkpoint_mib", 1.0, 1),
    ("MiB", "weights", "weights_mib", 1.0, 1),
)
"""Group, heading, column, factor, decimals."""
UNITS = {"GMACs": "GMACs", COUNTS: "GMACs", "GFLOPs": "GFLOPs", "Gop": "Gop", "MiB": "MiB"}


def measured(run: RunLike) -> bool:
    """Return whether a run asked for the ledger, in vain or not."""
    return any(len(ok(run, task)) for task in LEDGER) or len(faults(run, LEDGER)) > 0


def costs_table(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that did not ask for the ledger."""
    if not measured(run):
        return None
    found = _whole(run)
    keys = {name: str(row["key"]) for name, row in costs(run).items()}
    header = [("", "", "Network"), *((group, name, "ours") for group, name, *_ in COLUMNS)]
    return c.Table(
        NAME,
        "Costs: what a network call counts, holds and moves",
        "Full width, 3x64x64, one call of batch 1, every evaluation of the ODE blocks included. A "
        "multiply-add (MAC) is two floating-point operations (FLOPs).",
        c.tidy(line for name, row in found.items() for line in _lines(run, name, row, keys[name])),
        c.layout(header, [_cells(name, row) for name, row in found.items()]),
        1,
        (*_notes(found), *fault_notes(run, ("cost",))),
    )


def _whole(run: RunLike) -> dict[str, dict[str, float | None]]:
    """Return the numbers of every network, the paper's first."""
    rows = ok(run, "cost", _read())
    first = {key: r for key, r in zip(rows["key"], rows.to_dict("records"), strict=True)}
    found = costs(run)
    order = dict.fromkeys([v.backbone for v in VARIANTS if v.backbone in found] + sorted(found))
    return {name: _numbers(pd.Series(first[found[name]["key"]])) for name in order}


def _read() -> list[str]:
    sums = [f"gmacs_{who}_{kind}" for who in ("fvcore", "torch", "layers") for kind in KINDS]
    plain = [column for _, _, column, _, _ in COLUMNS]
    return [*plain, *sums, "nfe_quartiles", "adaptive", "counters_agree"]


def _numbers(row: pd.Series) -> dict[str, float | None]:
    found = {column: floating(row[column]) for column in _read() if column != "nfe_quartiles"}
    fvcore, ours, layers = (_kinds(row, who) for who in ("fvcore", "torch", "layers"))
    found["fvcore"] = sum(fvcore) if fvcore else None
    found["torch"] = sum(ours) if ours else None
    # No layer stands for the products of two activations: torch's own are put in their place.
    closed = [*layers[:2], max(layers[2], ours[2])] if layers and ours else None
    found["layers"] = sum(closed) if closed else None
    quartiles = listed(row["nfe_quartiles"])
    if found["nfe"] is None and len(quartiles) == 3:
        found["nfe_low"], found["nfe"], found["nfe_high"] = quartiles
    found["adaptive"] = float(true(row["adaptive"]))
    return found


def _kinds(row: pd.Series, who: str) -> list[float]:
    values = [floating(row[f"gmacs_{who}_{kind}"]) for kind in KINDS]
    return [] if None in values else values


def _cells(name: str, row: dict[str, float | None]) -> list[str]:
    cells = [name]
    for _, _, column, factor, digits in COLUMNS:
        value = row[column]
        text = c.number(None if value is None else value * factor, digits)
        if column == "nfe" and row.get("nfe_low") is not None:
            text += f" ({row['nfe_low']:g} to {row['nfe_high']:g})"
        cells.append(text)
    return cells


def _lines(run: RunLike, name: str, row: dict[str, float | None], key: str) -> list[c.Line]:
    place = c.Place(NAME, f"[{name}]", "3x64x64", f"network {name}; full width; batch 1")
    lines = []
    for group, heading, column, factor, _ in COLUMNS:
        value = row[column]
        if value is None:
            continue
        bounds = (row.get("nfe_low"), row.get("nfe_high")) if column == "nfe" else (None, None)
        metric = heading if group in ("MiB", "Evaluations", "Gop") else f"{group}: {heading}"
        unit = "%" if column == "counters_gap" else UNITS.get(group, "1")
        ours = c.Value(value * factor, *bounds, keys=(key,))
        lines.append(c.line(run, place, (metric, unit), ours=ours, judged=(None, None)))
    return lines


def _notes(found: dict[str, dict[str, float | None]]) -> list[str]:
    notes = [
        *_agreement(found),
        "fvcore traces the network, torch counts operators as they run, the closed form multiplies "
        "the shapes of layers and is held against torch's count of these layers; products of two "
        "activations belong to no layer, there its column takes torch's. Largest gap: of these "
        "kinds, as a share of the larger count.",
        "Moved: inputs and outputs of every operator, weights included, nothing cached or fused; "
        "for networks with fused attention they are those of the unfused path. Elementwise: "
        "numbers that all other operators wrote. Checkpoint: weights, their average, two Adam "
        "moments.",
    ]
    varying = [name for name, row in found.items() if row["adaptive"]]
    if varying:
        notes.append(
            f"{', '.join(varying)}: the cost depends on the image; NFE is the median over images "
            "with its quartiles, and there is no trace: it would hold for one image."
        )
    return notes


def _agreement(found: dict[str, dict[str, float | None]]) -> list[str]:
    """Return what the cells found when they compared the counters, and where they could not.

    Which operator applies a weight is a matter of names, so two kinds are compared as a sum.
    """
    gaps = {name: row["counters_gap"] for name, row in found.items()}
    without = [name for name, gap in gaps.items() if gap is None]
    apart = [
        f"{name} ({gaps[name]:.2%})"
        for name, row in found.items()
        if name not in without and not row["counters_agree"]
    ]
    notes = []
    if len(without) < len(found):
        told = f"apart by more: {', '.join(apart)}" if apart else "so they do, for all networks"
        told += " that were compared" if without and not apart else ""
        kinds = "on convolutions, and on linear layers with matrix products"
        notes.append(f"The counters must agree to 0.1 % {kinds}: {told}.")
    for varies, cause in ((True, "the cost depends on the data"), (False, "no count by kind")):
        names = [name for name in without if bool(found[name]["adaptive"]) == varies]
        if names:
            notes.append(f"No comparison of counters, {cause}: {', '.join(names)}.")
    return notes
