"""A report of whatever a run can lack: complete, without NaN, and it says what is missing."""

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_builder import FakeRun
from report_ledger import ledger_run
from report_sampled import sampled_run

from bench.report import write_report
from bench.report.claims import claims
from bench.report.formats import to_latex
from bench.report.tables import tables
from bench.report.verdicts import Label
from bench.runs import load_run

HOME = Path(__file__).resolve().parents[2]
REFERENCES = sorted((HOME / "results" / "reference").glob("*"))
NOT_A_NUMBER = re.compile(
    r"(?<![\w-])(nan|NaN|inf|Infinity|NaT|<NA>|None(?!: every| recorded))(?![\w-])"
)
MISSING_KINDS = ("key", "task", "label", "status", "reason", "table")


def bad(rows: pd.DataFrame, where: pd.Series, status: str, reason: str) -> pd.DataFrame:
    """Return rows in which some cells did not succeed: nothing but who, and why, is left."""
    rows = rows.astype(object)
    rows.loc[where, [c for c in rows.columns if c not in MISSING_KINDS]] = None
    rows.loc[where, ["status", "reason"]] = [status, reason]
    return rows


def skipped_lpips(rows):
    rows = rows[rows["metric"] != "lpips"].copy()
    rows[[c for c in rows.columns if c.startswith("lpips")]] = np.nan
    return rows


def skipped_bm3d(rows):
    return bad(
        rows, rows["denoiser"] == "bm3d", "skipped", "bm3d is not installed: pip install bm3d"
    )


def failed_cunet(rows):
    mine = (rows["denoiser"] == "diffusion:cunet") | (rows["backbone"] == "cunet")
    return bad(rows, mine, "failed", "loss is nan after 3 updates")


def all_failed(rows):
    return bad(rows, rows["task"].notna(), "failed", "RuntimeError: inf")


def one_image(rows):
    """Return rows as they are for one image: a score of it, and no interval."""
    rows = rows.astype(object)
    for name in rows.columns:
        if name.endswith(("_low", "_high")) or name in ("low", "high", "kid_se"):
            rows[name] = None
        if "per_image" in name or name.startswith("disjoint"):
            rows[name] = [[x[0]] if isinstance(x, list) and x else None for x in rows[name]]
    rows["leave_one_out"] = None
    rows.loc[rows["n"].notna(), "n"] = 1
    return rows


def not_finite(rows):
    """Return rows in which numbers overflowed."""
    rows = rows.copy()
    for name in ("frechet", "best_value", "ssim", "latency_s", "gmacs_authors", "psnr"):
        rows[name] = rows[name].where(rows.index % 2 == 0, np.nan)
    rows["high"] = np.inf
    return rows


def one_timing(rows):
    rows = rows.astype(object)
    rows["samples_s"] = [x[:1] if isinstance(x, list) else None for x in rows["samples_s"]]
    rows.loc[rows["repeats"].notna(), "repeats"] = 1
    return rows


def old(rows):
    """Return rows as an early version wrote them: with the columns that every row must have."""
    early = {"denoiser", "dataset", "t", "ssim", "lpips", "steps", "frechet", "backbone", "n"}
    early |= {"parameters", "gmacs_authors", "latency_s", "features", "recipe", "part", "metric"}
    return rows[[c for c in rows.columns if c in early | set(MISSING_KINDS)]]


SELDOM = (skipped_lpips, not_finite, failed_cunet, all_failed, one_timing)
LACKS = (
    *(one_image, old, skipped_bm3d),
    *(pytest.param(lack, marks=pytest.mark.slow) for lack in SELDOM),
)


