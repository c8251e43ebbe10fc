"""Times of a network call: ceilings, memory, audits, finished images, networks left out."""

import pandas as pd
import pytest
from report_builder import FakeRun
from report_ledger import CALL_S, COPY, PEAK, PEAK_MIB, body, ledger_run, with_value, without

from bench.report.ceilings import Ceilings, ceilings
from bench.report.claims_costs import faster, memory
from bench.report.fig_cost import draw_latency
from bench.report.latency import latency_of, timings
from bench.report.speed import speed
from bench.report.table1 import table1


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return ledger_run(tmp_path_factory.mktemp("ledger"))


def by_network(run):
    return {(r["", "", "Network"], r["", "", "Batch"]): r for r in body(speed(run))}


def test_share_of_the_ceiling_and_what_bounds_it(ledger):
    rows = by_network(ledger)
    unet, cunet = rows["U-Net", "1"], rows["cU-Net", "1"]
    assert unet["Roofline", "share of ceiling", "ours"] == f"{8 / CALL_S['unet'] / PEAK:.0%}"
    assert unet["Roofline", "bound", "ours"] == "compute"  # 8 MAC a byte x 20 GB/s > 80
    assert cunet["Roofline", "bound", "ours"] == "memory"  # 1.5 x 20 < 80
    assert cunet["Ratio of times", "value", "ours"] == "0.500"
    assert cunet["Ratio of times", "95 % interval", "ours"] == "0.495 to 0.505"
    assert cunet["Time (ms)", "per ODE evaluation", "ours"] == "2.78"
    assert unet["Ratio of times", "value", "ours"] == "-"
    assert "need not equal the quotient of the two medians" in speed(ledger).caption


def test_an_adaptive_network_has_no_time_per_evaluation(ledger):
    run = with_value(ledger, "nfe", None, task="latency", backbone="cunet")
    run = with_value(run, "latency_per_evaluation_s", None, task="latency")
    assert by_network(run)["cU-Net", "1"]["Time (ms)", "per ODE evaluation", "ours"] == "-"


def test_noise_and_failed_audits_are_told(ledger):
    where = {"task": "latency", "backbone": "unet", "batch": 1}
    table = speed(with_value(ledger, "audit_fault", "something remembers it", **where))
    noisy = next(r for r in body(table) if r["Ratio of times", "settled", "ours"] == "noisy")
    assert noisy["Ratio of times", "95 % interval", "ours"] == "not bounded"
    assert any(note.startswith("noisy - cU-Net, batch 16: 95 % interval") for note in table.notes)
    assert any("Audit failed - U-Net, batch 1: something remembers it" in n for n in table.notes)


def audited(run):
    return [note for note in speed(run).notes if "repeated input" in note]


def test_repeated_inputs_are_spoken_of_only_where_they_were_tried(ledger):
    assert audited(ledger) == [
        "Audit passed: no repeated input is more than 10 % faster than varied ones "
        "(U-Net, cU-Net, asked at width x1)."
    ]
    half = with_value(ledger, "audit_repeated_ratio", None, task="latency", backbone="cunet")
    assert "(U-Net, asked at width x1)" in audited(half)[0]
    assert audited(half)[1:] == ["Whether a repeated input is faster was not asked: cU-Net."]
    none = with_value(ledger, "audit_repeated_ratio", None, task="latency")
    assert audited(none) == ["Whether a repeated input is faster was not asked: U-Net, cU-Net."]
    assert any("every timed output is the scored one" in note for note in speed(none).notes)


def test_the_claim_goes_by_the_ratio_of_rounds_too(ledger):
    """A machine that slows down half-way: each round has ratio 1/2, the medians have 1."""
    rows, slow = ledger.rows.copy(), {"unet": [0.2] * 3 + [0.4] * 4, "cunet": [0.1] * 3 + [0.2] * 4}
    for at, row in rows[(rows["task"] == "latency") & (rows["batch"] == 1)].iterrows():
        rows.at[at, "samples_s"] = slow[row["backbone"]]
        rows.at[at, "latency_s"] = 0.2
    evidence = faster(FakeRun(ledger.manifest, rows, ledger.folder))
    assert evidence.measured.startswith("x0.50 time per call (95 %: 0.5 to 0.5; medians 200 ")


# ------------------------------------------------------------------ memory


def peaks(run):
    return {row["Peak memory (MiB)", "of a call", "ours"] for row in body(speed(run))}


def test_the_peak_is_that_of_a_call_and_not_of_the_process(ledger):
    rows = by_network(ledger)
    shown = {key: row["Peak memory (MiB)", "of a call", "ours"] for key, row in rows.items()}
    assert (shown["U-Net", "1"], shown["cU-Net", "1"]) == ("180", "60")
    assert not any("upper bound" in note for note in speed(ledger).notes)
    metrics = set(speed(ledger).comparison["metric"])
    assert "peak memory of a call" in metrics and not any("resident" in name for name in metrics)


