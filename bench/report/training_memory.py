"""Memory of training against the evaluations of the ODEs, with the adjoint and without it."""

import pandas as pd

from bench.report import comparison as c
from bench.report.costs import measured
from bench.report.names import printed
from bench.report.rows import RunLike, fault_notes, floating, integer, ok, true

NAME = "training_memory"
TASK = "training_memory"
COLUMNS = ("backbone", "scale", "image_size", "batch", "adjoint", "solver_steps", "nfe",
           "saved_mib")  # fmt: skip
WAYS = {False: "backpropagation", True: "adjoint"}
FLAT = 1.01
"""Memory that grows by less than so much does not grow."""


def kept(run: RunLike) -> pd.DataFrame:
    """Return what a training step keeps, by network, number of evaluations and way."""
    rows = ok(run, TASK, COLUMNS)
    rows = rows[rows["saved_mib"].notna() & rows["nfe"].notna()]
    return rows.assign(network=[about(row) for _, row in rows.iterrows()])


def about(row: pd.Series) -> str:
    """Return in words which network is trained on what."""
    words = [
        printed(str(row["backbone"])),
        f"width x{row['scale']:g}" if floating(row["scale"]) is not None else "",
        f"{integer(row['image_size'])} px" if integer(row["image_size"]) else "",
        f"batch {integer(row['batch'])}" if integer(row["batch"]) else "",
    ]
    return ", ".join(word for word in words if word)


def growth(values: list[float]) -> str:
    """Return how a sequence grows, in a word."""
    if max(values) <= FLAT * min(values):
        return "flat"
    return f"x{values[-1] / values[0]:.3g}" if values[0] else "rising"


def training_memory(run: RunLike) -> c.Table | None:
    """Return the table, None for a run that did not ask for the ledger."""
    if not measured(run):
        return None
    rows = kept(run)
    header = [("", "", "Network"), ("", "", "Solver steps"), ("ODE", "NFE", "ours")]
    header += [("Kept for one training step (MiB)", way, "ours") for way in WAYS.values()]
    return c.Table(
        NAME,
        "Memory of training: what a step keeps for its gradient",
        "What autograd keeps, counted in bytes, for one training step of a narrow network whose "
        "ODE blocks take more and more evaluations.",
        c.tidy(_line(run, row) for _, row in rows.iterrows()),
        c.layout(header, _body(rows)),
        2,
        (*_notes(rows), *fault_notes(run, (TASK,))),
    )


def _body(rows: pd.DataFrame) -> list[list[str]]:
    body = []
    for (network, nfe), part in rows.groupby(["network", "nfe"], sort=True):
        by_way = {true(row["adjoint"]): row["saved_mib"] for _, row in part.iterrows()}
        steps = c.number(floating(part.iloc[0]["solver_steps"]), 0)
        cells = [c.number(floating(by_way.get(way)), 2) for way in WAYS]
        body.append([network, steps, c.number(nfe, 0), *cells])
    return body


def _line(run: RunLike, row: pd.Series) -> c.Line:
    way = WAYS[true(row["adjoint"])]
    place = c.Place(NAME, f"{row['network']}, NFE {integer(row['nfe'])}", "", way)
    value = c.Value(floating(row["saved_mib"]), keys=(str(row["key"]),))
    return c.line(run, place, (f"kept, {way}", "MiB"), ours=value, judged=(None, None))


def _notes(rows: pd.DataFrame) -> list[str]:
    """Return how memory grows from the fewest evaluations to the most."""
    told = []
    for network, part in rows.groupby("network", sort=True):
        for way, words in WAYS.items():
            here = part[[true(value) == way for value in part["adjoint"]]].sort_values("nfe")
            if len(here) > 1:
                counts = f"{integer(here['nfe'].iloc[0])} to {integer(here['nfe'].iloc[-1])}"
                grown = growth(here["saved_mib"].astype(float).tolist())
                told.append(f"{network}, {words}: {grown} from {counts} evaluations")
    return [f"{'; '.join(told)}."] if told else []