def texts(folder: Path) -> dict[str, str]:
    """Return everything readable that a report wrote, without pictures."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".md", ".csv", ".tex"):
            text = path.read_text("utf-8")
            if path.suffix == ".html":
                text = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
                text = re.sub(r"data:image/[^\"]+", "", text)
                text = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
            found[path.name] = text
    return found


def check_whole(folder: Path, reasons: tuple[str, ...] = ()) -> None:
    found = texts(folder)
    assert {"report.html", "report.md", "table1.csv", "table5.tex"} <= set(found)
    for name, text in found.items():
        for reason in reasons:
            text = text.replace(reason, "")
        hit = NOT_A_NUMBER.search(text)
        assert hit is None, f"{name}: ...{text[max(0, hit.start() - 90) : hit.end() + 40]}..."


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
@pytest.mark.parametrize("lack", LACKS)
def test_a_run_that_lacks_something_has_a_whole_report(changed, tmp_path, lack: Callable):
    write_report(changed(lack), tmp_path)
    check_whole(tmp_path, ("loss is nan after 3 updates", "RuntimeError: inf"))


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
@pytest.mark.parametrize("make", [sampled_run, ledger_run])
@pytest.mark.parametrize("lack", [one_image, all_failed])
def test_so_has_a_run_of_other_experiments(tmp_path, make, lack):
    whole = make(tmp_path / "run")
    columns = ["denoiser", "backbone", "metric", "n", "leave_one_out", "samples_s", "repeats"]
    rows = whole.rows.reindex(columns=list(dict.fromkeys([*whole.rows.columns, *columns])))
    write_report(FakeRun(whole.manifest, lack(rows), whole.folder), tmp_path / "report")
    check_whole(tmp_path / "report", ("RuntimeError: inf",))


@pytest.mark.usefixtures("few_figures")
@pytest.mark.parametrize("manifest", [{}, {"budget": {}, "machine": {}, "settings": None}])
def test_an_empty_run_has_a_whole_report(tmp_path, manifest):
    write_report(FakeRun(manifest, pd.DataFrame(), None), tmp_path)
    check_whole(tmp_path)
    text = (tmp_path / "report.md").read_text()
    for command in ("table1", "table2", "table4", "theory", "samplers", "speed"):
        assert f"python -m bench run {command}" in text, command


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
@pytest.mark.parametrize("place", REFERENCES, ids=lambda path: path.name)
def test_a_committed_run_of_whatever_version_has_a_whole_report(place, tmp_path):
    write_report(load_run(place), tmp_path)
    check_whole(tmp_path)


@pytest.mark.slow
def test_what_is_missing_is_told_with_the_command_that_fills_it(changed, tmp_path, few_figures):
    write_report(changed(skipped_bm3d), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "pip install bm3d" in text
    found = {claim.id: claim for claim in claims(changed(skipped_bm3d))}
    assert found["gpu-solvers"].verdict.label is Label.MISSING
    assert "run speed --device cuda" in found["gpu-solvers"].verdict.reason
    assert "python -m bench run samplers" in text and "python -m bench run theory" in text


@pytest.mark.slow
def test_one_image_gives_values_and_decides_nothing(changed):
    table = next(t for t in tables(changed(one_image)) if t.name == "table2")
    ours = table.comparison.dropna(subset=["ours"])
    assert len(ours) and ours[["low", "high"]].isna().all(axis=None)
    decided = {Label.REPRODUCED, Label.CONTRADICTED}
    for claim in claims(changed(one_image)):
        if claim.id in ("lpips-cunet", "ssim-unet", "fewer-steps", "generalises", "table4-ranks"):
            assert claim.verdict.label not in decided
            assert claim.verdict.seen not in decided, claim.id


# ------------------------------------------------------------------ LaTeX


def runs_of_all_kinds(run, tmp_path) -> list[FakeRun]:
    return [run, sampled_run(tmp_path / "a"), ledger_run(tmp_path / "b")]


@pytest.mark.slow
def test_latex_is_well_formed(run, tmp_path):
    """Balanced environments and braces, escaped specials, equal columns in every row."""
    for one in runs_of_all_kinds(run, tmp_path):
        for table in tables(one):
            text = to_latex(table)
            opened = re.findall(r"\\(begin|end)\{(\w+)\}", text)
            stack = []
            for what, name in opened:
                if what == "begin":
                    stack.append(name)
                else:
                    assert stack.pop() == name
            assert not stack
            plain = re.sub(r"\\[\\{}%&#$_]", "", "\n".join(text.splitlines()[1:]))
            assert plain.count("{") == plain.count("}")
            body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
            widths = {
                len(re.findall(r"(?<!\\)&", line))
                for line in body.splitlines()
                if line.endswith(r"\\")
            }
            assert widths <= {len(table.layout.columns) - 1}, table.name
            assert not re.search(r"(?<!\\)[#_~^]|(?<!\\)%(?!$)", body), table.name
            assert not re.search(r"[^\x00-\x7fÀ-ÿ]", text), table.name


@pytest.mark.slow
def test_latex_compiles_in_the_article_class(run, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    parts = [to_latex(t) for one in runs_of_all_kinds(run, tmp_path) for t in tables(one)]
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    source = "\n\\clearpage\n".join(parts)
    (tmp_path / "all.tex").write_text(f"{head}\n{source}\n\\end{{document}}\n", "utf-8")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]


def test_the_layout_has_no_empty_rows_in_csv(changed, tmp_path):
    for table in tables(changed(failed_cunet)):
        text = table.comparison.to_csv(index=False, lineterminator="\n")
        assert len(list(csv.reader(io.StringIO(text)))) == len(table.comparison) + 1
