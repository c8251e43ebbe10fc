import importlib.util
import sys
from pathlib import Path

import pytest

from bench import code


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text, name="some_plugin"):
        (tmp_path / f"{name}.py").write_text(text)
        for function in (
            code.source_of,
            code._said,
            code._imports,
            code.digest,
        ):
            function.cache_clear()
        sys.modules.pop(name, None)
        return code.digest("some_plugin")

    return write


def test_comments_and_docstrings_do_not_count(module):
    first = module('"""One."""\n\ndef f(x):\n    """Two."""\n    return x + 1\n')
    second = module('"""Other."""\n# why\ndef f(x):\n    """Else."""\n\n    return x + 1\n')
    assert first == second


@pytest.mark.parametrize("changed", ["x + 2", "'a docstring-like text'", "x - 1"])
def test_a_changed_line_counts(module, changed):
    assert module("def f(x):\n    return x + 1\n") != module(f"def f(x):\n    return {changed}\n")


def test_what_is_imported_counts_wherever_it_is_written(module):
    """A network in a laboratory's own folder is as much code as the plug-in that wraps it."""
    text = "def build():\n    import some_plugin_inner\n"
    module("VALUE = 1\n", "some_plugin_inner")
    first = module(text)
    assert code.reach(["some_plugin"]) == ["some_plugin", "some_plugin_inner"]
    module("VALUE = 2\n", "some_plugin_inner")
    assert module(text) != first


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_what_is_installed_does_not_count_and_neither_does_python(module, tmp_path, folder):
    """Its version counts, which records name."""
    place = tmp_path / folder
    place.mkdir()
    sys.path.append(str(place))  # `module` puts the path back
    (place / "some_library.py").write_text("VALUE = 1\n")
    module("import some_library, json, xml.dom\nfrom numpy import linalg\n")
    assert code.source_of("some_library") == place / "some_library.py"
    assert code.reach(["some_plugin"]) == ["some_plugin"]


def test_the_networks_reach_their_blocks_and_not_the_harness():
    reached = code.reach(["models.cunet"])
    assert "models.solve" in reached
    assert "bench.api" in reached
    assert not [name for name in reached if name in ("bench.runner", "bench.cli", "models.unet")]


PACKAGE = {
    "some_pack/__init__.py": "raise SystemExit",
    "some_pack/__main__.py": "raise SystemExit",
    "some_pack/inner/__init__.py": "raise SystemExit",
    "some_pack/inner/leaf.py": "VALUE = 1",
    "some_pack/both.py": "VALUE = 1",
    "some_pack/both/__init__.py": "VALUE = 2",
    "some_pack/plain/leaf.py": "VALUE = 3",
    "some_pack/native.so": "",
    "some_pack/broken.py": "def (",
    "some_pack/a b.py": "",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that ends the process when any of it is imported."""
    for name, text in PACKAGE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    code.source_of.cache_clear()
    yield tmp_path
    code.source_of.cache_clear()


@pytest.mark.parametrize(
    ("module", "path"),
    [
        ("some_pack", "some_pack/__init__.py"),
        ("some_pack.__main__", "some_pack/__main__.py"),
        ("some_pack.inner", "some_pack/inner/__init__.py"),
        ("some_pack.inner.leaf", "some_pack/inner/leaf.py"),
        ("some_pack.both", "some_pack/both/__init__.py"),
        ("some_pack.plain.leaf", "some_pack/plain/leaf.py"),
        ("some_pack.__main__.x", None),
        ("some_pack.inner.leaf.x", None),
        ("some_pack.plain", None),
        ("some_pack.native", None),
        ("some_pack.absent.leaf", None),
        ("some_pack.a b", None),
        ("some_pack/inner.leaf", None),
        ("some_pack...leaf", None),
        ("..some_pack", None),
        ("", None),
        ("x\x00y", None),
    ],
)
def test_a_source_is_found_and_nothing_is_imported(package, module, path):
    before = set(sys.modules)
    assert code.source_of(module) == (package / path if path else None)
    code.digest(module)
    assert not {name for name in sys.modules if name.startswith("some_pack")} - before


@pytest.mark.parametrize(
    "module",
    ["bench.tasks", "json.tool", "os.path", "xml.etree.ElementTree", "sys", "numpy.linalg"],
)
def test_sources_are_those_that_python_would_import(module):
    spec = importlib.util.find_spec(module)
    found = code.source_of(module)
    assert found == (Path(spec.origin) if spec.origin.endswith(".py") else None)


def test_a_source_that_python_cannot_read_is_no_fault_of_the_reader(package):
    assert len(code.digest("some_pack.broken")) == 64


def _forget():
    for function in (code._said, code._imports, code.digest):
        function.cache_clear()


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty memory on disk: what a digest is made of is remembered there."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    _forget()
    yield tmp_path / "cache" / "memory"
    _forget()


def test_what_a_source_says_is_remembered(memory, monkeypatch):
    first = code.digest("models.cunet"), code.reach(["models.cunet"])
    _forget()

    def parse(text):
        raise AssertionError("taken apart again")

    monkeypatch.setattr(code.ast, "parse", parse)
    assert (code.digest("models.cunet"), code.reach(["models.cunet"])) == first
    assert len(list(memory.rglob("*.json"))) == len(first[1])


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        "[]",
        '["f"]',
        '["f", 1]',
        "[1, []]",
        '["f", [["dots", "base", []]]]',
        '["f", [[1, "base", [2]]]]',
        '["f", [[1, "base"]]]',
    ],
)
def test_a_damaged_memory_is_made_again(memory, answer):
    first = code.digest("models.cunet")
    for path in memory.rglob("*.json"):
        path.write_text(f'{{"answer":{answer}}}')
    _forget()
    assert code.digest("models.cunet") == first


def test_another_python_takes_a_source_apart_itself(memory, monkeypatch):
    first = code.digest("models.cunet")
    kept = len(list(memory.rglob("*.json")))
    _forget()
    monkeypatch.setattr(code.sys, "version_info", (3, 99, 0))
    assert code.digest("models.cunet") == first
    assert len(list(memory.rglob("*.json"))) == 2 * kept
