"""What the documents say is run."""

import re
import runpy
import subprocess
import sys
import types
from pathlib import Path

import pytest

from bench import registry
from bench.api import ENTRIES, Kind
from bench.cli import run_command_line
from bench.forecast.pace import Pace, Seconds

HOME = Path(__file__).resolve().parent.parent
README = (HOME / "README.md").read_text()


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands():
    lines = [
        line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()
    ]
    return [line.partition("python -m bench ")[2] for line in lines if "python -m bench" in line]


@pytest.mark.parametrize("command", sorted({c for c in commands() if c.startswith("run")}))
def test_a_run_of_the_readme_has_a_plan(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What is asked here is the plan; how long it takes is timed in tests of the forecast.
    monkeypatch.setattr(Pace, "_denoiser", lambda *_: Seconds(0.1))
    assert run_command_line([*command.split(), "--dry-run"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((HOME / "docs" / "settings").glob("*.toml")), ids=str)
def test_a_file_of_settings_has_a_plan_and_says_its_command(path, tmp_path, monkeypatch):
    (command,) = re.findall(r"^#  +python -m bench (.*)$", path.read_text(), flags=re.MULTILINE)
    monkeypatch.chdir(HOME)
    monkeypatch.setattr(Pace, "_denoiser", lambda *_: Seconds(0.1))
    assert str(path.relative_to(HOME)) in command
    words = [*command.split(), "--set", "checkpoints=", "--out", str(tmp_path / "out")]
    assert run_command_line([*words, "--dry-run"]) == 0


def test_the_readme_names_every_command():
    from bench.cli import app

    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert re.search(rf"`?(bench )?{name}\b", README), name


def test_the_ci_script_runs_the_readmes_two_commands():
    script = (HOME / ".ci" / "run").read_text()
    first, second = (block.strip() for block in blocks("sh")[:2])
    assert second in script.replace("--quiet ", "")
    assert first in script.replace("--quiet ", "")


@pytest.fixture
def snippet(monkeypatch, tmp_path):
    known = dict(ENTRIES)
    registry.discover()
    path = tmp_path / "readme_plugin.py"
    path.write_text(next(block for block in blocks("python") if "@register" in block))
    module = types.ModuleType("readme_plugin")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "readme_plugin", module)
    monkeypatch.syspath_prepend(str(tmp_path))
    exec(compile(path.read_text(), path, "exec"), module.__dict__)  # noqa: S102 - our own README
    yield
    ENTRIES.clear()
    ENTRIES.update(known)


def test_the_readmes_plugin_enters_the_plan(snippet, tmp_path, monkeypatch, capsys):
    import torch

    monkeypatch.chdir(tmp_path)
    net = registry.build(Kind.BACKBONE, "two-convs", channels=1, scale=0.1)
    assert net(torch.zeros(2, 1, 8, 8), torch.zeros(2)).shape == (2, 1, 8, 8)
    words = ["run", "table1", "--dry-run", "--set", "backbones=unet,two-convs"]
    assert run_command_line(words) == 0
    assert "train diffusion:two-convs" in capsys.readouterr().out


def contracts_of(kind: Kind) -> dict:
    """Return the contract tests that run over every plug-in of a kind, by name."""
    ours = {entry.name for entry in registry.entries(kind)}
    found = {}
    for name, test in runpy.run_path(str(HOME / "tests" / "test_contracts.py")).items():
        for mark in getattr(test, "pytestmark", []):
            over, *those = mark.args or [""]
            if over == "entry" and {one.id for one in those[0]} == ours:
                found[name] = test
    return found


def test_the_readmes_plugin_keeps_the_contracts(snippet):
    contracts, entry = contracts_of(Kind.BACKBONE), registry.find(Kind.BACKBONE, "two-convs")
    assert len(contracts) >= 6
    for test in contracts.values():
        test(entry)


def test_every_report_that_a_page_links_is_a_page_of_the_site():
    pages = (HOME / "mkdocs.yml").read_text()
    linked = set()
    for page in HOME.glob("docs/**/*.md"):
        linked |= set(re.findall(r"\.\./reports/reference/([^/)]+)/", page.read_text()))
    assert len(linked) > 5
    for name in linked:
        assert f"{name}/report.md" in pages, name


def test_the_kinds_of_contributing_are_the_kinds():
    text = (HOME / "CONTRIBUTING.md").read_text()
    for kind in Kind:
        assert re.search(rf"\b{kind.value}\b", text), kind


def test_every_import_rule_holds():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=HOME, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


SOURCES = sorted(
    p for part in ("bench", "models", "baselines") for p in (HOME / part).rglob("*.py")
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(HOME)))
def test_a_file_and_its_functions_stay_small(path):
    import ast

    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if docstring else node.lineno
            assert node.end_lineno - start <= 50, node.name
