import sys

import pytest

from bench import code


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text, name="some_plugin"):
        (tmp_path / f"{name}.py").write_text(text)
        for function in (
            code._spec_path,
            code._parsed,
            code.module_digest,
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


def test_what_is_imported_counts(module, tmp_path):
    (tmp_path / "pack").mkdir()
    text = "import some_plugin_inner\n"
    module("VALUE = 1\n", "some_plugin_inner")
    first = module(text)
    assert code.reach(["some_plugin"]) == ["some_plugin"]  # another project: its version counts
    module("VALUE = 2\n", "some_plugin_inner")
    assert module(text) == first


def test_the_networks_reach_their_blocks_and_not_the_harness():
    reached = code.reach(["models.cunet"])
    assert "models.solve" in reached
    assert "bench.api" in reached
    assert not [name for name in reached if name in ("bench.runner", "bench.cli", "models.unet")]
