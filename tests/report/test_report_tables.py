"""Tables 1 to 5: layout, values, verdicts, and gaps."""

import dataclasses

import pandas as pd
import pytest

from bench.report.claims import CLAIMS, HEADLINE, claims
from bench.report.comparison import Line, Value, number, seconds
from bench.report.curves import Curve, curves
from bench.report.latency import latency_of, timings
from bench.report.paper import published
from bench.report.table1 import measure
from bench.report.tables import TABLES, tables
from bench.report.verdicts import Label


def cells(table) -> list[list[str]]:
    """Return the layout without marks."""
    return [[str(c).replace("**", "") for c in row] for row in table.layout.to_numpy().tolist()]


def tidy(table, **where) -> pd.DataFrame:
    """Return the tidy lines with these values."""
    lines = table.comparison
    for column, value in where.items():
        lines = lines[lines[column] == value]
    return lines


@pytest.mark.parametrize("name", TABLES)
def test_every_published_number_is_compared(run, name):
    table = TABLES[name](run)
    expected = sorted(published(name)["value"])
    lines = table.comparison
    if name in ("table2", "table3"):  # one block per estimate repeats the paper's numbers
        lines = lines[lines["protocol"].str.contains("current")]
    if name == "table5":  # several of our networks stand for one row of the paper
        lines = lines[lines["metric"] != "parameters"].drop_duplicates(["paper", "metric"])
    assert sorted(lines["paper"].dropna()) == expected


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_those_of_a_line(run, empty, name):
    for source in (run, empty):
        assert list(TABLES[name](source).comparison.columns) == list(Line.__dataclass_fields__)


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_run_gives_the_papers_table_with_dashes(empty, name):
    table = TABLES[name](empty)
    ours = [c for c in table.layout.columns if c[2].startswith("ours")]
    assert set(table.layout[ours].to_numpy().flatten()) <= {"-", "- / -"}
    assert len(table.layout) >= 2


def test_table1_layout(run):
    table = TABLES["table1"](run)
    assert list(table.layout.columns)[:4] == [
        ("", "", "Recipe"),
        ("", "", "Backbone"),
        ("MNIST (ours: digits)", "FID", "paper"),
        ("MNIST (ours: digits)", "Fréchet distance (alexnet)", "ours"),
    ]
    first = [row[:8] for row in cells(table)]
    assert first == [
        ["authors, ddim", "U-Net", "3.61", "1.30", "30", "50", "3.56", first[0][7]],
        ["authors, ddim", "cU-Net", "2.98", "1.20", "5", "20", "0.54", first[1][7]],
    ]
    assert [table.layout.iloc[row, 3] for row in (0, 1)] == ["1.30", "1.20"], "a tie is not bold"


def test_table1_has_in_bold_what_is_apart_over_the_same_blocks(run):
    def sure(row):
        return [row["frechet"] + 1e-3 * place for place in range(8)]

    rows = run.rows.copy()
    mine = rows["task"] == "frechet"
    rows.loc[mine, "leave_one_out"] = rows[mine].apply(sure, axis=1)
    table = TABLES["table1"](dataclasses.replace(run, rows=rows))
    assert [table.layout.iloc[row, 3] for row in (0, 1)] == ["1.30", "**1.20**"]


def test_table1_time_is_steps_times_latency(run):
    table = TABLES["table1"](run)
    rows = run.rows
    for label, name, steps in (("U-Net", "unet", 50), ("cU-Net", "cunet", 20)):
        timing = rows[(rows.task == "latency") & (rows.backbone == name) & (rows.scale == 0.125)]
        line = tidy(table, row=label, column="digits", metric="time").iloc[0]
        assert line["ours"] == pytest.approx(steps * timing["latency_s"].iloc[0])
        assert line["low"] < line["ours"] < line["high"]


