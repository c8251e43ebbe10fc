"""The cost ledger: tables, sums that close, shares of the ceiling, figures, gaps with reasons."""

import re
import shlex

import pytest
from report_builder import FakeRun
from report_ledger import CALL_S, WATCHING_S, body, ledger_run, with_value, without
from typer.testing import CliRunner

from bench.cli import app
from bench.report.books import books, books_table
from bench.report.costs import costs_table
from bench.report.fig_books import draw_books, stem
from bench.report.fig_cost import draw_latency
from bench.report.fig_roofline import draw_roofline, draw_training_memory
from bench.report.paper import Printed
from bench.report.table5 import VARIANTS, published, table5
from bench.report.table5_findings import FINDINGS, findings
from bench.report.tables import tables
from bench.report.training_memory import training_memory


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return ledger_run(tmp_path_factory.mktemp("ledger"))


def test_the_ledgers_tables_come_last_and_only_where_it_was_asked_for(ledger, run):
    own = ["costs", "speed", "books", "training_memory"]
    assert [table.name for table in tables(ledger)][-4:] == own
    assert not set(own) & {table.name for table in tables(run)}


# ------------------------------------------------------------------ counters


def test_counters_stand_side_by_side_with_their_gap(ledger):
    table = costs_table(ledger)
    first = body(table)[0]
    group = "GMACs: convolutions, linear layers, matrix products"
    shown = [first[group, name, "ours"] for name in ("fvcore", "torch", "closed form + products")]
    assert first["", "", "Network"] == "unet" and shown == ["2.750"] * 3
    assert first[group, "largest gap (%)", "ours"] == "0.000"
    assert any("so they do" in note for note in table.notes)


def agreement(run):
    return [note for note in costs_table(run).notes if "ounters" in note]


def test_what_the_cells_found_is_told_and_not_found_again(ledger):
    where = {"task": "cost", "backbone": "cunet"}
    run = with_value(ledger, "counters_gap", 0.0909, **where)
    run = with_value(run, "counters_agree", False, **where)
    table = costs_table(run)
    of_cunet = (table.comparison["row"] == "[cunet]") & (table.comparison["unit"] == "%")
    assert table.comparison[of_cunet]["ours"].tolist() == pytest.approx([9.09])
    (note,) = agreement(run)
    assert note.endswith("apart by more: cunet (9.09%).")
    (kept,) = agreement(with_value(ledger, "gmacs_layers_linear", 0.25, **where))
    assert kept.endswith("so they do, for all networks.")


def test_not_all_agree_where_some_were_not_compared(ledger):
    run = with_value(ledger, "counters_gap", None, task="cost", backbone="cunet")
    run = with_value(run, "counters_agree", None, task="cost", backbone="cunet")
    first, second = agreement(run)
    assert first.endswith("so they do, for all networks that were compared.")
    assert second == "No comparison of counters, no count by kind: cunet."
    adaptive = with_value(run, "adaptive", True, task="cost", backbone="cunet")
    assert agreement(adaptive)[1].endswith("the cost depends on the data: cunet.")
    (note,) = agreement(with_value(run, "counters_gap", None, task="cost"))
    assert note.startswith("No comparison of counters, no count by kind: ")


def test_an_adaptive_network_has_a_distribution_and_no_trace(ledger):
    rows = ledger.rows.copy()
    at = rows.index[(rows["task"] == "cost") & (rows["backbone"] == "cunet")][0]
    rows.at[at, "adaptive"], rows.at[at, "nfe"] = True, None
    rows.at[at, "nfe_quartiles"] = [100.0, 120.0, 150.0]
    rows.at[at, "counters_gap"] = None
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
    assert rests == ["1.0%", "5.0%"]
    assert any("books close" in note for note in table.notes)
    assert any("in no part" in note and "(U-Net 1.0%, cU-Net 5.0%)" in note for note in table.notes)


def test_trained_and_frozen_parameters_have_a_column_each(ledger):
    run = with_value(ledger, "frozen_parameters", 256_000, task="books", part="whole")
    run = with_value(run, "trained_parameters", 8_555_875, task="books", part="whole")
    for row in body(books_table(run)):
        if row["", "", "Block"] == "whole":
            shown = [row["Parameters", name, "ours"] for name in ("trained", "frozen")]
            assert shown == ["**8,555,875**", "**256,000**"]


def test_what_watching_costs_is_a_number_of_its_own(ledger):
    first = books(ledger)[0]
    assert first.watching == pytest.approx(WATCHING_S)
    table = books_table(ledger)
    share = WATCHING_S / (CALL_S["unet"] - WATCHING_S)
    (note,) = [note for note in table.notes if note.startswith("Cost of watching")]
    assert f"U-Net +2.00 ms (+{share:.1%})" in note
    lines = table.comparison[table.comparison["row"] == "U-Net, cost of watching"]
    assert lines["ours"].tolist() == pytest.approx([WATCHING_S])
    early = FakeRun(ledger.manifest, ledger.rows.drop(columns="unwatched_s"), ledger.folder)
    assert not any("Cost of watching" in note for note in books_table(early).notes)


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
    where = {"task": task, "part": "whole", "backbone": "unet"}
    note = books_table(with_value(ledger, column, 7.0, **where)).notes[0]
    assert note.startswith("The books do not close - unet: ") and words in note


