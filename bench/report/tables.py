"""Tables 1 to 5 of a run, those of our own, and their files."""

from pathlib import Path

from bench.report.autopsy import TABLES as AUTOPSIES
from bench.report.autopsy_tables import autopsy_of
from bench.report.books import books_table
from bench.report.classics import classics
from bench.report.comparison import Table
from bench.report.costs import costs_table
from bench.report.engines import engines
from bench.report.formats import to_csv, to_latex, to_markdown
from bench.report.quality import quality
from bench.report.rows import RunLike, snapshot
from bench.report.samplers import samplers
from bench.report.speed import speed
from bench.report.table1 import table1
from bench.report.table2 import table2, table3
from bench.report.table4 import table4
from bench.report.table5 import table5
from bench.report.theory import theory
from bench.report.training import training
from bench.report.training_memory import training_memory

TABLES = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
}
OWN = (
    *(quality, samplers, training, classics),
    *(costs_table, speed, engines, books_table, training_memory, theory),
    *(autopsy_of(table) for table in AUTOPSIES),
)
"""What the paper has no table of: None where a run measured none of it."""


def tables(run: RunLike) -> list[Table]:
    """Return every table of a run; a gap is a dash with its reason beneath.

    Last comes what the paper has no table of, where the run measured it.
    """
    run = snapshot(run)
    own = [table for build in OWN if (table := build(run)) is not None]
    return [*(build(run) for build in TABLES.values()), *own]


def write_tables(found: list[Table], folder: Path) -> list[Path]:
    """Write each table as tidy CSV, and its layout as CSV, Markdown and LaTeX."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in found:
        for ending, text in {
            "tidy.csv": table.comparison.to_csv(index=False, lineterminator="\n"),
            "csv": to_csv(table),
            "md": to_markdown(table),
            "tex": to_latex(table),
        }.items():
            path = folder / f"{table.name}.{ending}"
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    return written
