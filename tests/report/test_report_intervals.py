"""Intervals behind the verdicts: best steps, KID, medians, shares of time; and labels in axes."""

import dataclasses
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from report_builder import FakeRun

from bench.report import style
from bench.report.claims import CLAIMS
from bench.report.claims_quality import less_than, time_of
from bench.report.comparison import Value
from bench.report.curves import curves, primary
from bench.report.latency import Latency, condition, median_interval, timings
from bench.report.paired import paired_jackknife, worst_case, worst_ratio
from bench.report.point_labels import texts_beside
from bench.report.tables import TABLES
from bench.report.training import unequal_notes
from bench.report.verdicts import Label
from bench.runs import load_run

HOME = Path(__file__).resolve().parents[2]
T7 = 2.364624
"""Student's t, 97.5 %, 7 degrees of freedom (any printed table)."""


def distances(run, edit):
    """Return the run with its distance rows edited."""
    rows = run.rows.copy()
    mine = rows["task"] == "frechet"
    rows.loc[mine] = edit(rows[mine].copy())
    return dataclasses.replace(run, rows=rows)


def test_the_range_of_the_best_step_is_wider_than_the_jackknife_minima(run):
    """Two steps almost level: each block left out keeps the order, the sampling error does not."""

    def level(rows):
        values = rows["steps"].map({5: 3.0, 10: 1.02, 20: 1.0, 50: 3.0})
        shift = np.linspace(-0.01, 0.01, 8)
        cells = [
            (v + (shift if steps == 10 else -0.5 * shift)).tolist()
            for v, steps in zip(values, rows["steps"], strict=True)
        ]
        return rows.assign(frechet=values, leave_one_out=cells)

    for curve in curves(distances(run, level)):
        deleted = np.array(curve.points["leave_one_out"].tolist())
        assert set(deleted.argmin(axis=0)) == {2}
        found = curve.best_steps
        assert (found.value, found.low, found.high) == (20, 10, 20)


def test_time_is_that_of_network_calls_where_a_step_makes_two(run):
    rows = run.rows.copy()
    made = rows["task"] == "sample"
    rows.loc[made, "calls"] = 2 * rows.loc[made, "steps"] - 1
    twice = dataclasses.replace(run, rows=rows)
    for once, curve in zip(curves(run), curves(twice), strict=True):
        assert once.best_calls == once.best_steps
        steps, calls = curve.best_steps, curve.best_calls
        assert (calls.value, calls.low, calls.high) == tuple(
            2 * end - 1 for end in (steps.value, steps.low, steps.high)
        )
    lines = TABLES["table1"](twice).comparison
    before = TABLES["table1"](run).comparison
    for name in ("time", "time to the common distance"):
        after, once = (t[t["metric"] == name]["ours"].dropna() for t in (lines, before))
        assert len(once) and (after > 1.5 * once).all(), name


@pytest.mark.parametrize("name", ["mnist-small", "celeba-32", "mnist-ddpm"])
def test_the_images_behind_every_distance_are_found(name):
    """Rows of distances say less of the images than the images' own."""
    rows = load_run(HOME / "results" / "reference" / name).rows.copy()
    rows.loc[rows["task"] == "sample", "calls"] *= 3
    for curve in curves(FakeRun({}, rows, HOME)):
        assert (curve.points["calls"] == 3 * curve.points["steps"]).all()


@pytest.mark.parametrize("asked", ["alexnet", "efficientnet-lite0"])
def test_table_1_goes_by_the_features_that_the_run_was_told_to_go_by(run, asked):
    rows = run.rows[run.rows["task"] == "frechet"]
    more = pd.concat([run.rows, rows.assign(features="efficientnet-lite0")], ignore_index=True)
    told = {**run.manifest["settings"], "generation": {"features": asked}}
    both = dataclasses.replace(run, rows=more, manifest={**run.manifest, "settings": told})
    found = curves(both)
    assert len(found) == 4
    assert {curve.features for curve in primary(both, found)} == {asked}
    printed = TABLES["table1"](both).comparison.dropna(subset=["paper", "ours"])
    assert len(printed) == 6, "the paper's number is judged once"
    real = [dataclasses.replace(found[0], features="inception"), *found[1:]]
    assert primary(both, real) == real[:1], "Inception is the paper's"


def test_a_pair_of_unequal_trainings_is_told(run):
    def notes(cunet):
        rows = run.rows.copy()
        for name, updates in (("unet", 2400), ("cunet", cunet)):
            mine = rows["task"].eq("train") & rows["denoiser"].eq(f"diffusion:{name}")
            rows.loc[mine, "updates"] = updates
        return TABLES["table1"](dataclasses.replace(run, rows=rows)).notes

    assert not any("unequally" in note for note in notes(2400))
    told = "digits: trained unequally, in updates: U-Net 2,400, cU-Net 6,000."
    assert told in notes(6000)
    assert unequal_notes(FakeRun({}, pd.DataFrame(), HOME), ["digits"]) == []
    untrained = dataclasses.replace(run, rows=run.rows[run.rows["task"] != "train"])
    assert unequal_notes(untrained, ["digits"]) == []


