"""Is a run whole and valid, and how do two runs differ?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.runs import Run

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = [
    "task", "backbone", "denoiser", "dataset", "features", "sampler", "steps", "t", "part",
    "estimate", "metric", "calls", "batch", "threads", "image_size", "channels", "scale",
]  # fmt: skip
MEASURES = [
    "parameters", "gmacs_authors", "gmacs_fvcore", "gmacs_torch", "nfe", "checkpoint_mib",
    "latency_s", "loss_last", "frechet", "kid", "psnr", "ssim", "lpips", "best_value", "best_calls",
]  # fmt: skip


def faults(run: Run) -> list[str]:
    """Return why a run is not valid; empty where it is.

    A run is valid if every cell of its manifest has a whole record and whole files, none failed,
    and no timing was noisy.
    """
    return [*_records(run), *_files(run), *_timings(run)]


def _records(run: Run) -> Iterator[str]:
    if not run.records:
        yield "the run has no cells"
    for record in run.records:
        if record["status"] not in ("ok", "skipped"):
            yield f"'{record['label']}' is {record['status']}: {record['reason']}"


def _files(run: Run) -> Iterator[str]:
    for record in run.records:
        if run.manifest.get("reference"):
            continue  # a published run keeps its records without samples and weights
        for name in record["files"]:
            try:
                run.store.file(record["key"], name)
            except Exception as fault:
                yield f"'{record['label']}': {fault}"


def _timings(run: Run) -> Iterator[str]:
    for record in run.records:
        for row in record["rows"]:
            if row.get("noisy"):
                yield (
                    f"'{record['label']}': the timing of {row.get('backbone')} is noisy (quartiles "
                    f"{row['latency_q1_s']:.4g} to {row['latency_q3_s']:.4g} s); measure again "
                    "on an idle machine with --fresh"
                )


def side_by_side(first: Run, second: Run) -> "pd.DataFrame":
    """Return the numbers that two runs share, with the ratio of the second to the first."""
    one, two = (_numbers(run) for run in (first, second))
    keys = [name for name in IDENTITY if name in one and name in two]
    joined = one.merge(two, on=[*keys, "measure"], suffixes=("_first", "_second"))
    joined["ratio"] = joined["measured_second"] / joined["measured_first"]
    return joined.dropna(axis="columns", how="all")


def _numbers(run: Run) -> "pd.DataFrame":
    rows = run.rows
    rows = rows[rows["status"] == "ok"]
    identity = [name for name in IDENTITY if name in rows]
    measures = [name for name in MEASURES if name in rows]
    rows = rows[[*identity, *measures]]
    long = rows.melt(identity, measures, var_name="measure", value_name="measured")
    return long.dropna(subset=["measured"]).fillna({name: "" for name in identity})
