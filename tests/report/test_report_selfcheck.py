"""The self-check on the page: shown where it was measured, loud where it failed."""

import pandas as pd

from bench.report.page import facts_of, render
from bench.report.selfcheck import selfcheck
from bench.report.tables import tables
from bench.report.told import Tables

ROWS = [
    {"canary": "psnr", "expected": 16.9897, "measured": 16.9897, "tolerance": 1e-9,
     "passed": True, "basis": "closed form", "fault": ""},
    {"canary": "noise", "expected": "ab12", "measured": "cd34", "tolerance": 0.0,
     "passed": False, "basis": "pinned <b>", "fault": ""},
    {"canary": "broken", "expected": 1.0, "measured": None, "tolerance": 0.1,
     "passed": False, "basis": "definition", "fault": "ZeroDivisionError: division by zero"},
]  # fmt: skip


def with_canaries(rows, checks, **head):
    about = {"key": "c1", "task": "canary", "status": "ok", "reason": "", "label": "canary quality"}
    added = pd.DataFrame([{**about, **head, **check} for check in checks])
    return pd.concat([rows, added], ignore_index=True)


def page(run):
    return render(facts_of(run), [], Tables([], []), [])


def test_a_run_without_says_nothing(run, empty):
    for one in (run, empty):
        assert not selfcheck(one) and selfcheck(one).warning == ""
        assert "elf-check" not in page(one)


def test_passed_checks_are_listed_without_alarm(changed):
    run = changed(lambda rows: with_canaries(rows, ROWS[:1]))
    assert selfcheck(run).summary == "1 of 1 known answers were found"
    text = page(run)
    assert 'class="alarm"' not in text
    assert 'id="selfcheck"' in text and 'href="#selfcheck"' in text
    assert '<td class="passed">passed</td>' in text and "+- 1e-09" in text


def test_a_failed_check_is_told_before_every_number(changed):
    run = changed(lambda rows: with_canaries(rows, ROWS))
    found = selfcheck(run)
    assert [check.name for check in found.checks] == ["noise", "broken", "psnr"]
    assert "noise: expected ab12, measured cd34" in found.warning
    assert "broken: expected 1, measured ZeroDivisionError" in found.warning
    text = page(run)
    assert text.index('class="alarm"') < text.index("<main>")
    assert "<b>" not in text[text.index('id="selfcheck"') : text.index('id="faults"')]


def test_a_self_check_that_did_not_run_is_as_bad(changed):
    head = {"status": "crashed", "reason": "SIGSEGV"}
    run = changed(lambda rows: with_canaries(rows, [{}], **head))
    assert "'canary quality' is crashed (SIGSEGV)" in selfcheck(run).warning
    assert 'class="alarm"' in page(run)


def test_the_markdown_tells_the_same(changed):
    from bench.report.markdown import report_markdown

    facts = facts_of(changed(lambda rows: with_canaries(rows, ROWS)))
    text = report_markdown(facts, [], Tables([], []), drawn=[], pictures={})
    assert text.index("self-check of this run failed") < text.index("## Claims")
    assert "## Self-check" in text and "1 of 3 known answers" in text


def test_tables_do_not_change(run, changed):
    before = tables(run)
    for checks in (ROWS, ROWS[:1]):
        beside = changed(lambda rows, checks=checks: with_canaries(rows, checks))
        for one, other in zip(before, tables(beside), strict=True):
            pd.testing.assert_frame_equal(one.comparison, other.comparison)
            assert one.notes == other.notes
