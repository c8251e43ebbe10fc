"""What stands beside a distance: interval, limit, floor, KID; quality and memorisation; names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.report import style
from bench.report.curves import curves, distance_name
from bench.report.fig_distance import draw_distance
from bench.report.fig_pairs import draw_pairs
from bench.report.paired import worst_case
from bench.report.tables import TABLES, tables, write_tables
from bench.runs import load_run

HOME = Path(__file__).resolve().parents[2]
QUICK = ("celeba-32", "digits-smoke", "mnist-small")
"""Reference runs that have every kind of row between them."""


def cells(table) -> list[list[str]]:
    """Return the layout without marks."""
    return [[str(c).replace("**", "") for c in row] for row in table.layout.to_numpy().tolist()]


def tidy(table, **where) -> pd.DataFrame:
    """Return the tidy lines with these values."""
    lines = table.comparison
    for column, value in where.items():
        lines = lines[lines[column] == value]
    return lines


def few_images(rows):
    return rows.assign(dimension=2048, leads=rows["leads"].replace("frechet", "kid"))


@pytest.mark.parametrize("early", [False, True])
def test_fewer_images_than_dimensions_puts_the_distance_in_brackets(changed, early):
    """The kernel distance comes first; also in runs that do not say which of the two leads."""
    table = TABLES["table1"](
        changed(lambda rows: few_images(rows).drop(columns=["leads"] if early else []))
    )
    group = "MNIST (ours: digits)"
    assert table.layout.columns[2] == (group, "KID (alexnet) ± SE", "ours")
    assert [row[2] for row in cells(table)] == ["0.0130 ± 0.0010", "0.0120 ± 0.0010"]
    assert cells(table)[0][4] == "(1.30)"
    assert table.layout[group, "95 % interval", "ours"].iloc[0] == "(1.15 to 1.45)"
    assert any("KID leads" in note for note in table.notes)


def test_table1_says_how_far_a_distance_can_be_believed(run):
    table = TABLES["table1"](run)
    mine = table.layout["MNIST (ours: digits)"].iloc[1]
    assert mine["95 % interval", "ours"] == "1.05 to 1.35"
    assert mine["N → ∞ ± SE", "ours"] == "0.90 ± 0.08"
    assert mine["KID (alexnet) ± SE", "ours"] == "0.0120 ± 0.0010"
    assert mine["Floor (N)", "ours"] == "0.40 (256)"
    assert mine["N (generated / real)", "ours"] == "256 / 256"
    limit = tidy(table, row="cU-Net", metric="Fréchet distance (alexnet), N to infinity").iloc[0]
    assert (limit["ours"], limit["low"], limit["high"]) == pytest.approx((0.9, 0.7, 1.1))
    assert "through N = 128, 192, 256;" in limit["protocol"]
    floor = tidy(table, row="cU-Net", metric="Fréchet distance (alexnet), floor").iloc[0]
    assert (floor["ours"], floor["n"]) == (0.4, 256)


def test_a_limit_is_given_where_there_are_more_images_than_dimensions(changed):
    """Of fewer the distances are no line in 1 / N, and the intercept is sure of a wrong number."""
    table = TABLES["table1"](changed(few_images))
    assert not any("N → ∞" in str(name) for name in table.layout.columns)
    assert not tidy(table)["metric"].str.contains("infinity").any()
    assert not any("N → ∞" in note for note in table.notes)


def test_columns_that_a_run_lacks_are_left_out(changed):
    lacking = ["infinity", "infinity_se", "floor", "kid", "precision", "recall", "density"]
    lacking += ["coverage", "nearest_training", "nearest_training_held_out", "nearest_share"]
    found = tables(changed(lambda rows: rows.drop(columns=lacking)))
    assert [table.name for table in found] == [f"table{i}" for i in range(1, 6)]
    headings = {column[1] for column in found[0].layout.columns}
    assert not {h for h in headings if h.startswith(("N →", "Floor", "KID"))}
    assert "95 % interval" in headings


def test_early_runs_have_the_same_comparisons_with_the_paper(run, changed):
    """What newer versions measure beside the paper's numbers changes no verdict on them."""
    new = [f for f in run.rows.columns if f.startswith(("infinity", "nearest", "n_", "leads"))]
    new = [name for name in new if name not in ("n_generated", "n_real")]
    new += ["precision", "recall", "density", "coverage", "kid_leave_one_out", "floor_against"]
    early = tables(changed(lambda rows: rows.drop(columns=new)))
    for old, table in zip(early, tables(run), strict=False):
        one, two = (t.comparison[t.comparison["paper"].notna()] for t in (old, table))
        pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))


