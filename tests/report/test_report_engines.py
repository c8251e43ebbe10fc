"""The table of engines: who is compared with whom, and what is said of what did not run."""

import math

import pandas as pd
import pytest
from report_builder import Builder, FakeRun
from report_ledger import PEAK, add_ceilings, body
from report_synthetic import manifest

from bench.report.books import books_table
from bench.report.costs import costs_table
from bench.report.engines import COMPARED, TABLE, engines
from bench.report.latency import timings
from bench.report.speed import speed

WAYS = [
    ("unet", "eager", ""),
    ("cunet", "eager", ""),
    ("unet", "packed", ""),
    ("cunet", "packed", ""),
    ("cunet", "eager", "solver_path=torchdiffeq"),
]
SECONDS = [0.12, 0.06, 0.10, 0.04, 0.08]
GMACS = {"unet": 7.2, "cunet": 2.9}


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> FakeRun:
    folder = tmp_path_factory.mktemp("engines")
    builder = Builder(folder, "digits", 1, 0)
    add_ceilings(builder)
    for place, ((backbone, engine, options), seconds) in enumerate(zip(WAYS, SECONDS, strict=True)):
        ratios = {
            str(n): [seconds / other, 0.9 * seconds / other, 1.2 * seconds / other]
            for n, other in enumerate(SECONDS)
            if n != place
        }
        builder.add(
            "latency", "latency-engines", table=TABLE, backbone=backbone, engine=engine,
            options=options, place=str(place), ratio_to_places=ratios, latency_s=seconds, batch=1,
            threads=1, device="cpu", image_size=64, channels=3, scale=1.0, repeats=6, fault="",
            gmacs_torch=GMACS[backbone], bytes_moved=1e6, noisy=place == 3, noisy_reason="loud",
        )  # fmt: skip
    builder.add(
        "latency", "latency-engines", table=TABLE, backbone="unet", engine="graph",
        fault="engine 'graph' needs a GPU",
    )  # fmt: skip
    return FakeRun(manifest("digits", "smoke"), pd.DataFrame(builder.rows), folder)


def rows(run):
    return {(r["", "", "Network"], r["", "", "Engine"]): r for r in body(engines(run))}


def times(row, other):
    return row["Times as fast as (95 %)", other, "ours"].partition(" ")[0]


def test_everyone_is_compared_with_its_own_kind(measured):
    found = rows(measured)
    assert len(found) == 5
    unet, itself, library = COMPARED
    packed = found["cU-Net", "packed"]
    assert times(packed, unet) == f"{0.10 / 0.04:.2f}"  # the U-Net on the same engine
    assert times(packed, itself) == f"{0.06 / 0.04:.2f}"
    assert times(packed, library) == f"{0.08 / 0.04:.2f}"
    low, high = (0.08 / 0.04 / factor for factor in (1.2, 0.9))
    written = packed["Times as fast as (95 %)", library, "ours"]
    assert written == f"2.00 ({low:.2f} to {high:.2f})"
    assert times(found["cU-Net", "eager"], unet) == "2.00"
    assert times(found["cU-Net", "eager"], itself) == "-"
    base = found["U-Net", "packed"]
    assert (times(base, unet), times(base, itself), times(base, library)) == ("-", "1.20", "-")
    foreign = found["cU-Net", "eager, ODEs by torchdiffeq"]
    assert (times(foreign, unet), times(foreign, itself)) == ("-", "0.75")


def test_share_of_the_ceiling(measured):
    row = rows(measured)["U-Net", "packed"]
    assert row["One call", "GMACs/s", "ours"] == "72.0"
    assert row["One call", "of the ceiling", "ours"] == f"{72 / PEAK:.0%}"


def test_what_did_not_run_or_was_noisy_is_told(measured):
    notes = engines(measured).notes
    assert "Noisy: cU-Net, packed, batch 1: loud." in notes
    assert any("U-Net is left out (engine 'graph' needs a GPU)" in note for note in notes)


def test_too_few_rounds_bound_no_interval(measured):
    changed = measured.rows.copy()
    changed["ratio_to_places"] = [
        {n: [value, 0.0, None] for n, (value, _, _) in ratios.items()}
        if isinstance(ratios, dict)
        else ratios
        for ratios in changed["ratio_to_places"]
    ]
    run = FakeRun(measured.manifest, changed, measured.folder)
    found = rows(run)["cU-Net", "packed"]
    assert found["Times as fast as (95 %)", COMPARED[0], "ours"] == "2.50 (not bounded)"


def test_no_other_table_takes_these_times(measured):
    assert timings(measured).empty
    # The ceilings were measured for this table: nobody asked for the ledger.
    assert [build(measured) for build in (costs_table, speed, books_table)] == [None] * 3
    assert engines(FakeRun(measured.manifest, pd.DataFrame(), measured.folder)) is None


def test_tidy_lines_hold_the_same_numbers(measured):
    lines = engines(measured).comparison
    line = lines[(lines["row"] == "cU-Net, packed, batch 1")].set_index("metric")
    fast = line.loc[f"times as fast as {COMPARED[0]}"]
    assert math.isclose(fast["ours"], 2.5) and fast["low"] < 2.5 < fast["high"]
