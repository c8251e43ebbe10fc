"""A claim about several things is not decided by some of them."""

import re
from pathlib import Path

import pandas as pd
import pytest

from bench.report.claims import CLAIMS
from bench.report.claims_tables import numbers, time_embedding
from bench.report.evidence import NOTHING, Evidence, whole
from bench.report.quality import quality
from bench.report.tables import TABLES
from bench.report.verdicts import Label, Verdict, under

PAGE_JS = Path(__file__).parents[2] / "bench" / "report" / "page.js"


@pytest.mark.parametrize("label", [Label.REPRODUCED, Label.CONTRADICTED, Label.TIE])
def test_what_was_not_measured_leaves_a_claim_open(label):
    found = Evidence("words", "3 images", Verdict(label, "reason"))
    assert whole(found, []) is found
    lacking = whole(found, ["b", "a"])
    assert lacking.verdict.label is Label.MISSING and lacking.measured == "words"
    assert "a, b; its command does" in lacking.verdict.reason
    elsewhere = Evidence("words", "3", under("budget smoke", found.verdict))
    assert whole(elsewhere, ["a"]).verdict.label is Label.MISSING


def test_what_speaks_for_and_against_is_so_whatever_else_is_measured():
    found = Evidence("words", "3", Verdict(Label.DIFFERS, "some and some"))
    assert whole(found, ["a"]) is found
    assert whole(NOTHING, ["a"]) is NOTHING


def test_the_memory_of_one_network_is_not_table_5s(changed):
    def without(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[~((rows["task"] == "cost") & (rows["backbone"] != "unet"))]

    alone = TABLES["table5"](changed(without))
    for metric in ("mb", None):
        found = numbers(alone, metric)
        assert found.verdict.label is Label.MISSING
        assert "printed numbers measured in this run; its command does" in found.verdict.reason


def test_a_bm3d_that_is_told_a_wrong_level_is_not_the_papers(paper_run):
    def named(rows: pd.DataFrame) -> pd.DataFrame:
        return rows["denoiser"].astype(str).str.startswith("bm3d") & (rows["task"] == "denoise")

    rows = paper_run.rows.copy()
    if "assumed_sigma" not in rows:
        rows["assumed_sigma"] = None
    mine = named(rows)
    assert mine.any()
    rows.loc[mine, "denoiser"] = "bm3d+assumed_sigma=0.05"
    rows.loc[mine, "assumed_sigma"] = 0.05
    told = type(paper_run)(paper_run.manifest, rows, paper_run.folder)
    for claim in ("high-noise-lpips", "high-noise-ssim", "low-noise-best", "table4-ranks"):
        before, after = CLAIMS[claim](paper_run), CLAIMS[claim](told)
        assert before.verdict.label is not Label.MISSING, claim
        assert after.verdict.label in (Label.MISSING, Label.CONTRADICTED, Label.DIFFERS), claim
        assert "BM3D" in after.verdict.reason or after.verdict.label is not Label.MISSING


def test_the_best_restoration_is_soonest_by_both_metrics_or_not_at_all(paper_run):
    found = CLAIMS["restore-fewer-steps"](paper_run)
    assert "SSIM, t=50" in found.measured and "LPIPS, t=50" in found.measured


def test_a_run_without_the_released_network_says_nothing_of_its_time_embedding(run, changed):
    note = {"name": "cunet-released", "note": "The time embedding is looked up and never used."}

    def told(one):
        return time_embedding(type(one)({**one.manifest, "findings": [note]}, one.rows, one.folder))

    def renamed(rows: pd.DataFrame) -> pd.DataFrame:
        other = rows["backbone"].astype(str).str.startswith("cunet-released")
        return rows[~other]

    assert told(run).verdict.label is Label.CONTRADICTED
    assert told(changed(renamed)).verdict.label is Label.MISSING


def test_nothing_is_bold_that_no_interval_tells_apart(run):
    table = quality(run)
    assert table is not None
    assert not any("**" in str(cell) for row in table.layout.to_numpy() for cell in row)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5 ± 2", "1234.5"), ("(17.09)", "17.09"), ("x0.55 time", "0.55"), ("-3e-2", "-3e-2"),
        ("+0.1 (0.0 to 0.2)", "0.1"), ("differs (x1.34)", None), ("BM3D", None),
        ("unet-2.9g", None), ("not comparable: budget smoke, images 16", None),
        ("Section 4.1", None), ("-", None),
    ],
)  # fmt: skip
def test_a_column_is_sorted_by_numbers_only_where_they_come_first(text, value):
    (pattern,) = re.findall(r"\.match\(/(.+)/i\);", PAGE_JS.read_text())
    found = re.match(pattern, text.replace(",", ""), re.IGNORECASE)
    assert (found and found[1]) == value
