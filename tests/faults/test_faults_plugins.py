"""A stranger's broken plug-in module stops nobody but itself."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import code, imported, registry, strangers
from bench.api import ENTRIES, BenchError, Cell, Kind
from bench.cli import run_command_line
from bench.deciding import guests
from bench.runner import Listener, Runner
from bench.store import Store

HEAD = "from bench.api import Kind, Property, register\n"
GOOD = HEAD + (
    "@register(Kind.SCHEDULE, 'good-one', source='a stranger')\ndef good(): return 'built'\n"
)
SOURCE = "source='a stranger'"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution of one module, here and for children."""
    folder = tmp_path / "site"
    folder.mkdir()
    registry.discover()
    known, modules = dict(ENTRIES), set(sys.modules)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def one(name: str, text: str, *, requires: str = "", points: str | None = None) -> None:
        (folder / f"{name}.py").write_text(text)
        about = folder / f"{name.replace('_', '-')}-1.0.dist-info"
        about.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        head = "Metadata-Version: 2.1\n"
        (about / "METADATA").write_text(f"{head}Name: dist-{name}\nVersion: 1.0\n{needs}")
        (about / "entry_points.txt").write_text(points or f"[bench.plugins]\nit = {name}\n")
        monkeypatch.syspath_prepend(str(folder))
        registry._discover_entry_points.cache_clear()

    yield one
    strangers.forget()
    ENTRIES.clear()
    ENTRIES.update(known)
    for name in set(sys.modules) - modules:
        if Path(getattr(sys.modules[name], "__file__", None) or ".").is_relative_to(folder):
            del sys.modules[name]
    registry._discover_entry_points.cache_clear()