def test_a_best_at_the_last_step_tried_is_said_to_be_open(run):
    (note,) = [one for one in TABLES["table1"](run).notes if "more may be better" in one]
    assert "U-Net (50)" in note and "cU-Net" not in note.replace("U-Net (50)", "")


def test_no_blocks_no_range_of_the_best_step(run):
    single = distances(run, lambda rows: rows.assign(leave_one_out=[[1.0]] * len(rows)))
    assert all(curve.best_steps.low is None for curve in curves(single))


def test_as_many_images_as_dimensions_is_a_small_sample(run):
    for dimension, small in ((255, False), (256, True), (257, True)):
        run_ = distances(run, lambda rows, d=dimension: rows.assign(dimension=d, leads=None))
        assert {curve.small_sample for curve in curves(run_)} == {small}


def test_paired_jackknife_uses_students_t():
    a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    value, low, high = paired_jackknife((4.5, 0.0), a, [0.0] * 8)
    error = math.sqrt(7 * np.var(a))
    assert value == 4.5
    assert (high - value) / error == pytest.approx(T7, rel=1e-5)
    assert (value - low) / error == pytest.approx(T7, rel=1e-5)


@pytest.mark.parametrize(("blocks", "t", "words"), [(8, T7, "7 deg"), (3, 4.302653, "2 deg")])
def test_kid_uses_students_t(run, blocks, t, words):
    def cut(rows):
        return rows.assign(leave_one_out=[cell[:blocks] for cell in rows["leave_one_out"]])

    lines = TABLES["table1"](distances(run, cut)).comparison
    kid = lines[lines["metric"].str.startswith("KID")].iloc[0]
    assert kid["high"] - kid["ours"] == pytest.approx(t * 0.001, rel=1e-5)
    assert words in kid["protocol"]
    assert "not recorded" not in kid["protocol"]


def test_kid_without_blocks_takes_seven_degrees_and_says_so(run):
    lines = TABLES["table1"](distances(run, lambda rows: rows.assign(leave_one_out=None)))
    kid = lines.comparison[lines.comparison["metric"].str.startswith("KID")].iloc[0]
    assert kid["high"] - kid["ours"] == pytest.approx(T7 * 0.001, rel=1e-5)
    assert "7 degrees of freedom (number of blocks not recorded)" in kid["protocol"]


def test_the_interval_of_a_median_covers_it():
    """Of 101 normal values, 95 % within the error of 3000 trials and the normal approximation."""
    draws = np.random.default_rng(0).standard_normal((3000, 101))
    q1, median, q3 = np.quantile(draws, (0.25, 0.5, 0.75), axis=1)
    ends = [median_interval(m, a, b, 101) for m, a, b in zip(median, q1, q3, strict=True)]
    covered = np.mean([low <= 0 <= high for low, high in ends])
    assert 0.935 < covered < 0.965
    assert median_interval(0.0, -0.5, 0.5, 1)[1] == pytest.approx(1.82, abs=0.005)


@pytest.mark.parametrize(
    ("flag", "noisy"),
    [(np.True_, True), (True, True), (np.False_, False), (None, False), (math.nan, False)],
)
def test_a_noisy_timing_is_called_so_whatever_holds_the_flag(run, flag, noisy):
    row = timings(run).iloc[0].copy()
    row["noisy"] = flag
    assert ("noisy" in condition(row)) is noisy


def test_ends_of_the_worst_case():
    a, b = (6.0, 5.0, 8.0), (10.0, 8.0, 20.0)
    assert worst_case(a, b) == (-4.0, -15.0, 0.0)
    assert worst_ratio(a, b) == pytest.approx((0.6, 0.25, 1.0))
    assert worst_ratio(a, (1.0, 0.0, 2.0)) is None
    assert worst_case(a, None) is worst_ratio(None, b) is None


def test_time_carries_the_range_of_the_steps():
    call = Latency(2.0, 1.5, 2.5, 9, "")
    time = time_of(Value(2.0, 1.0, 3.0), call)
    assert (time.value, time.low, time.high) == (4.0, 1.5, 7.5)
    assert time_of(Value(20.0), call).low is None
    assert time_of(Value(20.0, 10.0, 30.0), None).value is None


