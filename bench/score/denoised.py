"""What came out of scoring a network as a denoiser, as plain values and as a table."""

from collections.abc import Mapping
from typing import Any

from bench.runs import Run

NAMES = {"identity": "noisy input", "wiener": "Wiener filter"}
METRICS = ("psnr", "ssim", "lpips")
HEADER = ("t", "sigma", "", "PSNR, dB", "SSIM", "LPIPS")


def result(run: Run) -> dict[str, Any]:
    """Return every score with what it depends on."""
    scored = [r for r in run.records if r["task"] in ("foreign-denoise", "denoise")]
    return {
        "run": str(run.folder),
        "counts": run.manifest["counts"],
        "scores": [
            {
                "denoiser": (record["spec"].get("network") or record["spec"]["denoiser"])["name"],
                "foreign": "network" in record["spec"],
                "t": record["spec"]["t"],
                "schedule": record["spec"]["schedule"]["name"],
                "dataset": record["spec"]["dataset"],
                "network": record["spec"].get("network"),
                **row,
            }
            for record in scored
            if record["status"] == "ok"
            for row in record["rows"]
        ],
        "cells": [
            {name: record[name] for name in ("label", "status", "reason", "key")}
            for record in run.records
        ],
        "merkle_root": run.manifest["merkle_root"],
    }


def lines(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a table: each level's network beside the noisy input and the Wiener filter.

    What stands after the sign is half the width of the 95 % interval.
    """
    return [
        (
            str(row["t"]),
            f"{row['sigma']:.3f}",
            row["denoiser"] if row["foreign"] else NAMES[row["denoiser"]],
            *(_mean(row, metric) for metric in METRICS),
        )
        for row in found["scores"]
    ]


def _mean(row: Mapping[str, Any], metric: str) -> str:
    """Return a mean over images; a dash where all but one are restored exactly, so none is."""
    if row[metric] is None:
        return "-"
    return f"{row[metric]:.4g} ± {(row[f'{metric}_high'] - row[f'{metric}_low']) / 2:.1g}"
