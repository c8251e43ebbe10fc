"""Numbers know their records, records their commands, and no name can inject anything."""

import copy
import re
import shlex
from collections import Counter
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_builder import FakeRun

from bench.report.again import CONTRACTS, cell_again, claim_again
from bench.report.claims import CLAIMS, HEADLINE, Claim, claims
from bench.report.claims import TABLES as CLAIMED_TABLES
from bench.report.claims_theory import THEORY
from bench.report.comparison import Table, layout, tidy
from bench.report.figure import Drawn, Figure
from bench.report.formats import to_html
from bench.report.page import facts_of, policy_hash, render
from bench.report.paper import published
from bench.report.plots import FIGURES
from bench.report.records import anchor, panels
from bench.report.tables import tables
from bench.report.told import Tables, sorted_tables
from bench.report.verdicts import Label, Verdict

VOID = {"meta", "img", "input", "br", "hr"}


class Outline(HTMLParser):
    """The elements of a page, and whether each is closed where it should be."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.count: Counter = Counter()
        self.ids: Counter = Counter()
        self.links: set[str] = set()
        self.feed(text)
        self.faults += [f"{tag} is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        for name, value in attrs:
            self.count[f"@{name}"] += 1
            if name == "id":
                self.ids[value] += 1
            if name == "href":
                self.links.add(value)
        if len(dict(attrs)) != len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} is closed where it is not open")


def page_of(run) -> str:
    drawn = [Drawn(FIGURES[0], (), "none in this run")]
    told = sorted_tables(run, tables(run))
    return render(facts_of(run), claims(run), told, drawn, panels=panels(run))


@pytest.fixture(scope="module")
def outline(run) -> Outline:
    return Outline(page_of(run))


def test_the_page_is_well_formed(outline):
    assert outline.faults == []
    assert [name for name, count in outline.ids.items() if count > 1] == []
    assert outline.count["main"] == outline.count["h1"] == outline.count["script"] == 1
    assert outline.count["@style"] == 0, "the policy allows no style but that in the head"


def test_every_link_within_the_page_leads_somewhere(outline):
    inside = {link.removeprefix("#") for link in outline.links if link.startswith("#")}
    assert len(inside) > 50
    assert inside <= set(outline.ids)


def test_every_number_of_ours_has_its_record(run):
    keys = set(run.rows["key"])
    for table in tables(run):
        lines = table.comparison
        there = lines[lines["ours"].notna()]
        assert (there["records"] != "").all(), table.name
        assert {key for text in there["records"] for key in text.split()} <= keys
        assert (lines.loc[lines["ours"].isna(), "records"] == "").all()


def test_a_number_of_a_layout_leads_to_the_record_it_was_read_from(run):
    """The record holds the number, or twice of it where a time is calls x latency."""
    by_anchor = {anchor(key): rows for key, rows in run.rows.groupby("key")}
    text = to_html(next(table for table in tables(run) if table.name == "table5"))
    found = re.findall(r'href="#([^"]+)" title="(\w+) = [^"]+">([^<]+)</a>', text)
    assert len(found) > 20
    columns = {"parameters": ("parameters", 0), "gflops": ("gmacs_authors", 2)}
    columns["mb"] = ("checkpoint_mib", 1)
    checked = 0
    for place, metric, number in found:
        if metric in columns:
            column, digits = columns[metric]
            assert number == f"{by_anchor[place][column].iloc[0]:,.{digits}f}"
            checked += 1
    assert checked > 10


def two_lines(first: float, second: float, rows=("A", "B")) -> Table:
    about = {"table": "t", "column": "c", "metric": "m", "unit": "1", "paper": None}
    lines = tidy([]).reindex(range(2)).astype(object)
    for i, (row, value) in enumerate(zip(rows, (first, second), strict=True)):
        for name, cell in {**about, "row": row, "ours": value, "records": f"k{i}"}.items():
            lines.loc[i, name] = cell
    lines[["protocol", "verdict"]] = ""
    body = [["A", "0.50"], ["B", "0.50"], ["C", "0.50"]]
    return Table("t", "T", "", lines, layout([("", "", "Name"), ("g", "m", "ours")], body), 1)


def test_a_number_is_linked_by_its_row_and_not_by_its_value_alone():
    text = to_html(two_lines(0.501, 0.499))
    assert re.findall(r'href="#record-(k\d)"', text) == ["k0", "k1"]


def test_a_number_that_could_be_of_two_records_is_not_linked():
    assert "href" not in to_html(two_lines(0.501, 0.499, rows=("", "")))


def test_a_number_that_no_line_rounds_to_is_not_linked():
    assert "href" not in to_html(two_lines(0.507, 0.493))


def with_command(run, command: str) -> FakeRun:
    return FakeRun({**run.manifest, "command": command}, run.rows, run.folder)


def test_commands_keep_what_changes_numbers_and_leave_out_where_they_go(run):
    asked = "python -m bench run all --budget small --set 'a.b=1 2' --out=/x --workers 3 --only z"
    narrowed = claim_again(with_command(run, asked), "faster")
    assert shlex.split(narrowed) == [
        *("python", "-m", "bench", "run", "table5", "--budget", "small"),
        *("--set", "a.b=1 2", "--only", "latency*"),
    ]


def test_a_label_is_matched_literally(run):
    command = shlex.split(cell_again(run, "train [x] * $(rm) 'a'"))
    assert command[command.index("--only") + 1] == "train [[]x] [*] $(rm) 'a'"


@pytest.mark.parametrize("command", ["", "unknown", "make all", "python -m bench run 'open"])
def test_an_unknown_command_gives_none_for_a_cell(run, command):
    assert cell_again(with_command(run, command), "x") == ""


def test_every_claim_has_a_command(run):
    from bench.api import ENTRIES, Kind
    from bench.registry import discover

    discover()
    experiments = {name for kind, name in ENTRIES if kind == Kind.EXPERIMENT}
    tested = published("claims").query("why == ''")["id"]
    assert set(tested) == {*CLAIMS, *CLAIMED_TABLES, *THEORY}, "or says why not"
    assert set(HEADLINE) <= set(tested)
    for name in tested:
        if name in CONTRACTS:
            continue
        assert shlex.split(claim_again(run, name))[4] in experiments, name


def test_a_record_tells_what_it_is_made_of(run):
    key = "ab" * 32
    record = {
        "key": key, "task": "train", "label": "train x", "status": "ok", "reason": "",
        "spec": {"seed": 7, "denoiser": {"name": "x"}}, "uses": [key],
        "files": {"w.safetensors": {"bytes": 3, "sha256": "cd" * 32}},
        "made": {"seconds": 1.25, "machine": {"cpu": "Old <CPU>"}, "git": {"commit": "ef" * 20}},
    }  # fmt: skip
    made = FakeRun(run.manifest, run.rows, run.folder)
    made.records = [record]
    (panel,) = panels(made)
    facts = dict(panel.facts)
    assert panel.anchor == f"record-{key[:16]}" and panel.uses == ((panel.anchor, "train x"),)
    assert (facts["Seed"], facts["Took"], facts["Machine"]) == ("7", "1.2 s", "Old <CPU>")
    assert "cd" * 32 in facts["Files"] and facts["Commit"] == "ef" * 20


@pytest.mark.parametrize("damage", [{}, {"made": None, "spec": 3, "files": [], "basis": "x"}])
def test_records_of_other_versions_are_shown_as_far_as_they_go(run, damage):
    made = FakeRun(run.manifest, run.rows, run.folder)
    made.records = [{"key": "k", **damage}]
    assert [panel.label for panel in panels(made)] == ["k"]


LETTERS = "<>&\"'`=/\\*|#;{}%!-( )\nscriptonx\u2028é"
NASTY = st.text(st.sampled_from(LETTERS), min_size=1, max_size=40)
WORSE = st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "{{ 7 * 7 }}{% raw %}",
        "--><svg/onload=alert(1)>",
        "**<b>**",
        "</style><style>*{}",
        "]]>&lt;b&gt;",
    ]
)


def page_with(run, word: str) -> str:
    """Return a page with a word in every place that another person's words can come to."""
    rows = run.rows[run.rows["task"] == "ladder"]
    fault = {"key": word, "task": "train", "label": word, "status": "failed", "reason": word}
    rows = pd.concat([rows, pd.DataFrame([fault])], ignore_index=True)
    manifest = copy.deepcopy(run.manifest)
    manifest |= {"run": word, "dataset": word, "findings": [{"name": word, "note": word}]}
    manifest["machine"]["cpu"] = manifest["git"]["commit"] = word
    named = two_lines(0.501, 0.499, rows=("A", word))
    told = {"protocol": word, "metric": word, "paper": 1.0, "verdict": "tie", "reason": word}
    lines = named.comparison.assign(**told)
    body = [["A", "0.50", "**1**"], [word, "0.50", "-"]]
    heads = [("", "", word), (word, word, "ours"), ("", "", "paper")]
    table = Table("t", f"T: {word}", word, lines, layout(heads, body), 1, (word,))
    verdict = Verdict(Label.NOT_COMPARABLE, word, 2.0, Label.TIE)
    judged = [Claim(name, word, word, word, word, verdict) for name in CLAIMS]
    figure = Figure(word, word, word, FIGURES[0].draw)
    made = FakeRun(manifest, rows, run.folder)
    drawn = [Drawn(figure, (), word)]
    named_only = Tables([table], [(word, word)])
    return render(facts_of(made), judged, named_only, drawn, panels=panels(made))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=NASTY | WORSE)
def test_no_word_injects_anything(run, text):
    """The same page with a harmless word in that place has the same elements and attributes."""
    whole = page_with(run, f"x{text}x")
    nasty, plain = Outline(whole), Outline(page_with(run, "xplainx"))
    assert nasty.faults == []
    assert nasty.count == plain.count
    assert whole.count("<script>") == 1


@pytest.mark.slow
def test_no_name_of_a_network_injects_anything(changed):
    """Through all tables and claims, as a plug-in of that name would come."""
    word = "x\"><script>alert(1)</script><b a='**"
    text = page_of(changed(lambda rows: rows.replace({"cunet-released": word, "conv-ae": word})))
    assert Outline(text).faults == []
    assert text.count("<script>") == 1 and text.count("alert(1)") > 5


def test_the_policy_names_the_very_script_of_the_page(run):
    """A browser then runs no other, wherever it should come from."""
    text = page_of(run)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL).group(1)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text).group(1)
    assert f"script-src '{policy_hash(script)}'" in policy
    assert f"style-src '{policy_hash(style)}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
