"""Findings about solvers, from rows whose answers are known because they were made so."""

import numpy as np
import pandas as pd
import pytest
from report_builder import Builder, FakeRun

from bench.checked import Holds
from bench.report import solver_curves, solvers
from bench.report.solving import seconds
from bench.report.theory import theory

N, FIRST = 40, 16
FIXED = {"euler": 1, "midpoint": 2, "rk4": 4}


def rows(tmp_path, *, orders=FIXED, gain=0.0, coupling=1e-3, known=True, dopri5=1e-6, **more):
    """Return a run: every solver has the order asked for, and a PSNR that falls with distance."""
    b = Builder(tmp_path, "digits", 1, N)
    noise = np.random.default_rng(0).normal(size=N)
    about = {
        "denoiser": "diffusion:cunet", "recipe": "authors", "t": 150, "sigma": 0.135, "n": N,
        "batch": 16, "dataset": "digits", **more,
    }  # fmt: skip

    def add(solver, nfe, far, shared, steps=None, tolerance=None):
        trained = (solver, steps) == ("rk4", 1)
        psnr = 25 + noise + (0 if trained else gain * (1 + 0.1 * noise))
        images = far * np.exp(0.05 * noise[:FIRST])
        way = {"solver": solver, "solver_steps": steps, "tolerance": tolerance}
        way |= {"is_trained": trained, "fault": "", **about}
        b.add(
            "solvers", "one", part="solver", psnr=float(psnr.mean()), nfe=nfe,
            mse_per_image=(10 ** (-psnr / 10)).tolist(),
            distance_per_image=images.tolist() if known else [], **way,
        )  # fmt: skip
        b.add(
            "solvers", "one", part="neighbours", nfe_together=nfe,
            coupling_per_image=(shared * np.exp(0.3 * noise[:6])).tolist(),
            nfe_alone_per_image=[nfe] * 6, **way,
        )  # fmt: skip
        b.add("solver_times", "two", samples_s=[nfe / 1000] * 5, **way)

    for solver, order in orders.items():
        for steps in (1, 2, 4, 8):
            add(solver, 36 * steps, 0.3 / steps**order, 1e-7, steps=steps)
    for tolerance in (1e-2, 1e-3):
        add("dopri5", 150, dopri5, coupling, tolerance=tolerance)
        add("dopri5-each", 160, dopri5, 1e-7, tolerance=tolerance)
    return FakeRun({}, pd.DataFrame(b.rows), tmp_path)


def verdicts(run):
    """Return the verdict of each question, by the function that judges it."""
    by_text = {found.claim.text: found.claim for found in solvers.findings(run)}
    return {
        judge.__name__.strip("_"): by_text[text]
        for _, text, judge in solvers.QUESTIONS
        if text in by_text
    }


def test_orders_are_those_that_were_put_in(tmp_path):
    claim = verdicts(rows(tmp_path))["converges"]
    assert claim.holds is Holds.YES
    for solver, order in FIXED.items():
        assert claim.numbers[f"order of {solver}, step 150"] == pytest.approx(order, abs=1e-6)
    assert "N = 16" in claim.found and "step 150 (sigma 0.135)" in claim.found
    assert "cU-Net" in claim.place


def test_another_order_holds_in_part_and_none_does_not_hold(tmp_path):
    wrong = verdicts(rows(tmp_path / "a", orders={**FIXED, "midpoint": 1.2}))["converges"]
    assert wrong.holds is Holds.PARTLY
    flat = verdicts(rows(tmp_path / "b", orders=dict.fromkeys(FIXED, -0.1)))["converges"]
    assert flat.holds is Holds.NO