def test_a_time_is_bold_by_the_ranges_of_steps_and_of_latency(run, monkeypatch):
    """Latencies that are sure decide nothing between numbers of steps that are not."""
    bold = [cell for row in TABLES["table1"](run).layout.to_numpy() for cell in row[5:]]
    assert any("**" in str(cell) for cell in bold), "the steps of this run are sure"
    unsure = Value(20.0, 5.0, 50.0)
    monkeypatch.setattr(Curve, "best_calls", property(lambda _: unsure))
    for curve in curves(run):
        latency = latency_of(timings(run), curve.backbone, curve.best)
        time = measure(curve, timings(run)).time
        assert (time.low, time.high) == (5 * latency.low, 50 * latency.high)
    now = [cell for row in TABLES["table1"](run).layout.to_numpy() for cell in row[5:]]
    assert sum("**" in str(cell) for cell in now) < sum("**" in str(cell) for cell in bold)


def test_only_inception_is_called_fid(run, paper_run):
    assert "FID" not in set(tidy(TABLES["table1"](run), column="digits")["metric"])
    found = TABLES["table1"](paper_run)
    assert {"FID", "steps", "time"} <= set(tidy(found, column="CelebA")["metric"])


def test_best_step_is_the_minimum_of_the_mean_over_seeds(changed):
    def two_seeds(rows):
        mine = rows[(rows.task == "frechet") & (rows.denoiser == "diffusion:unet")]
        other = mine.assign(seed=1, frechet=mine["frechet"] + mine["steps"].eq(50) * 9)
        rows.loc[mine.index, "seed"] = 0
        return pd.concat([rows, other], ignore_index=True)

    table = TABLES["table1"](changed(two_seeds))
    assert tidy(table, row="U-Net", column="digits", metric="steps")["ours"].iloc[0] == 20


def test_table2_layout(run):
    table = TABLES["table2"](run)
    row = next(row for row in cells(table) if row[1] == "150")
    assert row[:5] == ["digits, sigmoid, current", "150", "0.135", "0.79 / 0.78", "0.78 / 0.77"]
    ours = [r for r in cells(table) if "notebook" not in r[0]]
    assert {r[0] for r in ours} == {"digits, sigmoid, current", "digits, sigmoid, x0"}
    assert len(ours) == 16


def test_table3_step_is_calls_times_stride(run):
    table = TABLES["table3"](run)
    rows = run.rows
    best = rows[
        (rows.part == "best")
        & (rows.metric == "lpips")
        & (rows.t == 400)
        & (rows.denoiser == "diffusion:cunet")
        & (rows.estimate == "current")
    ].iloc[0]
    line = tidy(table, row="400", column="cU-Net", metric="lpips_step").iloc[0]
    assert line["ours"] == 10 * best["best_calls"]
    assert (line["low"], line["high"]) == (
        10 * best["best_calls_low"],
        10 * best["best_calls_high"],
    )


def test_table4_rows_and_floors(run):
    labels = [row[1] for row in cells(TABLES["table4"](run))]
    assert labels == [
        "BM3D",
        "Conv AE (blind)",
        "DnCNN (blind)",
        "Diff U-Net",
        "Diff cU-Net",
        "Noisy input",
        "Wiener",
    ]


def test_table4_variants_of_training_are_named(changed):
    def levels(rows):
        mine = rows[(rows.task == "denoise") & (rows.denoiser == "dncnn")]
        return pd.concat([rows, mine.assign(trained="level")], ignore_index=True)

    body = cells(TABLES["table4"](changed(levels)))
    dncnn = [row for row in body if row[1].startswith("DnCNN")]
    assert [row[1] for row in dncnn] == ["DnCNN (per level)", "DnCNN (blind)"]
    assert [row[2] for row in dncnn] == ["0.89", "-"]


def test_table5_verdicts(run):
    table = TABLES["table5"](run)

    def verdict(row, metric):
        return tidy(table, row=row, metric=metric)["verdict"].iloc[0]

    assert verdict("U-Net [unet]", "gflops") == Label.REPRODUCED
    assert verdict("U-Net [unet]", "parameters") == Label.REPRODUCED
    assert verdict("cU-Net [cunet-released-a5]", "mb") == Label.REPRODUCED
    assert verdict("cU-Net [cunet-released]", "gflops") == Label.DIFFERS
    assert verdict("cU-Net [cunet-released]", "parameters") == Label.REPRODUCED
    causes = tidy(table, verdict=Label.DIFFERS.value)["reason"]
    assert len(causes)
    assert causes.str.len().gt(20).all()


