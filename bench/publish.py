"""Copying a run to where it can be committed: records, tables, page and figures, without its files.

Weights and samples stay behind; the records keep their hashes.
"""

import os
import shutil
from pathlib import Path

from bench.api import BenchError, StorageError
from bench.record import is_plain_name
from bench.runs import MISSING, Run, write_manifest

FIGURES = ("*.png", "*.svg")


def publish(run: Run, name: str, root: Path) -> list[Path]:
    """Copy a run below `root` to results/reference/NAME and reports/reference/NAME.

    Raises:
        BenchError: If the name is no plain name, or records are missing.
        StorageError: If it cannot be copied; what was published before stays.
    """
    if not is_plain_name(name):
        raise BenchError(f"'{name}' cannot name a folder; use a plain name such as mnist-smoke")
    lost = [record for record in run.records if record["status"] == MISSING]
    if lost:
        raise BenchError(
            f"{len(lost)} records are missing: {lost[0]['label']}: {lost[0]['reason']}"
        )
    results, reports = (root / part / "reference" / name for part in ("results", "reports"))
    back = os.path.relpath(reports, results)
    made = [folder.with_name(f".{name}.new") for folder in (results, reports)]
    try:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        _copy(run, *made)
        manifest = {**run.manifest, "store": ".", "report": back, "reference": True}
        write_manifest(made[0], manifest)
        for new, folder in zip(made, (results, reports), strict=True):
            shutil.rmtree(folder, ignore_errors=True)
            new.replace(folder)
    except OSError as error:
        raise StorageError(f"cannot publish {run.folder}: {error}") from error
    finally:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
    return [results, reports]


def _copy(run: Run, results: Path, reports: Path) -> None:
    report = run.report
    (results / "cells").mkdir(parents=True)
    for record in run.records:
        path = run.store.path(record["key"])
        shutil.copyfile(path, results / "cells" / path.name)
    shutil.copytree(run.folder / "tables", results / "tables")
    (reports / "figures").mkdir(parents=True)
    for page in ("report.html", "report.md"):
        shutil.copyfile(report / page, reports / page)
    for pattern in FIGURES:
        for figure in sorted((report / "figures").glob(pattern)):
            shutil.copyfile(figure, reports / "figures" / figure.name)