@pytest.mark.parametrize(
    ("gain", "finer", "best"),
    [
        (0.2, Holds.YES, Holds.NO),
        (-0.2, Holds.NO, Holds.YES),
        (0.0, Holds.OPEN, Holds.OPEN),
    ],
)
def test_quality_is_judged_by_the_interval_of_the_paired_difference(tmp_path, gain, finer, best):
    found = verdicts(rows(tmp_path, gain=gain))
    assert found["finer_is_better"].holds is finer
    assert found["best_as_trained"].holds is best
    assert "N = 40" in found["finer_is_better"].found


@pytest.mark.parametrize(("far", "holds"), [(1e-6, Holds.YES), (0.2, Holds.NO)])
def test_adaptive_steps_are_cheaper_where_no_fixed_ones_come_as_near(tmp_path, far, holds):
    assert verdicts(rows(tmp_path, dopri5=far))["adaptive_is_cheaper"].holds is holds


def test_neighbours_matter_only_beyond_rounding(tmp_path):
    found = verdicts(rows(tmp_path / "a"))
    assert found["neighbours_matter"].holds is Holds.YES
    assert found["alone_is_safe"].holds is Holds.YES
    assert "1.0e-03 at 0.01 (150 evaluations alone, 150 together)" in (
        found["neighbours_matter"].found.replace("9.9e-04", "1.0e-03").replace("1.1e-03", "1.0e-03")
    )
    none = verdicts(rows(tmp_path / "b", coupling=1e-7))
    assert none["neighbours_matter"].holds is Holds.OPEN
    assert none["alone_is_safe"].holds is Holds.OPEN


def test_without_a_solution_only_what_needs_none_is_judged(tmp_path):
    found = verdicts(rows(tmp_path, known=False))
    assert set(found) == {"best_as_trained", "neighbours_matter", "alone_is_safe"}
    panels = {curve.panel.rpartition(": ")[2] for curve in solver_curves.curves(rows(tmp_path))}
    assert panels == {"distance", "quality", "time", "Neighbours of cU-Net, step 150"}


def test_curves_are_work_against_precision(tmp_path):
    run = rows(tmp_path)
    curves = {(c.panel.rpartition(": ")[2], c.label): c for c in solver_curves.curves(run)}
    euler = curves["distance", "euler"]
    assert list(euler.x) == [36, 72, 144, 288] and euler.logarithmic == "xy"
    assert curves["quality", "as trained"].reference
    assert list(curves["time", "euler"].x) == [36, 72, 144, 288]  # made a millisecond each
    assert list(curves["Neighbours of cU-Net, step 150", "dopri5"].x) == [1e-2, 1e-3]
    assert seconds(run)["cunet", "digits"]["rk4", 1, None] == [0.036] * 5


def test_a_quality_that_is_lost_is_drawn_as_loss_with_intervals(tmp_path):
    curves = solver_curves.curves(rows(tmp_path, gain=-0.2))
    (lost,) = [c for c in curves if c.panel.endswith("quality") and c.label == "rk4"]
    assert lost.y_axis == "PSNR lost against rk4 in 1 step (dB)" and list(lost.x) == [72, 144, 288]
    assert all(0 < a < b < c for a, b, c in zip(lost.low, lost.y, lost.high, strict=True))


def test_a_missing_partner_or_column_is_no_finding_and_no_crash(tmp_path, empty):
    assert solvers.findings(empty) == [] and solver_curves.curves(empty) == []
    run = rows(tmp_path)
    for column in ("is_trained", "mse_per_image", "coupling_per_image", "tolerance", "batch"):
        less = FakeRun({}, run.rows.drop(columns=column), run.folder)
        solvers.findings(less)
        solver_curves.curves(less)
    untrained = FakeRun({}, run.rows[run.rows["is_trained"] == False], run.folder)  # noqa: E712
    assert "finer_is_better" not in verdicts(untrained)
    fault = run.rows[run.rows["solver"] == "rk4"].assign(fault="rk4 1: diverged")
    table = theory(FakeRun({}, pd.concat([untrained.rows, fault]), run.folder))
    assert any("rk4 1: diverged" in note for note in table.notes)
