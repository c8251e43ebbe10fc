"""What came out of a score, as plain values: for the terminal, for programs and for a file."""

from collections.abc import Mapping
from typing import Any

from bench.runs import Run

FRECHET, EXTERNAL = "frechet", "external"
HIDDEN = frozenset(
    {
        *("frechet", "low", "high", "leave_one_out", "floor", "floor_n", "floor_against", "kid"),
        *(
            "kid_se",
            "kid_leave_one_out",
            "infinity",
            "infinity_low",
            "infinity_high",
            "infinity_se",
        ),
        *("infinity_n", "infinity_values", "precision", "recall", "density", "coverage"),
        *("n_manifold", "nearest_share", "nearest_training", "nearest_training_held_out", "leads"),
        *("n_training", "n_held_out", "n_generated", "n_real", "weights_sha", "resize"),
        *("dimension", "split"),
    }
)
"""Columns that have lines of their own; whatever else a row gives follows under its own name."""
MANIFOLD = {
    "precision": "share of the pictures that lie among real ones",
    "recall": "share of the real ones that lie among the pictures",
    "density": "how densely real ones lie around the pictures; 1 is as among themselves",
    "coverage": "share of the real ones that have a picture nearby",
}

Line = tuple[str, str, str]
"""What, how much, and what to know of it."""


def rows_of(run: Run, task: str) -> list[dict[str, Any]]:
    """Return the rows of a task's cells that are ok."""
    return [
        row
        for record in run.records
        if record["task"] == task and record["status"] == "ok"
        for row in record["rows"]
    ]


def result(run: Run) -> dict[str, Any]:
    """Return everything that a score found, with what it depends on."""
    real = next((r for r in run.records if r["task"] == "features" and "dataset" in r["spec"]), {})
    return {
        "run": str(run.folder),
        "counts": run.manifest["counts"],
        "samples": next(iter(rows_of(run, EXTERNAL)), None),
        "against": {"spec": real.get("spec"), "data": real.get("basis", {}).get("data")},
        "scores": rows_of(run, FRECHET),
        "cells": [
            {name: record[name] for name in ("label", "status", "reason", "key")}
            for record in run.records
        ],
        "merkle_root": run.manifest["merkle_root"],
    }


def lines(found: Mapping[str, Any]) -> list[Line]:
    """Return a table of what was found; the distance to believe stands first."""
    if not found["scores"]:
        return []
    row, samples = found["scores"][0], found["samples"] or {}
    data = found["against"]["data"] or {}
    space = (found["against"]["spec"] or {}).get("features", {}).get("name", "?")
    return [
        *_distances(row),
        *[(name, _shown(row[name]), words) for name, words in MANIFOLD.items() if name in row],
        *_memory(row),
        *[(name, _shown(value), "") for name, value in row.items() if _is_further(name, value)],
        (
            "features",
            space,
            f"{row['dimension']} dimensions, input {row['resize']}, weights "
            f"{row['weights_sha'][:12]}",
        ),
        ("pictures", str(row["n_generated"]), _pictures_words(samples)),
        (
            "real pictures",
            str(row["n_real"]),
            f"{data.get('name', '?')}, split {row['split']}, resize: {data.get('resize', '?')}",
        ),
    ]


def _distances(row: Mapping[str, Any]) -> list[Line]:
    few = row["leads"] == "kid"
    value = f"{row['frechet']:.4g}"
    interval = f"95 % interval {row['low']:.4g} to {row['high']:.4g}"
    frechet = [
        ("Fréchet distance", f"({value})" if few else value,
         f"{interval}; fewer images than dimensions" if few else interval),
        ("its floor", f"{row['floor']:.4g}", f"real against real, {row['floor_n']} images"),
    ]  # fmt: skip
    if "infinity" in row and not few:  # of so few the extrapolation is far off, and sure of itself
        reach = f"95 % interval {row['infinity_low']:.4g} to {row['infinity_high']:.4g}"
        frechet.append(("at N = infinity", f"{row['infinity']:.4g}", f"extrapolated; {reach}"))
    kernel = [("kernel distance", f"{row['kid']:.4g}", f"standard error {row['kid_se']:.2g}")]
    return [*kernel, *frechet] if few else [*frechet, *kernel]


def _memory(row: Mapping[str, Any]) -> list[Line]:
    if "nearest_share" not in row:
        return []
    words = (
        f"share of the pictures nearer to one of {row['n_training']} training images than 99 % of "
        f"held-out ones are, 0.01 by chance (median distance {row['nearest_training']:.4g}, theirs "
        f"{row['nearest_training_held_out']:.4g})"
    )
    return [("memorised", _shown(row["nearest_share"]), words)]


def _pictures_words(samples: Mapping[str, Any]) -> str:
    twice = samples.get("n_generated", 0) - samples.get("n_distinct", 0)
    words = f"of {samples.get('n_found', '?')}, done to them: {samples.get('done', 'nothing')}"
    return f"{words}; {twice} are copies of another" if twice else words


def _is_further(name: str, value: Any) -> bool:
    return isinstance(value, bool | int | float | str) and name not in HIDDEN


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