def test_smoke_quality_is_never_judged_against_the_paper(run):
    for table in tables(run):
        judged = table.comparison[
            table.comparison["ours"].notna() & table.comparison["paper"].notna()
        ]
        if table.name not in ("table5", "quality"):
            assert set(judged["verdict"]) == {Label.NOT_COMPARABLE.value}, table.name


def test_paper_conditions_are_judged(paper_run):
    table = TABLES["table2"](paper_run)
    judged = tidy(table, row="50")
    judged = judged[judged["ours"].notna() & judged["protocol"].str.contains("estimate current")]
    assert len(judged)
    assert set(judged["verdict"]) <= {Label.REPRODUCED.value, Label.DIFFERS.value}
    times = TABLES["table3"](paper_run).comparison
    times = times[times["metric"].str.endswith("time") & times["ours"].notna()]
    assert set(times["verdict"]) == {Label.NOT_COMPARABLE.value}
    assert times["reason"].str.contains("another machine").all()


def test_failed_cells_leave_a_dash_and_the_reason(changed):
    def fail(rows):
        mine = (rows.task == "frechet") & (rows.denoiser == "diffusion:cunet")
        kept = rows.columns.isin(["key", "task", "label", "status", "reason"])
        rows.loc[mine, rows.columns[~kept]] = None
        rows.loc[mine, ["status", "reason"]] = ["failed", "NaN in <step 3>"]
        return rows

    run = changed(fail)
    table = TABLES["table1"](run)
    assert [row[3] for row in cells(table)] == ["1.30", "-"]
    assert sum("NaN in <step 3>" in note for note in table.notes) == 4
    assert [table.name for table in tables(run)] == [*TABLES, "quality"]


def test_missing_lpips_leaves_the_rest(changed):
    def without(rows):
        rows = rows[rows["metric"] != "lpips"].copy()
        rows[["lpips", "lpips_low", "lpips_high"]] = float("nan")
        return rows

    run = changed(without)
    row = next(row for row in cells(TABLES["table2"](run)) if row[1] == "150")
    assert row[4] == "0.78 / 0.77"
    assert row[6] == "- / -"
    assert cells(TABLES["table4"](run))[0][2:6] == ["0.74", "0.96", "0.062", "-"]


def test_claims_name_all_headlines(run):
    found = {claim.id: claim for claim in claims(run)}
    assert set(HEADLINE) <= set(found)
    assert found["parameters-quarter"].verdict.label is Label.REPRODUCED
    assert found["flops-30"].verdict.label is Label.DIFFERS
    assert found["flops-30"].verdict.factor == pytest.approx(2.89959 / 7.20626 / 0.30)
    assert found["faster"].verdict.label is Label.REPRODUCED
    assert found["lpips-cunet"].verdict.label is Label.NOT_COMPARABLE
    assert found["lpips-cunet"].verdict.seen is Label.REPRODUCED


def test_claims_of_an_empty_run_are_missing_or_say_why_they_are_not_tested(empty):
    words = published("claims").set_index("id")
    for claim in claims(empty):
        why = words.loc[claim.id, "why"]
        if why:
            assert claim.verdict.label is Label.NOT_COMPARABLE
            assert why in claim.verdict.reason
        else:
            assert claim.verdict.label is Label.MISSING
        assert claim.measured == claim.budget == "-"


def test_faster_is_judged_at_full_width_only(changed):
    narrow = changed(lambda rows: rows[~((rows.task == "latency") & (rows.scale == 1.0))])
    claim = CLAIMS["faster"](narrow)
    assert claim.verdict.label is Label.NOT_COMPARABLE
    assert claim.verdict.seen is Label.CONTRADICTED


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 2, "-"),
        (float("nan"), 2, "-"),
        (1234.5, 2, "1,234.50"),
        (0.004, 2, "0.004"),
        (0.0, 2, "0.00"),
        (47.0, 0, "47"),
        (-0.5, 2, "-0.50"),
    ],
)
def test_numbers(value, digits, text):
    assert number(value, digits) == text


def test_seconds_keep_two_digits_below_one():
    assert [seconds(v) for v in (12.481, 0.0312, 0.3, 0.0, None)] == [
        "12.48",
        "0.031",
        "0.30",
        "0",
        "-",
    ]