FAULTS = {
    "raises": ("raise RuntimeError('out of\\norder')", r"^RuntimeError: out of order$"),
    "exits": ("import sys; sys.exit(3)", r"^SystemExit: 3$"),
    "unknown": ("class Odd(BaseException): pass\nraise Odd", r"^Odd$"),
    "syntax": ("def (", r"^SyntaxError: .*line 1"),
    "absent": ("import no_such_library", r"^ModuleNotFoundError: .*'no_such_library'"),
    "half": (
        HEAD + f"register(Kind.SCHEDULE, 'half', {SOURCE})(lambda: 0)\n1 / 0",
        r"^ZeroDivisionError",
    ),
    "kind": (HEAD + f"register('toaster', 'x', {SOURCE})(lambda: 0)", r"no kind 'toaster'"),
    "name": (
        HEAD + f"register(Kind.SOLVER, 'A b', {SOURCE})(lambda: 0)",
        r"the name 'A b'",
    ),
    "option": (HEAD + f"register(Kind.SOLVER, 'a+b', {SOURCE})(lambda: 0)", r"the name 'a\+b'"),
    "case": (HEAD + f"register(Kind.SOLVER, 'A', {SOURCE})(lambda: 0)", r"the name 'A'"),
    "number": (
        HEAD + f"register(Kind.SOLVER, 'x', {SOURCE})(3)",
        r"'x' is a int, expected a class or",
    ),
    "needs": (
        HEAD + f"register(Kind.SOLVER, 'x', needs='torch', {SOURCE})(lambda: 0)",
        r"the needs \('t', 'o'",
    ),
    "lacks": (
        HEAD + f"register(Kind.SOLVER, 'x', lacks=['taste'], {SOURCE})(lambda: 0)",
        r"the lacks \{'taste'\}",
    ),
    "nothing": (HEAD + "register(Kind.SOLVER, 'x', source=' ')(lambda: 0)", "names no source"),
    "removes": (HEAD + "import bench.api\nbench.api.ENTRIES.clear()\n1 / 0", "ZeroDivisionError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_module_is_remembered_and_the_rest_works(install, fault):
    text, reason = FAULTS[fault]
    before = dict(ENTRIES)
    install(f"bad_{fault}", text)
    install("good_neighbour", GOOD)
    assert registry.build(Kind.SCHEDULE, "good-one") == "built"
    (found,) = registry.broken()
    assert (found.module, found.distribution) == (f"bad_{fault}", f"dist-bad_{fault}")
    assert re.search(reason, found.reason), found.reason
    assert "\n" not in found.reason
    assert {key: ENTRIES.get(key) for key in before} == before
    assert {name for kind, name in set(ENTRIES) - set(before)} == {"good-one"}


def test_an_interrupt_during_an_import_is_an_interrupt(install):
    install("bad_interrupt", GOOD.replace("good-one", "half") + "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry.discover()
    assert (Kind.SCHEDULE, "half") not in ENTRIES


def test_the_error_for_an_unknown_name_tells_of_broken_modules(install):
    install("bad_one", "import no_such_library")
    with pytest.raises(BenchError) as caught:
        registry.find(Kind.SCHEDULE, "linaer")
    text = str(caught.value)
    assert "did you mean 'linear'" in text and "\n" not in text
    assert (
        "note: the plug-in module 'bad_one' of 'dist-bad_one' could not be imported: "
        "ModuleNotFoundError: No module named 'no_such_library'" in text
    )


@pytest.mark.parametrize("ours_first", [True, False])
def test_a_taken_name_is_ours_whoever_came_first(install, ours_first):
    ours = registry.find(Kind.SCHEDULE, "linear")
    text = GOOD + f"register(Kind.SCHEDULE, 'linear', {SOURCE})(good)\n"
    if not ours_first:  # as in a process that asks for another kind first
        del ENTRIES[Kind.SCHEDULE, "linear"]
    install("bad_claim", text)
    registry._discover_entry_points()
    if not ours_first:
        assert ENTRIES[Kind.SCHEDULE, "linear"].source == "a stranger"
        with strangers.set_aside():
            ENTRIES[Kind.SCHEDULE, "linear"] = ours
    assert registry.find(Kind.SCHEDULE, "linear") is ours
    (found,) = registry.broken()
    assert "two plug-ins claim the schedule name 'linear'" in found.reason
    assert "schedule.py:" in found.reason and "bad_claim.py:" in found.reason
    assert "good-one" not in registry.names(Kind.SCHEDULE), "a module counts whole or not at all"


@pytest.mark.slow
def test_a_stranger_is_imported_first_and_ours_still_wins(install):
    """In a process of its own: asking for data sets first imports none of our schedules."""
    install("claims", GOOD + f"register(Kind.SCHEDULE, 'linear', {SOURCE})(good)\n")
    script = (
        "from bench import registry; registry.entries('dataset');"
        "assert registry.find('schedule', 'linear').build.__module__ == 'models.schedule';"
        "assert 'good-one' not in registry.names('schedule');"
        "print(registry.broken()[0].reason)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "two plug-ins claim the schedule name 'linear'" in done.stdout


def test_of_two_strangers_the_first_by_name_wins(install):
    install("b_second", GOOD)
    install("a_first", GOOD)
    assert registry.find(Kind.SCHEDULE, "good-one").build.__module__ == "a_first"
    assert [fault.module for fault in registry.broken()] == ["b_second"]


def test_ours_that_a_failing_stranger_imported_stay(install):
    """Python imports a module once: what ours registered must not be rolled back with theirs."""
    install("bad_user", "import bench.experiments.table1\n1 / 0")
    script = "from bench import registry; registry.broken(); registry.find('experiment', 'table1')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("wanted", ["numpy>=99", "numpy<1"])
def test_a_library_of_the_wrong_version_is_named(install, wanted):
    install("versions", GOOD, requires=wanted)
    assert "good-one" not in registry.names(Kind.SCHEDULE)
    (found,) = registry.broken()
    assert found.reason.startswith("numpy ") and wanted.removeprefix("numpy") in found.reason


def test_requirements_that_do_not_matter_here_stop_nothing(install):
    install("versions", GOOD, requires="numpy>=99; extra == 'speed'")
    assert "good-one" in registry.names(Kind.SCHEDULE)
    assert registry.broken() == []


def test_an_unreadable_list_of_entry_points_is_one_broken_distribution(install):
    install("odd", GOOD, points="[bench.plugins]\nno equals sign\n")
    assert "linear" in registry.names(Kind.SCHEDULE)
    (found,) = registry.broken()
    assert found.distribution == "dist-odd"


def test_what_a_module_prints_does_not_corrupt_json(install):
    install("chatty", "import os\nprint('hello')\nos.write(1, b'raw')\n" + GOOD)
    install("noisy_and_broken", "print('hello')\n1 / 0")
    command = [sys.executable, "-m", "bench", "list", "schedule", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "good-one" in [line["name"] for line in json.loads(done.stdout)]
    assert "hello" in done.stderr and "raw" in done.stderr


def test_a_module_that_changes_the_folder_does_not_move_the_run(install, tmp_path):
    install("mover", "import os\nos.chdir('/')\n" + GOOD)
    here = os.getcwd()  # noqa: PTH109 - what os.chdir changed
    registry.discover()
    assert os.getcwd() == here  # noqa: PTH109


def test_list_and_plan_go_on_beside_a_broken_module(install, capsys):
    install("bad_one", "raise RuntimeError('out of order')")
    assert run_command_line(["list", "solver"]) == 0
    assert run_command_line(["run", "table5", "--dry-run"]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_a_fault_of_our_own_is_raised(monkeypatch):
    def broken_import(name):
        raise ImportError(f"our own {name} is broken")

    registry._discover_package.cache_clear()
    monkeypatch.setattr("importlib.import_module", broken_import)
    with pytest.raises(ImportError, match=r"our own bench\.data is broken"):
        registry.entries(Kind.DATASET)


EDITED = (
    HEAD
    + """from bench.api import Cell, Outcome
@register(Kind.TASK, "edited", source="a stranger")
def edited(cell, context):
    import edited_part
    if cell.spec["act"] == "edit":
        from pathlib import Path
        part = Path(edited_part.__file__).with_name("edited_later.py")
        part.write_text("VALUE = 2")
    import edited_later
    return Outcome([{"value": edited_part.VALUE + edited_later.VALUE}])
"""
)


@pytest.fixture
def edit(install, tmp_path):
    """Install a task that imports two modules when it runs; return what writes one of them."""

    def one(name, text):
        (tmp_path / "site" / f"{name}.py").write_text(text)

    one("edited_part", "VALUE = 10")
    one("edited_later", "VALUE = 1")
    install("edited", EDITED)
    code.source_of.cache_clear()
    yield one
    for cached in (code.source_of, code._said, code._imports, code.digest):
        cached.cache_clear()


def edited_cell(number, act=None):
    return Cell("edited", {"number": number, "act": act})


def measured(plan, root, listener=None):
    store = Store(root)
    records = Runner(store, workers=1, listener=listener or Listener()).run(plan).values()
    return [(r["status"], r["reason"] or r["rows"][0]["value"]) for r in records]


def test_code_that_changed_since_the_run_was_planned_is_not_measured(edit, plan_of, tmp_path):
    plan = plan_of(edited_cell(1))
    edit("edited_part", "VALUE = 20")  # before a worker began
    assert measured(plan, tmp_path / "s") == [("failed", imported.CHANGED)]
    edit("edited_part", "VALUE = 10  # as it was")
    assert measured(plan, tmp_path / "s") == [("ok", 11)]


def test_a_worker_that_began_before_the_code_changed_goes_on_with_what_it_has(
    edit, plan_of, tmp_path
):
    class Edits(Listener):
        def finished(self, planned, record, measured):
            edit("edited_part", "VALUE = 20")

    plan = plan_of(edited_cell(1), edited_cell(2))
    assert measured(plan, tmp_path / "s", Edits()) == [("ok", 11), ("ok", 11)]


def test_code_that_changed_before_a_cell_came_to_import_it_is_noticed(edit, plan_of, tmp_path):
    plan = plan_of(edited_cell(1, "edit"))
    assert measured(plan, tmp_path / "s") == [("failed", imported.CHANGED)]


def test_what_is_no_module_among_the_modules_is_no_fault(monkeypatch):
    class Odd:
        def __getattr__(self, name):
            raise RuntimeError(name)

    monkeypatch.setattr(imported, "_seen", set(sys.modules))
    monkeypatch.setitem(sys.modules, "odd", Odd())
    monkeypatch.setitem(sys.modules, 7, code)
    imported.take_down()
    assert {"odd", 7} <= imported._seen


def test_data_that_changed_since_the_run_was_planned_are_not_used(plan_of, tmp_path):
    """The manifest of the plan stands for that of files that somebody exchanged."""
    spec = {
        "dataset": {"name": "digits", "image_size": 8},
        "schedule": {"name": "linear"},
        "levels": [50],
        "n": 1,
        "seed": 0,
    }
    plan = plan_of(Cell("ladder", spec))
    ((key, planned),) = plan.cells.items()
    data = {**planned.basis["data"], "files": {"digits": "0" * 64}}
    plan.cells[key] = replace(planned, basis={**planned.basis, "data": data})
    ((status, reason),) = measured(plan, tmp_path / "s")
    assert (status, reason) == ("failed", "the data changed since the run was planned; run again")


def test_a_run_says_where_a_strangers_plug_in_comes_from(install):
    text = f"import torch\n{HEAD}register(Kind.BACKBONE, 'visitor', {SOURCE})(torch.nn.Identity)\n"
    install("visitors", text)
    cells = [
        Cell("cost", {"backbone": {"name": name, "channels": 1, "image_size": 8}})
        for name in ("unet", "visitor")
    ]
    (found,) = guests(cells)
    assert found == {
        "kind": "backbone",
        "name": "visitor",
        "distribution": "dist-visitors",
        "version": "1.0",
        "source": "a stranger",
    }
    assert guests(cells[:1]) == []
