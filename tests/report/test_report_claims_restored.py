"""Claims on restorations: over the same images, over all levels, against all of the paper's."""

import numpy as np
import pytest
from report_builder import FakeRun
from test_report_claims import best_of, images_of, with_rows

from bench.report import claims_quality
from bench.report.verdicts import Label

SPREAD = np.linspace(-0.2, 0.2, 16)
"""Images differ far more than methods do: only the difference on each image tells."""


def scores_of(run: FakeRun, unet: float, cunet: float, others: float = 0.2) -> FakeRun:
    """Return the run in which methods have such scores of every image, SSIM and 1 - LPIPS."""
    rows = images_of(run, 0.5, others).rows
    noise = np.resize([0.001, -0.001], 16)
    for i in best_of(rows):
        good = {"diffusion:unet": unet, "diffusion:cunet": cunet}[rows.loc[i, "denoiser"]]
        good, wobble = (good, noise) if good == cunet else (good, 0 * noise)
        sign = 1 if rows.loc[i, "metric"] == "ssim" else -1
        value = good if sign > 0 else 1 - good
        rows.at[i, "per_image"] = (value + SPREAD + wobble).tolist()
        rows.loc[i, ["best_value", "best_low", "best_high"]] = [value, value - 0.1, value + 0.1]
    return with_rows(run, rows)


@pytest.mark.parametrize(
    ("unet", "cunet", "seen"),
    [(0.7, 0.72, Label.REPRODUCED), (0.72, 0.7, Label.CONTRADICTED), (0.7, 0.7, Label.TIE)],
)
def test_who_is_best_is_decided_over_the_same_images(run, unet, cunet, seen):
    """The intervals of the two means overlap by far; those of the differences do not."""
    found = claims_quality.best_at(scores_of(run, unet, cunet), "cunet", 400, ("lpips",))
    assert found.verdict.seen is seen
    best = f"LPIPS {1 - cunet:.3g}, best of the paper's others {1 - unet:.3g} (Diff U-Net)"
    assert found.measured == best


def without(run: FakeRun, *denoisers: str) -> FakeRun:
    gone = run.rows["denoiser"].isin(denoisers) & run.rows["task"].isin(["denoise", "restore"])
    return with_rows(run, run.rows[~gone])


@pytest.mark.parametrize("absent", ["diffusion:unet", "bm3d"])
def test_the_best_of_all_is_not_said_before_all_are_there(run, absent):
    ahead = without(scores_of(run, 0.7, 0.8), absent)
    found = claims_quality.best_at(ahead, "cunet", 400, ("lpips",))
    assert found.verdict.label is Label.MISSING
    assert found.verdict.reason.endswith("not measured in this run; its command does")
    behind = without(scores_of(run, 0.7, 0.3, others=0.6), absent)
    lost = claims_quality.best_at(behind, "cunet", 400, ("lpips",))
    assert lost.verdict.seen is Label.CONTRADICTED, "it has lost to one already"


def test_a_rival_without_a_number_is_not_there(run):
    rows = scores_of(run, 0.7, 0.8).rows
    mine = (rows["task"] == "denoise") & (rows["denoiser"] == "bm3d")
    rows.loc[mine, "lpips"] = np.nan
    found = claims_quality.best_at(with_rows(run, rows), "cunet", 400, ("lpips",))
    assert found.verdict.label is Label.MISSING and found.verdict.reason.startswith("BM3D not")


def by_level(run: FakeRun, gaps: dict[int, float]) -> FakeRun:
    """Return the run with the cU-Net's scores this far above the U-Net's, by noise level."""
    rows = scores_of(run, 0.5, 0.5).rows
    noise = np.resize([0.001, -0.001], 16)
    for i in best_of(rows):
        if rows.loc[i, "denoiser"] == "diffusion:cunet":
            value = 0.5 + gaps[int(rows.loc[i, "t"])]
            rows.at[i, "per_image"] = (value + SPREAD + noise).tolist()
            rows.loc[i, "best_value"] = value
    return with_rows(run, rows)


@pytest.mark.parametrize(
    ("gaps", "seen", "told"),
    [
        ((-0.1, -0.1, -0.1), Label.REPRODUCED, "3 as the paper says, 0 tied, 0 the other way"),
        ((0.1, 0.0, 0.0), Label.TIE, "0 as the paper says, 2 tied, 1 the other way"),
        ((0.1, 0.1, 0.0), Label.CONTRADICTED, "0 as the paper says, 1 tied, 2 the other way"),
        ((0.1, -0.1, 0.0), Label.DIFFERS, "1 as the paper says, 1 tied, 1 the other way"),
    ],
)
def test_many_levels_decide_as_the_protocol_says(run, gaps, seen, told):
    levels = sorted({int(t) for t in run.rows.loc[best_of(run.rows), "t"]})
    planted = by_level(run, dict(zip(levels, gaps, strict=True)))
    found = claims_quality.restore_direction(planted, "lpips", "value", -1)
    assert found.verdict.seen is seen
    assert found.measured.endswith(f": {told}")


def test_without_timings_nothing_is_said_of_time(run):
    untimed = with_rows(run, run.rows[run.rows["task"] != "latency"])
    found = claims_quality.restore_direction(untimed, "lpips", "time", -1)
    assert found == claims_quality.NOTHING
