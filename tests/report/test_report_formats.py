"""CSV, Markdown, LaTeX and HTML hold the same cells, whatever characters names have."""

import csv
import html
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.comparison import Table, layout, mark_best, tidy
from bench.report.formats import escape_latex, to_csv, to_html, to_latex, to_markdown
from bench.report.tables import tables

NASTY = "<b>_50%_&_x|y_$z^2~\\#{}"
COLUMNS = [("", "", "Name"), ("A & B", "m_1", "paper"), ("A & B", "m_1", "ours"), ("C", "", "ours")]


@pytest.fixture
def nasty() -> Table:
    """Return a table whose words hold every special character."""
    body = [[NASTY, "1.0", "**2.0**", "-"], ["plain", "3", "4", "**5**"]]
    return Table("t", NASTY, NASTY, tidy([]), layout(COLUMNS, body), 1, (NASTY,))


def test_latex_escapes_everything(nasty):
    text = to_latex(nasty)
    bare = re.sub(r"\\[&%$#_{}]", "", text)
    assert not re.search(r"[#^~]", bare)
    assert "$z" not in bare
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert count_cells(line) == len(COLUMNS), line
    assert r"\textbf{2.0}" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert r"\multicolumn{2}{c}{A \& B}" in text
    assert r"\cmidrule(lr){2-3}" in text


def count_cells(line: str) -> int:
    """Return how many columns of a LaTeX row are filled, spans included."""
    spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
    return len(re.findall(r"(?<!\\)&", line)) + 1 + spans


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"])))
def test_latex_leaves_no_special_character_bare(text):
    words = r"\\(text[a-z]+|ldots)\{\}|\\[&%$#_{}]"
    bare = re.sub(rf"{words}|\$\\[A-Za-z]+\$|\$-\$|\$[_^][0-9t-]\$", "", escape_latex(text))
    assert not re.search(r"[&%$#_{}~^\\<>|]", bare)


def test_html_escapes_everything(nasty):
    text = to_html(nasty)
    assert "<b>" not in text
    assert html.escape(NASTY) in text
    assert "<strong>2.0</strong>" in text
    assert text.count("<tr") == text.count("</tr>") == 5


def test_markdown_rows_have_equal_cells(nasty):
    text = to_markdown(nasty)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(COLUMNS) + 1}
    assert "<b>" not in text
    assert "**2.0**" in text


def test_csv_is_plain(nasty):
    rows = list(csv.reader(io.StringIO(to_csv(nasty))))
    assert rows[0] == ["Name", "A & B | m_1 | paper", "A & B | m_1 | ours", "C | ours"]
    assert rows[1] == [NASTY, "1.0", "2.0", "-"]


def test_all_formats_hold_the_same_cells(run):
    """The layout read back from CSV and from HTML is the layout."""
    for table in tables(run):
        expected = [
            [str(cell).replace("**", "") for cell in row]
            for row in table.layout.to_numpy().tolist()
        ]
        assert list(csv.reader(io.StringIO(to_csv(table))))[1:] == expected
        body = to_html(table).partition("<tbody>")[2]
        found = [
            [html.unescape(re.sub("<[^>]+>", "", c)) for c in re.findall("<t[hd][^>]*>(.*?)</t", r)]
            for r in body.split("</tr>")[:-1]
        ]
        assert found == expected, table.name


@pytest.mark.parametrize("largest", [True, False])
def test_best_marks_every_best_and_never_a_lone_value(largest):
    marked = mark_best([1.0, None, 3.0, 1.0, 3.0], list("a-bcd"), largest=largest)
    assert marked == (
        ["a", "-", "**b**", "c", "**d**"] if largest else ["**a**", "-", "b", "**c**", "d"]
    )
    assert mark_best([1.0, None], ["a", "-"], largest=largest) == ["a", "-"]


def test_where_all_are_equal_none_is_the_best():
    assert mark_best([1.0, None, 1.0], ["a", "-", "b"], largest=True) == ["a", "-", "b"]
