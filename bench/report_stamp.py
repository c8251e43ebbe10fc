"""Whether a report is of the very run that is at hand, so that it need not be written again."""

from pathlib import Path

from bench import canonical, code
from bench.disk import read_plain
from bench.report import paper
from bench.runs import Run
from bench.session import Folders
from bench.store import file_sha, write_atomically

STAMP = ".report-of"
LARGEST = 2**12


def report_is_current(run: Run, folders: Folders) -> bool:
    """Return whether the report in the folders is of this very run, written by this very code."""
    try:
        stamp = (read_plain(folders.report / STAMP, LARGEST)[0] or b"").decode("utf-8")
    except (OSError, ValueError):
        return False
    return stamp == _stamp(run) and (folders.report / "report.html").is_file()


def stamp_report(run: Run, folders: Folders) -> None:
    """Say that the report is whole; written last."""
    write_atomically(folders.report / STAMP, _stamp(run).encode())


def _stamp(run: Run) -> str:
    page = sorted(Path(paper.__file__).parent.glob("page.*"))  # the template, its style and script
    parts = [file_sha(path) for path in (*page, *sorted(paper.folder().glob("*.csv")))]
    written_by = code.digest("bench.report.page", "bench.report.plots", "bench.report.tables")
    return canonical.digest([dict(run.manifest), written_by, parts])
