"""What a report leaves in its folders: its own files, and whatever is not its own."""

import json
from pathlib import Path

import pytest

from bench.report.written import LIST, clear_stale


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("tables", "figures", "page")}
    for folder in found.values():
        folder.mkdir()
    return found


def report(folders: dict[str, Path], **files: str) -> set[str]:
    """Write a report of `part_name="content"`; return the names of what was removed."""
    written = []
    for name, content in files.items():
        part, _, rest = name.partition("_")
        written.append(folders[part] / rest)
        written[-1].write_text(content)
    return {path.name for path in clear_stale(folders, written, folders["page"])}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LIST}


def test_what_an_earlier_larger_report_wrote_is_removed(folders):
    assert report(folders, tables_a="1", tables_b="2", figures_c="3", page_d="4") == set()
    assert report(folders, tables_a="5", page_d="6") == {"b", "c"}
    assert [names(folder) for folder in folders.values()] == [{"a"}, set(), {"d"}]
    assert report(folders, tables_a="5", page_d="6") == set()


def test_what_we_did_not_write_or_was_changed_stays(folders):
    report(folders, figures_mine="1", figures_edited="1", figures_gone="x", figures_linked="y")
    (folders["figures"] / "foreign").write_text("1")
    (folders["figures"] / "edited").write_text("by hand")
    (folders["figures"] / "gone").unlink()
    (folders["figures"] / "linked").rename(folders["page"] / "target")
    (folders["figures"] / "linked").symlink_to(folders["page"] / "target")
    assert report(folders, page_d="1") == {"mine"}
    assert names(folders["figures"]) == {"foreign", "edited", "linked"}
    assert (folders["page"] / "target").read_text() == "y"
    assert report(folders, page_d="1") == set()


@pytest.mark.parametrize("noted", ["", "[", "[1]", "null", '{"tables": 3}', '{"tables": {"a": 1}}'])
def test_a_broken_list_removes_nothing(folders, noted):
    report(folders, tables_a="1")
    (folders["page"] / LIST).write_text(noted)
    assert report(folders, page_d="2") == set()
    assert names(folders["tables"]) == {"a"}
    assert json.loads((folders["page"] / LIST).read_text())["page"].keys() == {"d"}


@pytest.mark.parametrize("place", ["../outside", "sub/inside", "absolute"])
def test_a_list_reaches_no_further_than_the_folders(folders, tmp_path, place):
    report(folders, tables_a="1")
    (folders["tables"] / "sub").mkdir()
    victim = tmp_path / "outside" if place == "absolute" else folders["tables"] / place
    victim.write_text("1")
    noted = json.loads((folders["page"] / LIST).read_text())
    (digest,) = noted["tables"].values()
    name = str(victim) if place == "absolute" else place
    (folders["page"] / LIST).write_text(json.dumps({"tables": {name: digest}}))
    assert report(folders, page_d="2") == set()
    assert victim.exists()
