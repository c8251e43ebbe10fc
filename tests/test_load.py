"""Runs as data frames: whole, with types that do not depend on what is missing."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.api import BenchError
from bench.runs import frame, load_run, write_manifest
from bench.store import Store

HOME = Path(__file__).resolve().parent.parent
REFERENCE = HOME / "results" / "reference"
DOCUMENT = (HOME / "docs" / "reference" / "runs.md").read_text()


@pytest.mark.parametrize("place", sorted(REFERENCE.glob("*")), ids=lambda path: path.name)
def test_a_published_run_has_the_types_of_its_values(place):
    rows = bench.load(place)
    assert len(rows) == len(load_run(place).rows)
    assert {"key", "task", "label", "status", "reason"} <= set(rows.columns)
    wanted = {"parameters": "Int64", "repeats": "Int64", "noisy": "boolean", "latency_s": "float64"}
    wanted |= {"task": "str", "status": "str", "backbone": "str"}
    found = {name: str(rows[name].dtype) for name in wanted if name in rows}
    assert found == {name: wanted[name] for name in found}
    assert len(found) >= (5 if "latency" in set(rows["task"]) else 2)
    for name in rows.columns[rows.dtypes == "Int64"]:
        assert rows[name].dropna().map(lambda value: value == int(value)).all()


def record(rows: list[dict]) -> dict:
    """Return a record as a store reads it, with rows."""
    spec = {"seed": 3, "denoiser": {"name": "diffusion:x", "scale": 0.5}}
    about = {"key": "ab" * 32, "task": "t", "label": "t x", "status": "ok", "reason": ""}
    return {**about, "spec": spec, "rows": rows}


def test_missing_values_change_no_type():
    rows = [
        {"n": 3, "flag": True, "value": 1, "name": "a", "many": [1.0], "mixed": 1},
        {"value": 2.5, "mixed": "b"},
        {"n": None, "flag": None, "value": None, "name": None, "many": None, "mixed": None},
    ]
    found = frame([record(rows)])
    types = {name: str(found[name].dtype) for name in rows[0]}
    assert types == {
        "n": "Int64", "flag": "boolean", "value": "float64", "name": "str", "many": "object",
        "mixed": "object",
    }  # fmt: skip
    assert found["n"].tolist()[0] == 3 and found["n"].isna().sum() == 2
    assert found["flag"].sum() == 1 and found["value"].sum() == 3.5
    assert found["seed"].tolist() == [3, 3, 3] and found["backbone"].tolist() == ["x"] * 3


def test_a_cell_without_rows_is_one_row():
    found = frame([record([])])
    assert len(found) == 1
    assert found["seed"].tolist() == [3]


def test_an_empty_run_has_the_columns_of_every_row(tmp_path):
    write_manifest(tmp_path, {"cells": [], "store": "."})
    found = bench.load(tmp_path)
    assert found.empty and list(found.columns) == ["key", "task", "label", "status", "reason"]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(BenchError, match="no run in"):
        bench.load(tmp_path)


def test_a_run_that_has_not_ended_says_how_to_end_it(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    for count in (0, 2):
        for i in range(count):
            store.path(f"{i:064x}").write_text("{}")
        (tmp_path / "cells" / "half-written.tmp").touch()
        with pytest.raises(BenchError, match=f"has not ended: {count} cells are kept.* again"):
            load_run(tmp_path)
    (tmp_path / "locks").rmdir()
    with pytest.raises(BenchError, match="no run in"):
        load_run(tmp_path)


def test_a_frame_survives_csv(tmp_path):
    rows = bench.load(REFERENCE / "digits-smoke")
    cost = rows[rows["task"] == "cost"][["backbone", "parameters", "gmacs_authors"]]
    cost.to_csv(tmp_path / "cost.csv", index=False)
    again = pd.read_csv(tmp_path / "cost.csv", dtype=cost.dtypes.astype(str).to_dict())
    pd.testing.assert_frame_equal(again, cost.reset_index(drop=True))


def test_the_documents_snippets_run():
    snippets = re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    assert len(snippets) == 2
    told = "".join(
        subprocess.run(
            [sys.executable, "-c", snippet], cwd=HOME, capture_output=True, text=True, check=True
        ).stdout
        for snippet in snippets
    )
    assert "cunet" in told and "Diff cU-Net" in told
