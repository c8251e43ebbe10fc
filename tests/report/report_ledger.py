"""The synthetic run's cost ledger: books, times by block, ceilings, memory. Numbers made up."""

from pathlib import Path

import pandas as pd
from report_builder import Builder, FakeRun
from report_synthetic import add_costs, manifest

BLOCKS = {
    "unet": (("downs.0", "downs"), ("downs.1", "downs"), ("middle1", "middle1"), ("ups.0", "ups")),
    "cunet": (("entry", "entry"), ("blocks.0", "blocks"), ("blocks.1", "blocks")),
}
UNIT = {"unet": 100_000_000, "cunet": 60_000_000}
CALL_S = {"unet": 0.2, "cunet": 0.1}
UNEXPLAINED = {"unet": 0.01, "cunet": 0.05}
WATCHING_S = 0.002
PEAK_MIB = {"unet": 180.0, "cunet": 60.0}
"""Of a call on one image; that of the whole process is the other way round."""
PEAK, COPY = 80.0, 20.0


def ledger_run(folder: Path) -> FakeRun:
    """Return a run of the experiment `costs`."""
    b = Builder(folder, "digits", 1, 0)
    add_costs(b)
    add_kinds(b)
    for name, blocks in BLOCKS.items():
        _add_books(b, name, blocks)
        _add_times(b, name, blocks)
        for batch in (1, 16):
            _add_latency(b, name, batch)
    add_ceilings(b)
    _add_memory(b)
    return FakeRun(manifest("digits", "smoke"), pd.DataFrame(b.rows), folder)


def add_kinds(b: Builder) -> None:
    """Add to the costs what every counter says by kind; the closed form sees no products."""
    for row in b.rows:
        if row["task"] == "cost":
            for who in ("fvcore", "torch", "layers"):
                row[f"gmacs_{who}_convolution"] = 2.0
                row[f"gmacs_{who}_linear"] = 0.5
                row[f"gmacs_{who}_product"] = 0.0 if who == "layers" else 0.25
            row |= {"adaptive": False, "nfe_quartiles": [], "gops_elementwise": 0.02}
            row |= {"bytes_moved": 2**29, "activation_bytes": 2**27}
            row |= {"counters_gap": 0.0, "counters_agree": True}


def _counts(share: int, unit: int) -> dict:
    names = ("macs_torch", "parameters", "bytes_moved", "activation_bytes", "macs_authors")
    more = ("trained_parameters", "frozen_parameters", "evaluations")
    return {name: share * (unit + i) for i, name in enumerate((*names, *more))}


def _add_books(b: Builder, name: str, blocks: tuple) -> None:
    about = {"backbone": name, "scale": 1.0, "channels": 3, "image_size": 64}
    for share, (block, group) in enumerate(blocks, start=1):
        counts = _counts(share, UNIT[name])
        b.add("books", f"books-{name}", part="block", block=block, group=group, **about, **counts)
    whole = _counts(sum(range(len(blocks) + 1)), UNIT[name])
    named = {"part": "whole", "block": "whole", "group": "whole"}
    alone = whole["macs_torch"]
    b.add("books", f"books-{name}", macs_by_torch_alone=alone, **named, **about, **whole)


def _add_times(b: Builder, name: str, blocks: tuple) -> None:
    rest = UNEXPLAINED[name]
    shares = {(block, group, "block"): (1 - rest) / len(blocks) for block, group in blocks}
    shares |= {("unexplained",) * 3: rest, ("whole",) * 3: 1.0}
    for (block, group, part), share in shares.items():
        b.add(
            "block_times",
            "block-times",
            backbone=name,
            scale=1.0,
            part=part,
            block=block,
            group=group,
            time_s=share * CALL_S[name],
            share=share,
            unwatched_s=CALL_S[name] - WATCHING_S if part == "whole" else None,
        )


def _add_latency(b: Builder, name: str, batch: int) -> None:
    seconds = CALL_S[name] * batch
    noisy = (name, batch) == ("cunet", 16)
    ratio = seconds / (CALL_S["unet"] * batch)
    b.add(
        "latency",
        f"latency-{batch}",
        backbone=name,
        batch=batch,
        threads=1,
        device="cpu",
        engine="eager",
        image_size=64,
        channels=3,
        scale=1.0,
        latency_s=seconds,
        latency_q1_s=0.98 * seconds,
        latency_q3_s=1.03 * seconds,
        samples_s=[seconds] * 6,
        repeats=6,
        rounds=6,
        nfe=0 if name == "unet" else 36,
        latency_per_evaluation_s=None if name == "unet" else seconds / 36,
        ratio_to="unet",
        ratio=ratio,
        ratio_low=0.0 if noisy else 0.99 * ratio,
        ratio_high=None if noisy else 1.01 * ratio,
        noisy=noisy,
        noisy_reason="95 % interval of the ratio within 9%" if noisy else "",
        audit_passed=True,
        audit_fault="",
        gmacs_torch=(8.0 if name == "unet" else 3.0) * batch,
        bytes_moved=(1e9 if name == "unet" else 2e9) * batch,
        audit_repeated_ratio=1.01 if batch == 1 else None,
        peak_memory_mib=PEAK_MIB[name] * batch,
        peak_rss_reset=True,
        peak_rss_mib=500.0 if name == "unet" else 510.0,
    )


def add_ceilings(b: Builder) -> None:
    """Add the limits of a machine."""
    for dtype, factor in (("float32", 1.0), ("bfloat16", 2.0)):
        for work, macs, moved in (("matmul", 60.0, 1.0), ("conv3x3", PEAK, 1.0), ("copy", 0, COPY)):
            b.add(
                "roofline",
                "roofline",
                ceiling=f"{work}-{dtype}",
                dtype=dtype,
                device="cpu",
                threads=1,
                gmacs_per_s=macs * factor or None,
                gb_per_s=moved,
            )


def _add_memory(b: Builder) -> None:
    for adjoint in (False, True):
        for steps in (1, 2, 4, 8):
            b.add(
                "training_memory",
                "memory",
                backbone="cunet",
                scale=0.25,
                image_size=32,
                batch=1,
                adjoint=adjoint,
                solver_steps=steps,
                nfe=36 * steps,
                saved_mib=1.5 if adjoint else 4.0 * steps,
            )


def body(table) -> list[dict]:
    """Return a table's rows by the three headings of a column."""
    return [dict(zip(table.layout.columns, row, strict=True)) for row in table.layout.values]


def without(run: FakeRun, *tasks: str, status: str | None = None) -> FakeRun:
    """Return the run without some tasks' rows, or with one failed cell in their place."""
    rows = run.rows[~run.rows["task"].isin(tasks)]
    if status:
        failed = [
            {"key": t, "task": t, "status": status, "reason": f"no {t} here", "label": f"cell {t}"}
            for t in tasks
        ]
        rows = pd.concat([rows, pd.DataFrame(failed)], ignore_index=True)
    return FakeRun(run.manifest, rows, run.folder)


def with_value(run: FakeRun, column: str, value: object, **where: object) -> FakeRun:
    """Return the run with a column set in the rows whose columns are as `where` says."""
    rows = run.rows.copy()
    mask = pd.Series(True, index=rows.index)
    for name, wanted in where.items():
        mask &= rows[name] == wanted
    assert mask.any()
    if column not in rows:
        rows[column] = None
    rows[column] = rows[column].astype(object)
    rows.loc[mask, column] = value
    return FakeRun(run.manifest, rows, run.folder)
