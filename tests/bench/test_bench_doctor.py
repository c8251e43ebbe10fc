"""The doctor in broken environments: told, never raised, with what mends it."""

import importlib.metadata
import itertools
import sys
import time

import pytest

from bench import doctor, doctor_parts, installation
from bench.api import BenchError, StorageError
from bench.cli import run_command_line
from bench.strangers import Broken

MARKS = {"ok", "missing", "warning", "broken", ""}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def found(examine):
    """Return the findings of one examination as one text a line."""
    return [" | ".join(finding) for finding in examine()]


def only(examine):
    (line,) = found(examine)
    return line


# --------------------------------------------------------------------------- as a whole


@pytest.fixture(scope="module")
def diagnosis(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        start = time.monotonic()
        return list(doctor.findings()), time.monotonic() - start


def test_this_machine_is_well_and_quickly_examined(diagnosis):
    lines, seconds = diagnosis
    assert {mark for mark, _, _ in lines} <= MARKS - {"broken"}, lines
    assert seconds < 20, "about 3 s on an idle machine"
    text = "\n".join(what for _, what, _ in lines)
    for word in (
        "cores",
        "memory",
        "clock",
        "fsync",
        "cache",
        "numpy 2",
        "bm3d works",
        "digits",
        "lpips_alex",
        "backbone: 20 of 20",
        "machine lock",
        "no earlier results",
    ):
        assert word in text, word


def test_every_heading_is_followed_by_findings(diagnosis):
    lines, _ = diagnosis
    marks = [mark for mark, _, _ in lines]
    assert marks[0] == "" and marks[-1] != ""
    assert all(one or other for one, other in itertools.pairwise(marks))
    assert all(isinstance(part, str) and "\n" not in part for line in lines for part in line)


def test_what_is_missing_comes_with_what_mends_it(diagnosis):
    lines, _ = diagnosis
    assert all(remedy for mark, _, remedy in lines if mark == "missing")


def test_a_fault_of_any_probe_is_a_finding(monkeypatch):
    """Every examination fails at once: each is still told, and nothing is raised."""

    def fail(*given):
        raise RuntimeError("two\nlines")

    groups = {
        title: tuple(doctor.Probe(p.what, fail, p.required) for p in probes)
        for title, probes in doctor._groups().items()
    }
    monkeypatch.setattr(doctor, "_groups", lambda: groups)
    lines = list(doctor.findings())
    probes = [probe for several in groups.values() for probe in several]
    assert [mark for mark, _, _ in lines if mark] == [
        "broken" if probe.required else "warning" for probe in probes
    ]
    assert "the GPU cannot be examined: RuntimeError: two lines" in [what for _, what, _ in lines]


def test_the_exit_code_is_69_only_for_what_is_required(monkeypatch, capsys):
    def one(examine, required):
        groups = {"Part": (doctor.Probe("it", examine, required),)}
        monkeypatch.setattr(doctor, "_groups", lambda: groups)
        code = run_command_line(["doctor"])
        return code, capsys.readouterr().out

    assert one(lambda: 1 / 0, False)[0] == 0
    code, text = one(lambda: 1 / 0, True)
    assert code == 69 and "broken   it cannot be examined: ZeroDivisionError" in text
    assert one(lambda: [("missing", "x", "pip install x")], True)[0] == 0


# --------------------------------------------------------------------------- the installation


@pytest.fixture
def versions(monkeypatch):
    """Return a function that replaces the versions of libraries."""
    real = installation.version

    def change(**given):
        monkeypatch.setattr(installation, "version", lambda name: given.get(name, real(name)))

    return change


def test_an_old_library_is_broken_with_what_it_needs(versions):
    versions(numpy="1.20")
    shown = found(doctor_parts.libraries)
    lines = [line for line in shown if not line.startswith(("ok", "missing"))]
    assert lines == ["broken | numpy 1.20, needs >=1.26 | pip install 'numpy>=1.26'"]


def test_an_absent_library_is_broken_and_an_optional_one_is_missing(versions):
    versions(psutil="", tox="", ruff="0.1")
    lines = [line for line in found(doctor_parts.libraries) if not line.startswith("ok")]
    assert any(line.startswith("broken | psutil is not installed") for line in lines)
    assert any(line.startswith("missing | tox (optional: dev)") for line in lines)
    assert any(line.startswith("warning | ruff 0.1, needs ==") for line in lines)


def test_an_installation_without_metadata_says_what_to_do(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor_parts.importlib.metadata, "metadata", absent)
    with pytest.raises(BenchError, match=r"run: pip install -e \."):
        list(doctor_parts.libraries())


def test_an_old_python_is_broken(monkeypatch):
    monkeypatch.setattr(doctor_parts.platform, "python_version", lambda: "3.9.1")
    assert only(doctor_parts.python).startswith("broken | Python 3.9.1, needs >=3.11")


def test_a_torch_that_does_not_load_is_broken(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    probe = doctor.Probe("torch", doctor_parts.torch_works, required=True)
    ((mark, what, _),) = doctor._examined(probe)
    assert mark == "broken" and "ModuleNotFoundError" in what


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", "ok | bm3d works"),
        ("raise OSError('libbm4d.so: cannot open')", "warning | bm3d does not work (the classic"),
        ("import os; os.kill(os.getpid(), 11)", "warning | bm3d does not work (the classic"),
        ("import time; time.sleep(60)", "warning | bm3d does not answer within 1.5 s"),
    ],
)
def test_compiled_code_that_fails_does_not_end_the_doctor(monkeypatch, code, expected):
    monkeypatch.setattr(doctor_parts, "TRIALS", {"bm3d": code})
    monkeypatch.setattr(doctor_parts, "TRIAL_S", 1.5)
    with doctor_parts.trials():
        assert only(doctor_parts.bm3d).startswith(expected)
    assert not doctor_parts._running


