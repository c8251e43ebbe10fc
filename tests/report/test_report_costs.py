"""The cost ledger: tables, sums that close, shares of the ceiling, figures, gaps with reasons."""

import pandas as pd
import pytest
from report_builder import FakeRun
from report_ledger import CALL_S, COPY, PEAK, ledger_run

from bench.report.books import books, books_table
from bench.report.ceilings import Ceilings, ceilings
from bench.report.costs import costs_table
from bench.report.fig_books import draw_books, stem
from bench.report.fig_cost import draw_latency
from bench.report.fig_roofline import draw_roofline, draw_training_memory
from bench.report.paper import Printed
from bench.report.speed import speed
from bench.report.table5 import published, table5
from bench.report.table5_findings import findings
from bench.report.tables import tables


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return ledger_run(tmp_path_factory.mktemp("ledger"))


def body(table):
    return [dict(zip(table.layout.columns, row, strict=True)) for row in table.layout.values]


def without(run, *tasks, status=None):
    """Return the run without some tasks' rows, or with one failed cell in their place."""
    rows = run.rows[~run.rows["task"].isin(tasks)]
    if status:
        failed = [
            {"key": t, "task": t, "status": status, "reason": f"no {t} here", "label": f"cell {t}"}
            for t in tasks
        ]
        rows = pd.concat([rows, pd.DataFrame(failed)], ignore_index=True)
    return FakeRun(run.manifest, rows, run.folder)


def changed(run, mask, column, value):
    rows = run.rows.copy()
    rows.loc[mask(rows), column] = value
    return FakeRun(run.manifest, rows, run.folder)


def test_the_ledgers_tables_come_last_and_only_where_it_was_asked_for(ledger, run):
    assert [table.name for table in tables(ledger)][-3:] == ["costs", "speed", "books"]
    assert not {"costs", "speed", "books"} & {table.name for table in tables(run)}


# ------------------------------------------------------------------ counters


def test_counters_stand_side_by_side_with_their_gap(ledger):
    table = costs_table(ledger)
    first = body(table)[0]
    group = "GMACs: convolutions, linear layers, matrix products"
    shown = [first[group, name, "ours"] for name in ("fvcore", "torch", "closed form + products")]
    assert first["", "", "Network"] == "unet" and shown == ["2.750"] * 3
    assert first[group, "largest gap (%)", "ours"] == "0.000"
    assert any("so they do" in note for note in table.notes)


def test_counters_that_disagree_are_named(ledger):
    def mine(rows):
        return (rows["task"] == "cost") & (rows["backbone"] == "cunet")

    table = costs_table(changed(ledger, mine, "gmacs_layers_linear", 0.25))
    (gap,) = table.comparison[
        (table.comparison["row"] == "[cunet]") & (table.comparison["unit"] == "%")
    ]["ours"]
    assert gap == pytest.approx(100 * 0.25 / 2.75)
    assert any("apart by more: cunet (9.09%)" in note for note in table.notes)


def test_a_kind_of_operator_is_a_matter_of_names_but_its_sum_is_not(ledger):
    def mine(rows):
        return (rows["task"] == "cost") & (rows["backbone"] == "cunet")

    moved = changed(ledger, mine, "gmacs_fvcore_linear", 0.75)
    moved = changed(moved, mine, "gmacs_fvcore_product", 0.0)
    assert any("so they do" in note for note in costs_table(moved).notes)


def test_an_adaptive_network_has_a_distribution_and_no_trace(ledger):
    rows = ledger.rows.copy()
    at = rows.index[(rows["task"] == "cost") & (rows["backbone"] == "cunet")][0]
    rows.at[at, "adaptive"], rows.at[at, "nfe"] = True, None
    rows.at[at, "nfe_quartiles"] = [100.0, 120.0, 150.0]
    for who in ("fvcore", "layers"):
        for kind in ("convolution", "linear", "product"):
            rows.at[at, f"gmacs_{who}_{kind}"] = None
    table = costs_table(FakeRun(ledger.manifest, rows, ledger.folder))
    (row,) = [row for row in body(table) if row["", "", "Network"] == "cunet"]
    assert row["Evaluations", "NFE", "ours"] == "120 (100 to 150)"
    assert row["GMACs: convolutions, linear layers, matrix products", "fvcore", "ours"] == "-"
    assert any(note.startswith("cunet: the cost depends on the image") for note in table.notes)


# ------------------------------------------------------------------ books


def test_the_books_close(ledger):
    assert [book.faults() for book in books(ledger)] == [[], []]
    table = books_table(ledger)
    for book in books(ledger):
        shares = [book.share(block, "macs_torch") for block in book.blocks]
        assert sum(shares) == pytest.approx(1)
        assert sum(book.by_group("parameters").values()) == book.whole["parameters"]
    rests = [r["Time", "share", "ours"] for r in body(table) if r["", "", "Block"] == "unexplained"]
    assert rests == ["-1.0%", "5.0%"]
    assert any("books close" in note for note in table.notes)


@pytest.mark.parametrize(
    ("column", "task", "words"),
    [
        ("parameters", "books", "parameters: parts"),
        ("evaluations", "books", "evaluations: parts"),
        ("macs_by_torch_alone", "books", "torch's own counter"),
        ("time_s", "block_times", "time: parts"),
    ],
)
def test_books_that_do_not_close_say_where(ledger, column, task, words):
    def whole(rows):
        return (rows["task"] == task) & (rows["part"] == "whole") & (rows["backbone"] == "unet")

    note = books_table(changed(ledger, whole, column, 7.0)).notes[0]
    assert note.startswith("The books do not close - unet: ") and words in note


