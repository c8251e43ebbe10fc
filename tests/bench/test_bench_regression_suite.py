import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.api import Kind
from bench.registry import names
from bench.regression import suite

HOME = Path(__file__).resolve().parents[2]
TOY = """
import math

class Plain:
    params = ([1, 2], ["a"])

    def setup(self, number, letter):
        if number == 2:
            raise NotImplementedError("only one")
        self.told = [number, letter]

    def teardown(self, number, letter):
        self.told.append("down")

    def time_this(self, number, letter):
        return number

    def helper(self):
        pass

def track_alone():
    return 3

track_alone.unit = "things"

def peakmem_alone():
    bytearray(2**26)

class _Hidden:
    def time_nothing(self):
        pass
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    def load(folder):
        before = {name for name in sys.modules if name.partition(".")[0] == folder.name}
        assert not before
        try:
            return suite.load(folder)
        finally:
            for name in [n for n in sys.modules if n.partition(".")[0] == folder.name]:
                del sys.modules[name]

    return load


@pytest.fixture
def toy(loaded, tmp_path):
    folder = tmp_path / "toy_suite"
    folder.mkdir()
    (folder / "one.py").write_text(TOY)
    (folder / "two.py").write_text("import no_such_library\n")
    return loaded(folder)


def test_conventions(toy):
    found, broken = toy
    assert [(one.name, one.kind, one.unit) for one in found] == [
        ("one.Plain.time_this(1, a)", "time", "s"),
        ("one.Plain.time_this(2, a)", "time", "s"),
        ("one.peakmem_alone", "peakmem", "MiB"),
        ("one.track_alone", "track", "things"),
    ]
    assert broken == {"two": "ModuleNotFoundError: No module named 'no_such_library'"}


def test_setting_up_calling_and_tearing_down(toy):
    first, second, _, alone = toy[0]
    ready = first.ready()
    assert ready.call() == 1
    ready.end()
    assert ready.owner.told == [1, "a", "down"]
    with pytest.raises(NotImplementedError, match="only one"):
        second.ready()
    assert alone.ready().call() == 3


FRESH = """
import json, sys
from pathlib import Path
from bench.regression import peak, suite

found, _ = suite.load(Path(sys.argv[1]))
print(json.dumps([peak.peak_mib(found[number]) for number in (2, 1)]))
"""


def test_peak_memory_is_what_the_call_adds(toy, tmp_path):
    """In a process that has run nothing else: what others left of its heap hides a rise."""
    words = [sys.executable, "-c", FRESH, tmp_path / "toy_suite"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    allocates, refuses = json.loads(done.stdout)
    assert allocates["value"] == pytest.approx(64, abs=2)
    assert "only one" in refuses["absent"]


def test_every_benchmark_of_the_suite_runs_and_params_are_the_registrys(loaded):
    found, broken = loaded(HOME / "asv_bench")
    assert not broken
    timed = [one.params[0] for one in found if one.method == "time_call" and len(one.params) == 1]
    assert timed == names(Kind.BACKBONE)
    solved = [one.params[0] for one in found if one.method == "time_solve"]
    assert solved == names(Kind.SOLVER)
    first = {}
    for one in found:
        first.setdefault(one.name.partition("(")[0], one)
    assert {one.kind for one in first.values()} == {"time", "timeraw", "track", "peakmem"}
    for one in first.values():
        value = one.ready().call()
        if one.kind == "track":
            assert type(value) is int and value > 0


def test_asv_finds_the_same(loaded):
    discovery = pytest.importorskip("asv_runner.discovery", reason="asv is the oracle")
    found, _ = loaded(HOME / "asv_bench")
    ours = {one.name.partition("(")[0] for one in found}
    path = list(sys.path), list(sys.meta_path)
    try:
        sys.path.insert(0, str(HOME))
        theirs = {one.name for one in discovery.disc_benchmarks(str(HOME / "asv_bench"))}
    finally:
        sys.path[:], sys.meta_path[:] = path
        for name in [n for n in sys.modules if n.partition(".")[0] == "asv_bench"]:
            del sys.modules[name]
    assert ours == theirs
