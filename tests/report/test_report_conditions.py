"""What a verdict depends on beside the number: budget, data, block, recipe, and lost records."""

import dataclasses

import pandas as pd
import pytest
from report_builder import FakeRun

from bench.report.claims import claims
from bench.report.page import facts_of
from bench.report.rows import budget, budget_measured, counts, data_words
from bench.report.tables import TABLES
from bench.report.verdicts import Label

JUDGED = {Label.REPRODUCED.value, Label.DIFFERS.value}


def with_manifest(run: FakeRun, **keys) -> FakeRun:
    """Return a run with further keys in its manifest."""
    return dataclasses.replace(run, manifest={**run.manifest, **keys})


def measured(run: FakeRun, name: str, **where) -> pd.DataFrame:
    """Return the lines of a table that have both numbers and no time."""
    lines = TABLES[name](run).comparison
    lines = lines[lines["ours"].notna() & lines["paper"].notna() & (lines["unit"] != "s")]
    for column, value in where.items():
        lines = lines[lines[column] == value]
    return lines


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ([], "paper"),
        (["scale", "train.updates"], "paper with scale, train.updates changed"),
        (["a", "b", "c", "d"], "paper with a, b, c, ... changed"),
        ("scale", "paper with scale changed"),
    ],
)
def test_a_changed_budget_is_another_budget(paper_run, changed, words):
    run = with_manifest(paper_run, changed_settings=changed)
    assert budget(run) == "paper"
    assert budget_measured(run) == words


@pytest.mark.parametrize("name", ["table1", "table2", "table4"])
def test_changed_settings_make_every_number_incomparable(paper_run, name):
    run = with_manifest(paper_run, changed_settings=["train.updates"])
    lines = measured(run, name)
    assert set(lines["verdict"]) == {Label.NOT_COMPARABLE.value}
    assert lines["reason"].str.contains("paper with train.updates changed instead of paper").all()


def test_the_manifest_decides_whether_the_data_is_the_papers(paper_run):
    part = with_manifest(paper_run, same_data=False)
    lines = measured(part, "table2")
    assert lines["reason"].str.contains("data a part of CelebA instead of CelebA").all()
    table = TABLES["table1"](part)
    assert ("CelebA (ours: a part of CelebA)", "FID", "paper") in list(table.layout.columns)
    assert set(measured(part, "table1")["column"]) == {"a part of CelebA"}
    for same in (True, None):
        whole = with_manifest(paper_run, same_data=same)
        assert data_words(whole, "celeba") == "CelebA"
        assert set(measured(whole, "table4")["verdict"]) <= JUDGED
    assert data_words(part, "mnist") == "MNIST"  # the key speaks of the run's own data
    assert data_words(with_manifest(paper_run, dataset="digits", same_data=True), "digits") == (
        "digits"
    )


def test_only_the_default_estimate_is_judged(paper_run):
    lines = measured(paper_run, "table2")
    current = lines["protocol"].str.contains("estimate current")
    assert set(lines.loc[current, "verdict"]) <= JUDGED
    assert set(lines.loc[~current, "reason"]) == {"estimate x0 instead of current"}
    assert sum(lines["verdict"].isin(JUDGED)) == sum(current) == 12


@pytest.mark.parametrize("name", ["table2", "table4"])
def test_another_schedule_is_not_judged(paper_run, name):
    rows = paper_run.rows.assign(schedule=paper_run.rows["schedule"].replace("sigmoid", "linear"))
    lines = measured(dataclasses.replace(paper_run, rows=rows), name)
    assert len(lines)
    assert lines["reason"].str.contains("schedule linear instead of sigmoid").all()


def test_a_restoration_by_another_recipe_is_not_judged(paper_run):
    rows = paper_run.rows.assign(recipe="corrected")
    lines = measured(dataclasses.replace(paper_run, rows=rows), "table2")
    assert len(lines)
    assert lines["reason"].str.contains("recipe corrected instead of authors").all()


@pytest.mark.slow
def test_another_recipe_stands_beside_and_decides_no_claim(paper_run):
    mine = paper_run.rows[paper_run.rows["task"] == "frechet"]
    rows = pd.concat([paper_run.rows, mine.assign(recipe="corrected")], ignore_index=True)
    both = dataclasses.replace(paper_run, rows=rows)
    lines = measured(both, "table1")
    other = lines["protocol"].str.contains("recipe corrected")
    assert set(lines.loc[other, "reason"]) == {"recipe corrected instead of authors"}
    assert set(lines.loc[~other, "verdict"]) <= JUDGED
    before, after = ({c.id: c.verdict for c in claims(r)} for r in (paper_run, both))
    assert before["fewer-steps"] == after["fewer-steps"]
    assert "recipe" not in before["fewer-steps"].reason


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4"])
def test_tables_say_which_network_is_the_cunet(run, empty, name):
    for source in (run, empty):
        assert any("cunet-released" in note for note in TABLES[name](source).notes)


@pytest.mark.parametrize("given", [None, 3, ["ok"], {"ok": "many"}, "text"])
def test_cells_are_counted_in_the_rows(run, given):
    odd = with_manifest(run, counts=given)
    lost = {"key": "lost", "task": "frechet", "status": "missing", "label": "frechet lost"}
    odd.rows = pd.concat([run.rows, pd.DataFrame([lost])], ignore_index=True)
    assert facts_of(odd)["counts"] == {"ok": run.rows["key"].nunique(), "missing": 1}
    assert [f["label"] for f in facts_of(odd)["faults"]] == ["frechet lost"]


def test_no_rows_no_counts(empty):
    assert counts(empty) == {}


def test_plug_ins_of_others_are_named_with_their_origin(run):
    about = {"kind": "backbone", "name": "visitor", "distribution": "<dist>", "version": "1.0"}
    odd = FakeRun({**run.manifest, "guests": [{**about, "source": "a stranger"}]}, run.rows, None)
    told = facts_of(odd)["provenance"]["Plug-ins of others"]
    assert told == "backbone visitor of <dist> 1.0 (a stranger)"
    assert "Plug-ins of others" not in facts_of(run)["provenance"]


def test_what_a_network_lacks_without_declaring_it_is_a_finding(run):
    rows = run.rows.copy()
    rows["undeclared"] = None
    for at in rows.index[(rows["task"] == "cost") & (rows["backbone"] == "cunet")]:
        rows.at[at, "undeclared"] = ["step-dependence"]
    odd = FakeRun(run.manifest, rows, run.folder)
    (found,) = [one for one in facts_of(odd)["findings"] if "moved a little" in one["note"]]
    assert found["name"] == "cunet"
    assert "the same at the first and the last diffusion step" in found["note"]
    assert facts_of(run)["findings"] == run.manifest.get("findings", [])
