"""A table's layout as CSV, Markdown, LaTeX and HTML.

A cell is plain text in which `**...**` marks the best value. Names may hold any character, so each
format escapes first and then turns the marks into its own.
"""

import csv
import html
import io
import itertools
import re
from collections.abc import Callable

from bench.report.comparison import Table

BOLD = re.compile(r"\*\*([^*]+)\*\*")
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
}


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(LATEX.get(character, character) for character in str(text))


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
    sources = [column[2] for column in table.layout.columns]
    previous = None
    for cells in _cells(table, html.escape, r"<strong>\1</strong>"):
        names = "".join(f'<th scope="row">{cell}</th>' for cell in cells[: table.labels])
        pairs = zip(sources[table.labels :], cells[table.labels :], strict=True)
        values = "".join(
            f'<td class="{_class(source, cell)}">{cell}</td>' for source, cell in pairs
        )
        first = ' class="first"' if previous not in (None, cells[0]) else ""
        body += f"<tr{first}>{names}{values}</tr>\n"
        previous = cells[0]
    return f"<table>\n<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table>"


def _th(name: str, width: int, depth: int) -> str:
    if not name:
        return f'<td colspan="{width}"></td>' if width > 1 else "<td></td>"
    scope = "col" if depth == 2 else "colgroup"
    return f'<th scope="{scope}" colspan="{width}">{html.escape(name)}</th>'


def _class(source: str, cell: str) -> str:
    if source == "verdict":
        return "verdict " + re.sub(r"[^a-z]+.*", "", cell.lower())
    return "paper" if source == "paper" else "ours"