@pytest.mark.parametrize(
    ("share", "reach", "sign"), [(0.6, 0.01, -1), (0.8, 0.01, 1), (0.6, 0.2, 0)]
)
def test_a_third_less_is_not_just_less(share, reach, sign):
    base = Value(1.0, 1.0, 1.0)
    _, low, high = less_than(0.70, Value(share, share - reach, share + reach), base)
    assert (low > 0) - (high < 0) == sign
    assert less_than(0.70, Value(share), base) is None


@pytest.mark.parametrize(
    ("seconds", "label"),
    [(0.010, Label.REPRODUCED), (0.020, Label.CONTRADICTED), (0.0175, Label.TIE)],
)
def test_less_time_is_judged_against_the_claimed_share(paper_run, seconds, label):
    """Best steps 20 and 50; the U-Net's call takes 10 ms: shares 0.40, 0.80 and 0.70."""
    rows = paper_run.rows.copy()
    mine = rows["task"] == "latency"
    for name, value in (("unet", 0.010), ("cunet", seconds)):
        rows.loc[mine & (rows["backbone"] == name), "latency_s"] = value
    quartiles = ["latency_q1_s", "latency_q3_s"]
    rows.loc[mine, quartiles] = np.stack([0.999 * rows.loc[mine, "latency_s"]] * 2, axis=1)
    rows.loc[mine, "latency_q3_s"] = 1.001 * rows.loc[mine, "latency_s"]
    timed = dataclasses.replace(paper_run, rows=rows)
    sharp = distances(
        timed,
        lambda d: d.assign(leave_one_out=[[v + 1e-6 * i for i in range(8)] for v in d.frechet]),
    )
    found = CLAIMS["time-30"](sharp).verdict
    assert (found.label if found.seen is None else found.seen) is label
    assert (found.label is Label.CONTRADICTED) == (label is Label.CONTRADICTED)
    blurred = distances(
        timed, lambda d: d.assign(leave_one_out=[[v, -v] * 4 for v in d["frechet"]])
    )
    assert CLAIMS["time-30"](blurred).verdict.seen is Label.TIE


def test_faster_restoration_needs_the_range_of_the_steps(paper_run):
    """Steps known to within everything leave a tie, however sharp the latencies."""

    def verdict(rows: pd.DataFrame) -> Label:
        return CLAIMS["restore-faster"](dataclasses.replace(paper_run, rows=rows)).verdict.label

    rows = paper_run.rows
    wide = rows.assign(best_calls_low=rows["best_calls"] * 0, best_calls_high=rows["t"])
    assert verdict(wide) is Label.TIE
    sharp = rows.assign(best_calls_low=rows["best_calls"], best_calls_high=rows["best_calls"])
    assert verdict(sharp) is not Label.TIE


@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_labels_stay_inside_the_axes(corner):
    """Several points crowd a corner: no name may reach the numbers of the ticks."""
    figure, axes = plt.subplots(figsize=(3.3, 3.0))
    try:
        axes.set(xlim=(0, 1), ylim=(0, 1))
        near = [abs(c - 0.01) for c in corner]
        names = ("Wiener", "Noisy input", "DnCNN", "cU-Net", "unet-ho2020")
        points = [(name, near[0], abs(near[1] - 0.02 * i)) for i, name in enumerate(names)]
        figure.draw_without_rendering()
        texts_beside(axes, points, colours=["black"] * len(points))
        frame = axes.get_window_extent()
        for text in axes.texts:
            box = text.get_tightbbox()
            assert frame.x0 <= box.x0, text.get_text()
            assert box.x1 <= frame.x1, text.get_text()
            assert frame.y0 <= box.y0, text.get_text()
            assert box.y1 <= frame.y1, text.get_text()
    finally:
        plt.close(figure)


@pytest.mark.parametrize("corner", [(0.98, 0.97), (0.02, 0.97), (0.98, 0.03), (0.02, 0.03)])
def test_a_name_stays_off_the_note_in_a_corner_and_off_other_names(corner):
    figure, axes = plt.subplots(figsize=(3.3, 2.6))
    try:
        axes.set(xlim=(0, 1), ylim=(0, 1))
        style.corner(axes, "N = 64 images", x=corner[0], y=corner[1])
        figure.draw_without_rendering()
        x, y = (0.88 if part > 0.5 else 0.12 for part in corner)
        names = ("cU-Net", "cunet-released", "unet-2.9g")
        points = [(name, x, y - 0.01 * i) for i, name in enumerate(names)]
        texts_beside(axes, points, colours=["black"] * len(points))
        figure.draw_without_rendering()
        # Without the leader lines, and without the room below letters that reach down.
        texts = [Text.get_window_extent(text).padded(-2) for text in axes.texts]
        assert len(texts) == 4
        for i, one in enumerate(texts):
            for other in texts[i + 1 :]:
                assert not one.overlaps(other)
    finally:
        plt.close(figure)
