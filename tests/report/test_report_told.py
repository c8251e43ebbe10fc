"""A report says what a run has measured before what it leaves to other commands."""

import dataclasses
import re

import pytest

from bench.report import claims_tables, write_report
from bench.report.claims import claims
from bench.report.tables import tables as made_tables
from bench.report.told import counted, sorted_claims, sorted_tables
from bench.report.verdicts import Label

COMMAND = "python -m bench run table1 --budget small"


def asked_for(run, *experiments):
    manifest = {**run.manifest, "experiments": list(experiments), "command": COMMAND}
    return dataclasses.replace(run, manifest=manifest)


def without_costs(rows):
    return rows[~rows["task"].isin(["cost", "latency"])]


def test_every_claim_is_told_once_and_measured_ones_first(run):
    judged = claims(run)
    told = sorted_claims(judged)
    assert sorted(c.id for some in told for c in some) == sorted(c.id for c in judged)
    assert told.measured and told.elsewhere and told.untested
    assert {c.measured for c in told.measured}.isdisjoint("-")
    assert {c.verdict.label for c in told.elsewhere} == {Label.MISSING}
    assert {c.verdict.label for c in told.untested} == {Label.NOT_COMPARABLE}
    for some in told:
        assert some == [c for c in judged if c in some], "in their order"
    counts = re.sub(r" \(\d+ of them in part\)", "", counted(told))
    numbers = [int(number) for number in re.findall(r"\d+", counts)]
    assert numbers == [len(judged), *map(len, told)]


def test_a_claim_with_half_of_its_numbers_is_measured_in_part(run):
    told = sorted_claims(claims(run))
    whole = [c for c in told.measured if c.verdict.label is not Label.MISSING]
    assert " in part" not in counted(told._replace(measured=whole))
    verdict = dataclasses.replace(whole[0].verdict, label=Label.MISSING)
    partly = [dataclasses.replace(whole[0], verdict=verdict), *whole[1:]]
    wording = f"has measured {len(whole)} (1 of them in part), other"
    assert wording in counted(told._replace(measured=partly))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiments", "left"),
    [(["table1"], ["table5"]), (["table1", "table5"], []), ([], [])],
    ids=["not-asked", "asked", "unknown"],
)
def test_a_table_without_numbers_is_named_where_nobody_asked_for_it(changed, experiments, left):
    bare = asked_for(changed(without_costs), *experiments)
    tables = made_tables(bare)
    told = sorted_tables(bare, tables)
    titles = {table.name: table.title for table in tables}
    assert [title for title, _ in told.elsewhere] == [titles[name] for name in left]
    assert [table.name for table in told.shown] == [name for name in titles if name not in left]
    for (_, command), name in zip(told.elsewhere, left, strict=True):
        assert command == COMMAND.replace("table1", name)


def test_a_table_with_numbers_is_shown_whoever_asked(run):
    told = sorted_tables(asked_for(run, "theory"), made_tables(run))
    assert {table.name for table in told.shown} >= set(claims_tables.NAMES)


@pytest.mark.usefixtures("few_figures")
def test_both_pages_say_so(changed, tmp_path):
    write_report(asked_for(changed(without_costs), "table1"), tmp_path)
    page, text = (tmp_path / name for name in ("report.html", "report.md"))
    html, markdown = page.read_text("utf-8"), text.read_text("utf-8")
    command = COMMAND.replace("table1", "table5")
    for written in (html, markdown):
        assert "Tables that this run has no numbers of" in written and command in written
        assert re.search(r"Of \d+ claims this run has measured \d+", written)
    assert "\n## Table 5" not in markdown and 'id="table5"' not in html
    claims_part = markdown.split("## Table 1")[0]
    first, elsewhere = claims_part.split("### Left to other commands")
    assert "**missing**" not in first
    assert "### Tested by nothing here" in elsewhere