def test_the_quality_table(run):
    table = tables(run)[-1]
    assert table.name == "quality"
    first, second = cells(table)
    assert first[:6] == ["digits", "alexnet", "authors, ddim", "U-Net", "50", "256"]
    assert first[6:10] == ["0.770", "0.530", "0.970", "0.820"]
    assert second[6:10] == ["0.780", "0.520", "0.980", "0.830"]
    assert second[10:] == ["6.200", "6.100", "0.012"]
    assert tidy(table, row="U-Net", metric="recall")["ours"].iloc[0] == pytest.approx(0.53)
    assert any("512 training images" in note for note in table.notes)


def judged_run(run, **changes):
    """Return the run with a judge and what it says of every set of Table 1."""
    judge = {
        "key": "judge-0", "task": "judge", "label": "judge digits", "status": "ok", "reason": "",
        "dataset": "digits", "accuracy": 0.982, "accuracy_low": 0.964, "accuracy_high": 0.991,
        "confident": 0.937, "confident_low": 0.909, "confident_high": 0.957, "threshold": 0.9,
        "n_train": 1400, "n_test": 397, "label_smoothing": 0.0, "weights_sha": "ef" * 32,
    }  # fmt: skip
    columns = ["denoiser", "dataset", "recipe", "sampler", "steps", "image_size", "scale"]
    sets = run.rows[run.rows["task"] == "frechet"]
    said = sets[columns].assign(
        key=[f"judged-{i}" for i in range(len(sets))],
        task="judged", status="ok", reason="", label="judged",
        confident=0.5 + sets["steps"] / 200, confident_low=0.4, confident_high=0.9,
        tv_uniform=0.2 - sets["steps"] / 500, tv_uniform_low=0.0, tv_uniform_high=0.3,
        tv_uniform_floor=0.0745, n_generated=256, judge_sha="ef" * 32,
    )  # fmt: skip
    more = pd.concat([pd.DataFrame([judge]), said]).assign(**changes)
    return type(run)(run.manifest, pd.concat([run.rows, more], ignore_index=True), run.folder)


def test_the_classes_stand_beside_real_images_and_the_floor(run):
    table = tables(judged_run(run))[-1]
    assert table.name == "quality"
    headings = ["confident", "confident, real", "TV", "TV floor"]
    assert [column[1] for column in table.layout.columns if column[0] == "Classes"] == headings
    first, second = cells(table)  # at 50 and at 20 steps, those of the smallest distance
    assert first[-4:] == ["0.750", "0.937", "0.100", "0.074"]
    assert second[-4:] == ["0.600", "0.937", "0.160", "0.074"]
    assert not any("**" in text for text in table.layout.iloc[0, -4:])  # intervals overlap
    line = tidy(table, row="U-Net", metric="classes: confident").iloc[0]
    assert (line["ours"], line["low"], line["high"], line["n"]) == (0.75, 0.4, 0.9, 256)
    real = tidy(table, row="U-Net", metric="classes: confident, real").iloc[0]
    assert (real["n"], real["records"]) == (397, "judge-0")
    assert any("98.2 % (96.4 to 99.1) of 397" in note for note in table.notes)
    assert any("learnt 1,400 labelled training images" in note for note in table.notes)


def test_what_a_judge_of_other_data_says_is_not_taken(run):
    assert cells(tables(judged_run(run, dataset="mnist"))[-1]) == cells(tables(run)[-1])


def test_a_judge_that_failed_is_named_beneath(run):
    failed = judged_run(run, status="failed", reason="no labels here")
    table = tables(failed)[-1]
    assert cells(table) == cells(tables(run)[-1])
    assert any("judge digits: failed (no labels here)" in note for note in table.notes)