def test_books_without_times_have_dashes_and_the_reason(ledger):
    table = books_table(without(ledger, "block_times", status="failed"))
    assert {row["Time", "ms", "ours"].strip("*") for row in body(table)} == {"-"}
    assert any("No time per block" in note for note in table.notes)
    assert any("no block_times here" in note for note in table.notes)


# ------------------------------------------------------------------ speed


def test_share_of_the_ceiling_and_what_bounds_it(ledger):
    rows = {(r["", "", "Network"], r["", "", "Batch"]): r for r in body(speed(ledger))}
    unet, cunet = rows["U-Net", "1"], rows["cU-Net", "1"]
    assert unet["Roofline", "share of ceiling", "ours"] == f"{8 / CALL_S['unet'] / PEAK:.0%}"
    assert unet["Roofline", "bound", "ours"] == "compute"  # 8 MAC a byte x 20 GB/s > 80
    assert cunet["Roofline", "bound", "ours"] == "memory"  # 1.5 x 20 < 80
    assert cunet["Ratio of times", "value", "ours"] == "0.500"
    assert cunet["Ratio of times", "95 % interval", "ours"] == "0.495 to 0.505"
    assert cunet["Time (ms)", "per ODE evaluation", "ours"] == "2.78"
    assert unet["Ratio of times", "value", "ours"] == "-"


def test_noise_and_failed_audits_are_told(ledger):
    def mine(rows):
        return (rows["task"] == "latency") & (rows["backbone"] == "unet") & (rows["batch"] == 1)

    table = speed(changed(ledger, mine, "audit_fault", "something remembers it"))
    noisy = next(r for r in body(table) if r["Ratio of times", "settled", "ours"] == "noisy")
    assert noisy["Ratio of times", "95 % interval", "ours"] == "not bounded"
    assert any(note.startswith("noisy - cU-Net, batch 16: 95 % interval") for note in table.notes)
    assert any("Audit failed - U-Net, batch 1: something remembers it" in n for n in table.notes)


def test_without_ceilings_there_is_no_share(ledger):
    table = speed(without(ledger, "roofline", status="skipped"))
    assert {row["Roofline", "share of ceiling", "ours"] for row in body(table)} == {"-"}
    assert any("limits were not measured" in note for note in table.notes)
    assert any("no roofline here" in note for note in table.notes)


def test_a_device_is_compared_with_its_own_ceilings(ledger):
    def timings(rows):
        return rows["task"] == "latency"

    found = body(speed(changed(ledger, timings, "threads", 2)))
    assert {row["Roofline", "share of ceiling", "ours"] for row in found} == {"-"}


def test_the_roof_is_the_lower_of_two_limits(ledger):
    limit = ceilings(ledger)["cpu", 1]
    assert (limit.peak, limit.copy) == (PEAK, COPY)
    assert limit.bound(2.0) == (2 * COPY, "memory") and limit.bound(4.0) == (PEAK, "compute")
    assert Ceilings({}, COPY).bound(1.0) is None


# ------------------------------------------------------------------ Table 5's findings


def test_findings_take_their_numbers_from_rows_and_say_how_to_see_them(ledger):
    notes = [note for note in table5(ledger).notes if note.startswith("Finding:")]
    assert len(notes) == 4
    assert all("Shown by python -m bench run table5 --only 'cost " in note for note in notes)
    two, file, share, row = notes
    assert "8,811,875" in two and "9,140,835" in two and "2.90" in two and "137.9" in two
    assert "545.5" in file and "545.4 MiB" in file
    assert "2.90 / 7.21 = 40.2%" in share and "40.2% (cunet)" in share
    assert "2,673,792 parameters" in row and "43%" in row


def test_findings_follow_the_rows(ledger):
    def mine(rows):
        return (rows["task"] == "cost") & (rows["backbone"] == "cunet")

    notes = table5(changed(ledger, mine, "gmacs_authors", 7.20626 / 2)).notes
    assert any("50.0% (cunet)" in note for note in notes)
    assert findings({}, published()) == []
    assert isinstance(published()["cU-Net", "mb"], Printed)


# ------------------------------------------------------------------ figures


@pytest.mark.parametrize(
    ("draw", "task", "reason"),
    [
        (draw_roofline, "roofline", "limits were not measured"),
        (draw_roofline, "latency", "no full-width timing"),
        (draw_training_memory, "training_memory", "not measured"),
    ],
)
def test_a_figure_without_rows_says_so(ledger, tmp_path, draw, task, reason):
    assert reason in draw(without(ledger, task), tmp_path)


def test_figures_of_the_ledger_are_drawn(ledger, tmp_path):
    for draw in (draw_books, draw_roofline, draw_training_memory):
        png, svg = draw(ledger, tmp_path)
        assert png.stat().st_size > 5000 and svg.is_file()
    assert draw_books(without(ledger, "books", "block_times"), tmp_path) == "no books in this run"


def test_networks_that_took_turns_share_a_panel_though_one_is_noisy(ledger, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("bench.report.style.save", lambda figure, *_: drawn.append(figure))
    draw_latency(ledger, tmp_path)
    first, second = drawn[0].axes
    assert first.get_title("left") == "cpu, eager, 1 thread, batch 1, 64 px, width x1"
    assert [text.get_text() for text in second.texts] == [
        "3,200 ms  (N = 6)",
        "1,600 ms  (N = 6, noisy)",
    ]


def test_alike_groups_have_one_name():
    found = [stem(name) for name in ("middle1", "middle_attend", "blocks", "_odd", "3")]
    assert found == ["middle", "middle", "blocks", "_odd", "3"]
