"""Tables, figures and pages of a run. Reads rows and files only; never imports torch."""

from collections.abc import Collection, Iterable
from pathlib import Path

from bench.report.rows import RunLike, snapshot

__all__ = ["write_report"]


def write_report(
    run: RunLike,
    out: Path,
    *,
    tables_dir: Path | None = None,
    figures_dir: Path | None = None,
    page_dir: Path | None = None,
    withheld: Collection[str] = (),
) -> list[Path]:
    """Write everything about a run; equal runs give equal bytes.

    What an earlier report wrote there and this one does not is removed, unless it was changed.

    Args:
        run: What `bench.runs.load_run` returns.
        out: Where what follows goes unless told otherwise.
        tables_dir: For tables as CSV, Markdown and LaTeX; `out`/tables by default.
        figures_dir: For figures as PNG and SVG; `out`/figures by default.
        page_dir: For report.html and report.md; `out` by default.
        withheld: Data sets whose pictures may not be passed on: no figure shows any.

    Returns:
        The files, in the order of writing.
    """
    # Matplotlib and Jinja take a second to import; tables alone should not wait for them.
    from bench.report.drawing import write_figures
    from bench.report.page import write_pages
    from bench.report.tables import tables, write_tables
    from bench.report.written import clear_stale

    folders = {
        "tables": tables_dir or out / "tables",
        "figures": figures_dir or out / "figures",
        "page": page_dir or out,
    }
    run = snapshot(run)
    found = tables(run)
    written: list[Path] = write_tables(found, folders["tables"])
    drawn = write_figures(run, folders["figures"], withheld=withheld)
    written += _files(one.files for one in drawn)
    written += write_pages(run, found, drawn, folders["page"])
    clear_stale(folders, written, folders["page"])
    return written


def _files(groups: Iterable[Iterable[Path]]) -> list[Path]:
    return [path for group in groups for path in group]