@pytest.mark.parametrize("features", ["alexnet", "vgg16", "inception-like"])
def test_no_other_distance_is_called_fid(changed, features, tmp_path):
    """In tables of every format only the paper's column says FID."""
    one = changed(lambda rows: few_images(rows).assign(features=features))
    found = tables(one)
    write_tables(found, tmp_path)
    name = f"Fréchet distance ({features})"
    for table in found:
        measured = {c[1] for c in table.layout.columns if c[0].endswith("(ours: digits)")}
        assert not measured & {"KID ± SE"}
        assert "FID" not in {c[1] for c in table.layout.columns if c[2] == "ours" and name in c[1]}
        lines = table.comparison[table.comparison["ours"].notna()]
        assert not {"FID", "KID"} & set(lines["metric"])
    for ending in ("csv", "md", "tex", "tidy.csv"):
        assert name in (tmp_path / f"table1.{ending}").read_text()
    assert distance_name(features) == name
    assert distance_name("inception") == "FID"


def axis_labels(run, monkeypatch):
    """Return the labels of the axes of distances."""
    kept = []
    monkeypatch.setattr(style, "save", lambda figure, *_: kept.append(figure) or [])
    draw_distance(run, None)
    return [axes.get_ylabel() for axes in kept[0].axes]


def test_axes_are_called_after_the_features(run, changed, paper_run, monkeypatch):
    assert axis_labels(run, monkeypatch) == ["Fréchet distance (alexnet)"]
    assert axis_labels(paper_run, monkeypatch) == ["FID"]
    few = axis_labels(changed(few_images), monkeypatch)
    assert few == ["KID (alexnet)", "Fréchet distance (alexnet), few images"]


def test_the_closest_pairs_are_drawn(run, changed, tmp_path):
    assert [path.name for path in draw_pairs(run, tmp_path)] == [
        "closest_pairs.png",
        "closest_pairs.svg",
    ]
    missing = changed(lambda rows: rows.assign(key="gone"))
    assert draw_pairs(missing, tmp_path) == "no closest pairs in this run"


def test_shared_errors_of_the_blocks_do_not_blur_the_best_steps(run):
    """Both networks' curves tip to and fro together: the difference of their bests stays.

    Separately the ranges of the two overlap, and a worst case would be a tie.
    """
    tip = np.linspace(-1, 1, 8)

    def tipped(rows):
        values = (
            rows["steps"]
            .map({5: 1.0, 10: 0.96, 20: 0.9, 50: 0.93})
            .where(
                rows["denoiser"] == "diffusion:cunet",
                rows["steps"].map({5: 9.0, 10: 1.0, 20: 0.93, 50: 0.9}),
            )
        )
        lean = rows["steps"].map({5: 3, 10: 1, 20: 0, 50: -1}) * 0.02
        cells = [(v + e * tip).tolist() for v, e in zip(values, lean, strict=True)]
        return rows.assign(frechet=values, leave_one_out=cells)

    rows = run.rows.copy()
    chosen = rows["task"] == "frechet"
    new = tipped(rows[chosen])
    for column in ("frechet", "leave_one_out"):
        rows.loc[chosen, column] = new[column]
    found = {c.backbone: c for c in curves(type(run)(run.manifest, rows, run.folder))}
    value, low, high = found["cunet"].steps_beyond(found["unet"])
    assert value == -30
    assert low <= value <= high
    separate = worst_case(*(found[name].best_steps.triple for name in ("cunet", "unet")))
    assert separate[1] <= low
    assert high < separate[2]


def test_other_blocks_have_no_paired_difference(run, changed):
    one = {c.backbone: c for c in curves(run)}
    rows = changed(lambda rows: rows.assign(leave_one_out=[[1.0] * 3] * len(rows)))
    assert one["cunet"].steps_beyond(curves(rows)[0]) is None


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, marks=[] if place.name in QUICK else pytest.mark.slow)
        for place in sorted((HOME / "results" / "reference").glob("*"))
    ],
)
def test_the_reference_runs_can_still_be_rendered(place, tmp_path):
    run = load_run(place)
    written = write_tables(tables(run), tmp_path)
    assert {path.name for path in written} >= {"table1.md", "table5.tex"}
    for path in (place / "tables").glob("*.tidy.csv"):
        old, new = (pd.read_csv(folder / path.name) for folder in (place / "tables", tmp_path))
        judged = ["row", "column", "metric", "paper", "ours", "verdict", "factor"]
        one, two = (t[t["paper"].notna()][judged].reset_index(drop=True) for t in (old, new))
        pd.testing.assert_frame_equal(one, two)
