"""What users are told of settings: all of them, with a meaning and a value that can be set."""

import json
from pathlib import Path

import pytest

from bench.api import BenchError
from bench.budget import BUDGETS, load_budget
from bench.cli import run_command_line
from bench.settings_file import items, names
from bench.settings_told import meaning_of, page, told

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"
EVERY = told()


def test_all_settings_are_told_once():
    settable = BUDGETS["paper"].model_dump(exclude={"name"})
    assert sorted(one.name for one in EVERY) == names(settable)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_a_setting_has_a_meaning_and_its_values_can_be_set(one):
    assert one.meaning.endswith(".") and one.meaning[0].isupper()
    assert meaning_of(one.group).endswith(".")
    for name, value in one.values.items():
        budget = load_budget(name)
        unset = dict(items(budget.model_dump()))[one.name] is None
        assert unset or load_budget(name, [f"{one.name}={value}"]) == budget
        assert unset == (one.name == "cell_memory_gib"), "has no value that could be written"


def test_the_page_is_what_is_told():
    assert PAGE.read_text("utf-8") == page(), (
        "settings changed: python -m bench settings --markdown > docs/reference/settings.md"
    )


def test_groups_and_names_choose(capsys):
    assert run_command_line(["settings", "timing", "train.updates", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["name"] == "train.updates"
    assert {one["name"].split(".")[0] for one in found} == {"train", "timing"}
    assert run_command_line(["settings", "train.updates"]) == 0
    line, meaning = capsys.readouterr().out.splitlines()
    assert line == "train.updates: smoke 850, small 10000, paper 500000"
    assert meaning.strip() == "Parameter updates of a diffusion network."
    assert run_command_line(["settings", "--markdown"]) == 0
    assert capsys.readouterr().out == page()


@pytest.mark.parametrize("name", ["train.update", "trai", "", "train.updates.x", "name", "\x1b[2J"])
def test_what_is_no_setting_is_one_line(name, capsys):
    with pytest.raises(BenchError, match="no setting named"):
        told([name])
    assert run_command_line(["settings", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line
