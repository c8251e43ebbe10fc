"""Copying a run to where it can be committed: records, tables, page and figures, without its files.

Weights and samples stay behind; the records keep their hashes. So do pictures of data sets whose
licence does not let them be passed on, and the name of the folder that the run was in.
"""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from bench.api import BenchError, Kind, StorageError
from bench.disk import exchanged
from bench.record import is_plain_name
from bench.registry import find
from bench.report import write_report
from bench.report.written import LIST
from bench.runs import PAGES, Run, write_manifest

FIGURES = ("*.png", "*.svg")
OPEN = ("CC BY", "MIT", "none needed")
"""How a licence begins that lets pictures be passed on."""
OUT = re.compile(r""" --out[ =](?:'[^']*'|"[^"]*"|\S)+""")
"""Names a folder that others do not have."""


def publish(run: Run, name: str, root: Path) -> list[Path]:
    """Copy a run below `root` to results/reference/NAME and reports/reference/NAME.

    Raises:
        BenchError: If the name is no plain name, or records are missing.
        StorageError: If it cannot be copied; what was published before stays.
    """
    if not is_plain_name(name):
        raise BenchError(f"'{name}' cannot name a folder; use a plain name such as mnist-smoke")
    lost = run.lost
    if lost:
        raise BenchError(
            f"{len(lost)} records are missing: {lost[0]['label']}: {lost[0]['reason']}"
        )
    results, reports = places(name, root)
    back = os.path.relpath(reports, results)
    made = [folder.with_name(f".{name}.new") for folder in (results, reports)]
    aside = results.with_name(f".{name}.old")
    try:
        for folder in (*made, aside):
            shutil.rmtree(folder, ignore_errors=True)
        _copy(run, *made)
        if not run.manifest.get("reference"):
            run = _for_others(run, *made)
        manifest = {**run.manifest, "store": ".", "report": back, "reference": True}
        write_manifest(made[0], manifest)
        with exchanged(dict(zip((results, reports), made, strict=True)), aside):
            pass
    except OSError as error:
        raise StorageError(f"cannot publish {run.folder}: {error}") from error
    finally:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
    return [results, reports]


def places(name: str, root: Path) -> tuple[Path, Path]:
    """Return where a run is published as NAME: its results, and its report."""
    results, reports = (root / part / "reference" / name for part in ("results", "reports"))
    return results, reports


def _copy(run: Run, results: Path, reports: Path) -> None:
    report = run.report
    (results / "cells").mkdir(parents=True)
    for record in run.records:
        path = run.store.path(record["key"])
        shutil.copyfile(path, results / "cells" / path.name)
    shutil.copytree(run.folder / "tables", results / "tables")
    (reports / "figures").mkdir(parents=True)
    for page in PAGES:
        shutil.copyfile(report / page, reports / page)
    for pattern in FIGURES:
        for figure in sorted((report / "figures").glob(pattern)):
            shutil.copyfile(figure, reports / "figures" / figure.name)


def _for_others(run: Run, results: Path, reports: Path) -> Run:
    """Return the run as others may have it; write its page anew where that is not as it was."""
    command, closed = run.manifest.get("command", "unknown"), _closed(run)
    told = replace(run, manifest={**run.manifest, "command": OUT.sub("", command)})
    if closed or OUT.search(command):
        _written_anew(told, results, reports, closed)
    return told


def _closed(run: Run) -> list[str]:
    """Return the data sets of a run whose pictures may not be passed on."""
    specs = [record["spec"].get("dataset") for record in run.records]
    names = sorted({spec["name"] for spec in specs if isinstance(spec, dict)})
    return [
        name
        for name in names
        if not getattr(find(Kind.DATASET, name).build, "licence", "").startswith(OPEN)
    ]


def _written_anew(run: Run, results: Path, reports: Path, closed: list[str]) -> None:
    """Write the page and its figures anew, without pictures of the closed data sets."""
    figures, tables = reports / "figures", results / "tables"
    for path in figures.iterdir():
        path.unlink()
    write_report(run, reports, tables_dir=tables, figures_dir=figures, withheld=closed)
    (reports / LIST).unlink()