def test_a_run_that_did_not_measure_it_has_dashes(ledger):
    early = FakeRun(ledger.manifest, ledger.rows.drop(columns="peak_memory_mib"), ledger.folder)
    assert peaks(early) == {"-"}
    assert "Peak memory of a call was not measured in this run." in speed(early).notes
    found = memory(early)
    assert found.measured.endswith("peak of a call not measured")
    assert found.verdict.label == "missing" and "checkpoint: reproduced" in found.verdict.reason


def test_a_mark_that_was_not_reset_bounds_the_peak_from_above(ledger):
    run = with_value(ledger, "peak_rss_reset", False, task="latency", backbone="cunet")
    (note,) = [note for note in speed(run).notes if "upper bound" in note]
    assert note.endswith("is an upper bound: cU-Net.")
    assert "peak memory of a call, at most" in set(speed(run).comparison["metric"])
    assert "peak of a call not measured" in memory(run).measured
    on_gpu = with_value(run, "device", "cuda", task="latency")
    assert not any("upper bound" in note for note in speed(on_gpu).notes)


@pytest.mark.parametrize(
    ("peak", "label"), [(60.0, "reproduced"), (200.0, "contradicted"), (180.0, "tie")]
)
def test_a_smaller_footprint_is_judged_by_the_peak_and_by_the_file(ledger, peak, label):
    where = {"task": "latency", "backbone": "cunet", "batch": 1}
    found = memory(with_value(ledger, "peak_memory_mib", peak, **where))
    assert f"peak of a call {peak:.1f} against {PEAK_MIB['unet']:.1f} MiB" in found.measured
    assert "checkpoint 136.0 against 545.4 MiB" in found.measured
    assert found.verdict.label == label
    assert found.verdict.reason == f"peak of a call: {label}; checkpoint: reproduced"


# ------------------------------------------------------------------ finished images


def with_steps(run, sampler):
    budget = {"name": "smoke", "generation": {"steps": [5, 10, 50], "sampler": sampler}}
    manifest = {**run.manifest, "budget": budget}
    del manifest["settings"]
    return FakeRun(manifest, run.rows, run.folder)


def test_a_finished_image_takes_the_calls_of_the_budget(ledger):
    rows = by_network(with_steps(ledger, "ddim"))
    seconds = {key: row["Finished image (s)", "50 calls", "ours"] for key, row in rows.items()}
    assert seconds["U-Net", "1"] == f"{50 * CALL_S['unet']:.2f}"
    assert seconds["U-Net", "16"] == seconds["U-Net", "1"]  # a batch of 16 takes 16 times as long
    notes = speed(with_steps(ledger, "ddim")).notes
    assert any(note.startswith("Finished image: 50 network calls (DDIM") for note in notes)


@pytest.mark.parametrize("sampler", [None, "heun", "somebody's"])
def test_where_the_calls_are_not_known_the_note_points_elsewhere(ledger, sampler):
    run = with_steps(ledger, sampler) if sampler else ledger
    assert not any("Finished" in group for group, *_ in speed(run).layout.columns)
    assert any("Table 1 and Samplers" in note for note in speed(run).notes)


# ------------------------------------------------------------------ left out


def test_a_network_that_could_not_be_timed_is_left_out_and_named(ledger, tmp_path):
    times = ("latency_s", "latency_q1_s", "latency_q3_s", "samples_s", "ratio", "peak_memory_mib")
    where = {"task": "latency", "backbone": "cunet", "batch": 1}
    run = with_value(ledger, "fault", "it changed its input", **where)
    for column in times:
        run = with_value(run, column, None, **where)
    assert set(by_network(run)) == {("U-Net", "1"), ("U-Net", "16"), ("cU-Net", "16")}
    told = "latency latency-1: cU-Net is left out (it changed its input)"
    assert told in speed(run).notes and told in table1(run).notes
    assert told not in speed(ledger).notes
    assert latency_of(timings(run), "cunet", pd.Series()) is None
    assert isinstance(draw_latency(run, tmp_path), list)


def test_a_run_in_which_nothing_could_be_timed_has_an_empty_table(ledger):
    run = with_value(ledger, "fault", "it changed its input", task="latency")
    assert body(speed(run)) == []
    assert sum("is left out" in note for note in speed(run).notes) == 4
    assert "upper bound" not in "".join(speed(run).notes)


# ------------------------------------------------------------------ ceilings


def test_without_ceilings_there_is_no_share(ledger):
    table = speed(without(ledger, "roofline", status="skipped"))
    assert {row["Roofline", "share of ceiling", "ours"] for row in body(table)} == {"-"}
    assert any("limits were not measured" in note for note in table.notes)
    assert any("no roofline here" in note for note in table.notes)


def test_a_device_is_compared_with_its_own_ceilings(ledger):
    found = body(speed(with_value(ledger, "threads", 2, task="latency")))
    assert {row["Roofline", "share of ceiling", "ours"] for row in found} == {"-"}


def test_the_roof_is_the_lower_of_two_limits(ledger):
    limit = ceilings(ledger)["cpu", 1]
    assert (limit.peak, limit.copy) == (PEAK, COPY)
    assert limit.bound(2.0) == (2 * COPY, "memory") and limit.bound(4.0) == (PEAK, "compute")
    assert Ceilings({}, COPY).bound(1.0) is None