def test_books_without_times_have_dashes_and_the_reason(ledger):
    table = books_table(without(ledger, "block_times", status="failed"))
    assert {row["Time", "ms", "ours"].strip("*") for row in body(table)} == {"-"}
    assert any("No time per block" in note for note in table.notes)
    assert any("no block_times here" in note for note in table.notes)


# ------------------------------------------------------------------ memory of training


def test_memory_of_training_is_a_table_too(ledger):
    table = training_memory(ledger)
    kept = "Kept for one training step (MiB)"
    rows = [
        [row["ODE", "NFE", "ours"], row[kept, "backpropagation", "ours"],
         row[kept, "adjoint", "ours"]]
        for row in body(table)
    ]  # fmt: skip
    assert rows == [
        ["36", "4.00", "1.50"], ["72", "8.00", "1.50"],
        ["144", "16.00", "1.50"], ["288", "32.00", "1.50"],
    ]  # fmt: skip
    assert table.notes[0] == (
        "cU-Net, width x0.25, 32 px, batch 1, backpropagation: x8 from 36 to 288 evaluations; "
        "cU-Net, width x0.25, 32 px, batch 1, adjoint: flat from 36 to 288 evaluations."
    )
    lines = table.comparison
    assert lines[lines["metric"] == "kept, adjoint"]["ours"].tolist() == [1.5] * 4


def test_memory_of_training_that_is_lost_says_why(ledger):
    table = training_memory(without(ledger, "training_memory", status="skipped"))
    assert body(table) == [] and any("no training_memory here" in note for note in table.notes)


# ------------------------------------------------------------------ Table 5


def test_table_5_shows_ours_by_all_three_counters(ledger):
    run = with_value(ledger, "gmacs_torch", 7.297, task="cost", backbone="unet")
    first = body(table5(run))[0]
    group = "GFLOPS (GMACs)", ""
    shown = [first[*group, f"ours{counter}"] for counter in ("", ", fvcore", ", torch")]
    assert shown == ["7.21", "7.32", "7.30"]
    (other,) = [row for row in body(table5(run)) if row["", "", "Network"] == "unet-ho2020"]
    assert other[*group, "ours, torch"] == "23.40"


def test_what_nobody_can_explain_is_not_called_a_cause(ledger):
    (note,) = [n for n in table5(ledger).notes if n.startswith("Differs - cU-Net wo/R [cunet-rel")]
    assert ": unexplained; nearest: " in note and "97.0 MiB" in note
    causes = {v.backbone: v.cause for v in VARIANTS if v.backbone.endswith("no-residual")}
    released = [cause for name, cause in causes.items() if "released" in name]
    assert len(released) == 2 and all(cause.startswith("unexplained; ") for cause in released)


def test_findings_take_their_numbers_from_rows(ledger):
    notes = [note for note in table5(ledger).notes if note.startswith("Finding:")]
    assert len(notes) == 4
    two, file, share, row = notes
    assert "8,811,875" in two and "9,140,835" in two and "2.90" in two and "137.9" in two
    assert "545.5" in file and "545.4 MiB" in file
    assert "2.90 / 7.21 = 40.2%" in share and "40.2% (cunet)" in share
    assert "2,673,792 parameters" in row and "43%" in row


def test_a_findings_command_measures_the_networks_that_it_is_about(ledger, tmp_path):
    notes = [note for note in table5(ledger).notes if note.startswith("Finding:")]
    for note, (_, _, needed) in zip(notes, FINDINGS, strict=True):
        command = note.partition("Shown by ")[2].removesuffix(".")
        python, dash, module, *words = shlex.split(command)
        assert (python, dash, module) == ("python", "-m", "bench")
        planned = CliRunner().invoke(app, [*words, "--dry-run", "--json", "--out", tmp_path])
        assert planned.exit_code == 0, planned.output
        labels = re.findall(r'"label": "cost ([^"]+)"', planned.stdout)
        assert set(needed) <= set(labels), command


def test_findings_follow_the_rows(ledger):
    half = with_value(ledger, "gmacs_authors", 7.20626 / 2, task="cost", backbone="cunet")
    assert any("50.0% (cunet)" in note for note in table5(half).notes)
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


def test_the_bars_show_what_the_books_have_a_column_of(ledger, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("bench.report.style.save", lambda figure, *_: drawn.append(figure))
    draw_books(ledger, tmp_path)
    panels = {axes.get_xlabel(): axes for axes in drawn[0].axes if axes.get_visible()}
    assert list(panels) == [
        "multiply-adds (GMACs)", "parameters (millions)", "bytes moved (MB)", "activations (MB)",
        "time of one call (ms)",
    ]  # fmt: skip
    widths = sum(bar.get_width() for bar in panels["activations (MB)"].patches)
    assert widths == pytest.approx(sum(b.whole["activation_bytes"] for b in books(ledger)) / 1e6)


def test_a_bar_that_is_missing_has_its_place(ledger, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("bench.report.style.save", lambda figure, *_: drawn.append(figure))
    rows = ledger.rows[(ledger.rows["task"] != "block_times") | (ledger.rows["backbone"] == "unet")]
    draw_books(FakeRun(ledger.manifest, rows, ledger.folder), tmp_path)
    last = [axes for axes in drawn[0].axes if axes.get_visible()][-1]
    (missing,) = [text for text in last.texts if text.get_text() == "not measured"]
    bottom, top = last.get_ylim()
    assert missing.get_position()[1] == 1 and top < 0 and bottom > 1.3


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