def test_without_bm3d_it_is_missing(monkeypatch):
    monkeypatch.setattr(doctor_parts.importlib.util, "find_spec", lambda name: None)
    with doctor_parts.trials():
        assert only(doctor_parts.bm3d).startswith("missing | bm3d: the classic")


def test_a_torchvision_for_another_torch_is_told(versions):
    versions(torch="2.11.0")
    assert "torchvision was built for another release: torch 2.11.0" in only(
        doctor_parts.torchvision
    )


def test_broken_plugins_of_others_are_a_warning(monkeypatch):
    faults = [Broken("m", "d", "ModuleNotFoundError: No module named 'x'")]
    monkeypatch.setattr(doctor_parts, "broken", lambda: faults)
    line = only(doctor_parts.strangers)
    assert line.startswith("warning | the plug-in module 'm' of 'd' could not be imported")
    assert line.endswith("pip uninstall d")


def test_a_plugin_with_an_unmet_need_is_missing(monkeypatch):
    monkeypatch.setattr(
        doctor_parts, "missing_needs", lambda e: ["bm3d"] if e.name == "bm3d" else []
    )
    lines = found(doctor_parts.plugins)
    assert "missing | denoiser bm3d | pip install 'bm3d'" in lines
    count = len(doctor_parts.entries("denoiser"))
    assert any(line.startswith(f"ok | denoiser: {count - 1} of {count}") for line in lines)


def test_damaged_weights_are_broken(monkeypatch):
    from bench.metrics import alexnet

    monkeypatch.setattr(alexnet, "WEIGHTS_SHA", "0" * 64)
    with pytest.raises(StorageError, match="reinstall the package"):
        list(doctor_parts.weights())
    alexnet.weights.cache_clear()


def test_data_that_are_absent_or_damaged_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/train-images-idx3-ubyte.gz").write_bytes(b"not it")
    (tmp_path / "mnist/t10k-images-idx3-ubyte.gz").write_bytes(b"not it")
    lines = found(doctor_parts.datasets)
    (mnist,) = [line for line in lines if line.split(" | ")[1].startswith("mnist")]
    assert mnist.startswith("warning | mnist is broken | ") and "sha256" in mnist
    (cifar,) = [line for line in lines if line.split(" | ")[1] == "cifar10"]
    assert cifar.startswith("missing") and "python -m bench fetch cifar10" in cifar
