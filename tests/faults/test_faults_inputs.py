"""A few hundred damaged inputs of every kind; `fuzz_inputs.py` makes tens of thousands."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.api import BenchError

SCRIPT = Path(__file__).with_name("fuzz_inputs.py")


FORGED = "forged"
"""Half-done work that somebody made up, with a digest that fits."""


def fuzzed(*words):
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--seed", "7", *words],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_some_hundred_damaged_inputs_of_every_kind():
    done = fuzzed("--count", "100", "--but", FORGED)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line.split() for line in done.stdout.splitlines()[1:-2]]
    assert len(kinds) >= 20
    assert all(words[-2] == "0" for words in kinds)


@pytest.mark.slow
def test_forged_work():
    done = fuzzed("--count", "100", "--only", FORGED)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_inputs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    written = sys.dont_write_bytecode
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = written
    sys.path.remove(str(module.HOME))
    return module


@pytest.fixture(scope="module")
def watch(fuzz, tmp_path_factory):
    return fuzz.Watch(tmp_path_factory.mktemp("watched"))


def refuse(text):
    raise BenchError(text)


def test_the_fuzzer_finds_what_it_looks_for(fuzz, watch, tmp_path):
    inside = watch.root / "inside"
    harm = {
        "accepted": lambda: inside.write_text("x"),
        "absent": lambda: "absent",
        "refused": lambda: refuse("one line"),
        "message": lambda: refuse("two\nlines"),
        "message that": lambda: refuse("\x1b[2J"),
        "KeyError": lambda: {}["x"],
        "did open": lambda: (tmp_path / "outside").write_text("x"),
        "did os.mkdir": lambda: (tmp_path / "outside2").mkdir(),
        "did os.rename": lambda: inside.rename(tmp_path / "moved"),
        "did subprocess": lambda: subprocess.run(["true"], check=True),
    }
    for expected, read in harm.items():
        kind = SimpleNamespace(name=expected, read=lambda data, read=read: read())
        assert fuzz.outcome(kind, b"", watch).startswith(expected)
