"""The first screen is made of committed runs, and the README's is never stale."""

import os
import re
from pathlib import Path

import pytest
from report_builder import FakeRun

from bench.api import BenchError, StorageError
from bench.cli import run_command_line
from bench.report.claims import HEADLINE
from bench.report.first_screen import (
    BEGIN,
    END,
    block_of,
    markdown,
    runs_of,
    write,
)
from bench.report.formats import LONGEST, shortened
from bench.runs import load_run

HOME = Path(__file__).resolve().parents[2]
README = HOME / "README.md"


def test_the_readmes_first_screen_is_what_its_runs_give():
    """Renewed by: python -m bench report RUN... --readme README.md."""
    folders = runs_of(README)
    assert folders
    assert all(folder.parent == HOME / "results" / "reference" for folder in folders)
    assert block_of(README) == markdown(*map(load_run, folders))


def table(text: str, header: str) -> list[list[str]]:
    lines = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_it_has_every_headline_with_verdict_and_command(run):
    rows = table(markdown(run), "| The paper says")
    assert len(rows) == len(HEADLINE)
    assert {len(row) for row in rows} == {6}
    for row in rows:
        assert "**" in row[4] and row[5].strip("`").startswith(("python -m bench run", "pytest"))
    first = rows[HEADLINE.index("parameters-quarter")]
    assert first[2].startswith("24.9%") and "reproduced" in first[4]


def test_it_has_table_5_of_the_run_that_counted(run, empty):
    text = markdown(empty, run)
    rows = {row[0]: row for row in table(text, "|  | paper")}
    assert rows["U-Net, parameters"][1:3] == ["35,710,339", "35,710,339"]
    assert rows["cU-Net, multiply-adds (G)"][3] == "**reproduced**, cunet-released-a5"
    assert "counts two cU-Nets" in text


@pytest.mark.slow
def test_the_first_run_that_measured_a_claim_gives_it(run, changed):
    slow = changed(lambda rows: rows.assign(latency_s=rows["latency_s"], samples_s=None))
    other = FakeRun({**slow.manifest, "budget": "other"}, slow.rows, slow.folder)
    assert "other budget" not in markdown(run, other).split("| The paper")[0]
    bare = FakeRun(run.manifest, run.rows[run.rows["task"] == "cost"], run.folder)
    rows = table(markdown(bare, other), "| The paper says")
    assert "time per call" in rows[HEADLINE.index("faster")][2]


@pytest.mark.slow
def test_it_begins_with_whether_it_is_faster_by_how_much_where_and_how(run, empty):
    first = markdown(run).splitlines()[0]
    assert first.startswith("**Is a call of the cU-Net faster? ")
    assert re.search(r"x0\.\d+ time per call \(95 %: .*\), on .*cores.* Run it: `python -m", first)
    nothing = markdown(empty).splitlines()[0]
    assert "Missing:** not measured in this run" in nothing and "run table5" in nothing


def test_names_of_a_run_cannot_inject_anything(run):
    command = "python -m bench run x --set 'a=| `y` <b> -->'"
    bad = {**run.manifest, "command": command, "machine": {"cpu": "<i> | c"}}
    text = markdown(FakeRun(bad, run.rows, run.folder))
    assert "<i>" not in text and "Measured on &lt;i&gt; \\| c" in text
    assert "-->" not in text, "a comment must not end where a command says so"
    assert "a=\\| y <b>" in text


def test_an_empty_run_says_what_is_missing(empty):
    rows = table(markdown(empty), "| The paper says")
    assert all("missing" in row[4] for row in rows)


@pytest.mark.slow
def test_writing_again_changes_nothing(run, tmp_path):
    readme, folder = tmp_path / "README.md", tmp_path / "results" / "one"
    readme.write_text(f"before\n{BEGIN.format('old')}\nold\n{END}\nafter\n")
    write(readme, [folder], [run])
    text = readme.read_text()
    write(readme, [folder], [run])
    assert readme.read_text() == text
    assert text.startswith(
        "before\n<!-- first screen of: results/one -->\n**Is a call of the cU-Net"
    )
    assert text.endswith(f"{END}\nafter\n") and "\nold\n" not in text
    assert runs_of(readme) == [folder]


def test_a_readme_without_a_place_is_refused(run, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Nothing\n")
    with pytest.raises(BenchError, match="has no place for a first screen"):
        write(readme, [tmp_path], [run])
    with pytest.raises(BenchError, match="none was named"):
        markdown()


def test_a_readme_that_is_no_text_is_told_in_one_line(run, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_bytes(b"caf\xe9\n")
    with pytest.raises(BenchError, match=r"is not UTF-8 \(byte 3\)"):
        write(readme, [tmp_path], [run])
    with pytest.raises(BenchError, match="cannot be read"):
        write(tmp_path, [tmp_path], [run])


def test_a_full_disk_leaves_the_readme_as_it_was(tmp_path, monkeypatch):
    readme, text = tmp_path / "README.md", f"before\n{BEGIN.format('-')}\n{END}\nafter\n"
    readme.write_text(text)
    readme.chmod(0o600)
    (tmp_path / "link.md").symlink_to(readme)
    monkeypatch.setattr("bench.report.first_screen.markdown", lambda *runs: "new\n")

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"No space left.*it is as it was"):
            write(readme, [], [])
    assert readme.read_text() == text and len(list(tmp_path.iterdir())) == 2
    write(tmp_path / "link.md", [], [])
    assert "\nnew\n" in readme.read_text() and (tmp_path / "link.md").is_symlink()
    assert readme.stat().st_mode & 0o777 == 0o600


def test_the_command_writes_the_readme_and_nothing_else(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN.format('-')}\n{END}\n")
    place = HOME / "results" / "reference" / "celeba-bm3d"
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert run_command_line(["report", str(place), "--readme", str(readme)]) == 0
    assert "| The paper says" in readme.read_text()
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    assert run_command_line(["report", str(place), str(place), "--out", str(tmp_path)]) == 2


def test_long_cells_end_where_a_part_of_them_does():
    assert shortened("a; b") == "a; b"
    long = "; ".join(["number 1.234 of many"] * 20)
    cut = shortened(long)
    assert len(cut) <= LONGEST + 4 and cut.endswith("many ...")
    assert shortened("x" * 500) == "x" * LONGEST + " ..."
