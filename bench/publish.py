"""Copying a run to where it can be committed: records, tables, page and figures, without its files.

Weights and samples stay behind; the records keep their hashes.
"""

import os
import shutil
from pathlib import Path

from bench.api import BenchError
from bench.runs import MISSING, Run, write_manifest

FIGURES = ("*.png", "*.svg")


def publish(run: Run, name: str, root: Path) -> list[Path]:
    """Copy a run below `root` to results/reference/NAME and reports/reference/NAME.

    Raises:
        BenchError: If the name is no plain name, or records are missing.
    """
    if Path(name).name != name or name.startswith("."):
        raise BenchError(f"'{name}' cannot name a folder; use a plain name such as mnist-smoke")
    lost = [record["label"] for record in run.records if record["status"] == MISSING]
    if lost:
        raise BenchError(f"{len(lost)} records are missing ({lost[0]}); run the command again")
    results, reports = (root / part / "reference" / name for part in ("results", "reports"))
    report = (run.folder / run.manifest.get("report", ".")).resolve()
    for folder in (results, reports):
        shutil.rmtree(folder, ignore_errors=True)
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
    back = os.path.relpath(reports, results)
    write_manifest(results, {**run.manifest, "store": ".", "report": back, "reference": True})
    return [results, reports]
