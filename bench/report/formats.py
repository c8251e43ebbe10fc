"""A table's layout as CSV, Markdown, LaTeX and HTML.

A cell is plain text in which `**...**` marks the best value. Names may hold any character, so each
format escapes first and then turns the marks into its own.
"""

import csv
import html
import io
import itertools
import re
import unicodedata
from collections.abc import Callable

from bench.report.comparison import Table
from bench.report.linked import Lines, Source, lines_of, numbers, place_of

BOLD = re.compile(r"\*\*([^*]+)\*\*")
LONGEST = 170
"""Characters of a claim's cell on a first screen."""
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "σ": r"$\sigma$",
    "×": r"$\times$",
    "−": r"$-$",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "·": r"$\cdot$",
    "δ": r"$\delta$",
    "Δ": r"$\Delta$",
    "ₜ": r"$_t$",
    "\n": " ",
    **{superscript: f"$^{i}$" for i, superscript in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{subscript: f"$_{i}$" for i, subscript in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    "⁻": "$^-$",
    "–": "--",
    "—": "---",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
}
UNKNOWN = "?"
"""What stands in LaTeX for a character that the article class cannot print."""


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is, with any engine and the article class alone."""
    return "".join(LATEX.get(character) or _printable(character) for character in str(text))


def _printable(character: str) -> str:
    """Return a character that needs no package: ASCII, or a letter with an accent; else a mark."""
    accented = len(unicodedata.normalize("NFD", character)) == 2 and character.isalpha()
    printed = " " <= character <= "~" or (accented and character <= "\xff")
    return character if printed else UNKNOWN


def escape_markdown(text: str) -> str:
    """Return text that is safe in a Markdown table cell and does not open HTML."""
    text = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("[", "\\[").replace("`", "\\`")


def _cells(table: Table, escape: Callable[[str], str], mark: str) -> list[list[str]]:
    """Return the body escaped; `mark` is what a best value becomes, a template of `re.sub`."""
    rows = []
    for row in table.layout.itertuples(index=False, name=None):
        names = [escape(cell) for cell in row[: table.labels]]
        values = [BOLD.sub(mark, escape(cell)) for cell in row[table.labels :]]
        rows.append(names + values)
    return rows


def _flat(column: tuple[str, ...]) -> str:
    return " | ".join(part for part in column if part)


def to_csv(table: Table) -> str:
    """Return the layout as CSV, one header row, without marks."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_flat(column) for column in table.layout.columns])
    writer.writerows(_cells(table, str, r"\1"))
    return out.getvalue()


def to_markdown(table: Table, level: int = 2) -> str:
    """Return title, caption, layout and notes as Markdown."""
    header = [
        escape_markdown(", ".join(part for part in column if part))
        for column in table.layout.columns
    ]
    body = _cells(table, escape_markdown, r"**\1**")
    rule = ["---"] * table.labels + ["---:"] * (len(header) - table.labels)
    lines = [f"| {' | '.join(row)} |" for row in (header, rule, *body)]
    notes = [f"- {escape_markdown(note)}" for note in table.notes if note]
    text = f"{'#' * level} {escape_markdown(table.title)}\n\n{escape_markdown(table.caption)}\n\n"
    text += "\n".join(lines) + "\n"
    return text + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _spans(table: Table, depth: int) -> list[tuple[str, int]]:
    """Return the header cells of one row: equal neighbours below the same group are one."""
    keys = [column[: depth + 1] for column in table.layout.columns]
    return [(key[-1], len(list(same))) for key, same in itertools.groupby(keys)]


def to_latex(table: Table) -> str:
    """Return a float for LaTeX; needs the packages booktabs and graphicx."""
    columns = len(table.layout.columns)
    lines = [
        "% \\usepackage{booktabs,graphicx}",
        r"\begin{table}[t]",
        r"\centering",
        f"\\caption{{{escape_latex(_untitled(table))}}}",
        f"\\label{{tab:{table.name}}}",
        r"\resizebox{\textwidth}{!}{%",
        f"\\begin{{tabular}}{{{'l' * table.labels}{'r' * (columns - table.labels)}}}",
        r"\toprule",
    ]
    for depth in range(3):
        spans = _spans(table, depth)
        if not any(name for name, _ in spans):
            continue
        lines.append(" & ".join(_multicolumn(name, width) for name, width in spans) + r" \\")
        lines += _midrules(spans) if depth < 2 else []
    lines.append(r"\midrule")
    body = _cells(table, escape_latex, r"\\textbf{\1}")
    lines += [" & ".join(row) + r" \\" for row in body]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    notes = [escape_latex(note) for note in table.notes if note]
    if notes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\textwidth}\footnotesize"]
        lines += ["\\par\n".join(notes), r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _untitled(table: Table) -> str:
    """Return title and caption without "Table 1:", which LaTeX counts by itself."""
    title = table.title.partition(": ")[2] or table.title
    return f"{title[:1].upper()}{title[1:]}. {table.caption}"


def _multicolumn(name: str, width: int) -> str:
    return (
        escape_latex(name)
        if width == 1
        else f"\\multicolumn{{{width}}}{{c}}{{{escape_latex(name)}}}"
    )


def _midrules(spans: list[tuple[str, int]]) -> list[str]:
    rules, start = [], 1
    for name, width in spans:
        if name:
            rules.append(f"\\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return ["".join(rules)] if rules else []


def to_html(table: Table) -> str:
    """Return the layout as an HTML table (no caption, no notes)."""
    head = ""
    for depth in range(3):
        spans = _spans(table, depth)
        if not any(name for name, _ in spans):
            continue
        cells = "".join(
            _th(name, width, depth) for name, width in spans[table.labels * (depth == 2) :]
        )
        names = "".join(
            f'<th scope="col" class="name">{html.escape(name)}</th>'
            for name, _ in spans[: table.labels * (depth == 2)]
        )
        head += f"<tr>{names}{cells}</tr>\n"
    body = ""
    lines, columns = lines_of(table), list(table.layout.columns)
    sources = [column[2] for column in columns]
    previous = None
    for raw in table.layout.itertuples(index=False, name=None):
        said = [str(cell) for cell in raw[: table.labels]]
        cells = [html.escape(cell) for cell in said]
        for column, cell in zip(columns[table.labels :], raw[table.labels :], strict=True):
            known = lines if column[2] not in ("paper", "verdict") else None
            cells.append(_linked(str(cell), known, place_of(said, column)))
        names = "".join(f'<th scope="row">{cell}</th>' for cell in cells[: table.labels])
        pairs = zip(sources[table.labels :], cells[table.labels :], strict=True)
        values = "".join(
            f'<td class="{_class(source, cell)}">{cell}</td>' for source, cell in pairs
        )
        first = ' class="first"' if previous not in (None, cells[0]) else ""
        body += f"<tr{first}>{names}{values}</tr>\n"
        previous = cells[0]
    return f'<table class="sortable">\n<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table>'


def _linked(cell: str, lines: Lines | None, place: frozenset[str]) -> str:
    """Return a cell escaped, its best values bold, its numbers linked to their records."""
    parts, done = [], 0
    for number in numbers(cell) if lines else ():
        source = lines.find(number.group(), place)
        if source is None:
            continue
        parts += [html.escape(cell[done : number.start()]), _link(number.group(), source)]
        done = number.end()
    return BOLD.sub(r"<strong>\1</strong>", "".join([*parts, html.escape(cell[done:])]))


def _link(text: str, source: Source) -> str:
    """Return a number with its source, whose asterisks must not look like marks of a best."""
    words = html.escape(source.words).replace("*", "&#42;")
    return f'<a class="number" href="#{source.anchor}" title="{words}">{html.escape(text)}</a>'


def _th(name: str, width: int, depth: int) -> str:
    if not name:
        return f'<td colspan="{width}"></td>' if width > 1 else "<td></td>"
    scope = "col" if depth == 2 else "colgroup"
    return f'<th scope="{scope}" colspan="{width}">{html.escape(name)}</th>'


def _class(source: str, cell: str) -> str:
    if source == "verdict":
        return "verdict " + re.sub(r"[^a-z]+.*", "", cell.lower())
    return "paper" if source == "paper" else "ours"


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a text, cut where a part of it ends if it is too long."""
    if len(text) <= most:
        return text
    ends = [text.rfind(mark, 0, most) for mark in ("; ", ". ", ", ")]
    end = next((end for end in ends if end > most // 3), text.rfind(" ", 0, most))
    return f"{text[: end if end > 0 else most].rstrip()} ..."
