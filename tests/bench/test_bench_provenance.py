import subprocess
from types import SimpleNamespace

import pytest

from bench import provenance
from bench.api import BenchError


@pytest.fixture
def answers(monkeypatch):
    """Let the driver's tool answer, or the asking fail."""

    def give(answer):
        def ask(*args, **named):
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(returncode=answer[0], stdout=answer[1])

        monkeypatch.setattr(subprocess, "run", ask)
        provenance.machine.cache_clear()
        return provenance.machine

    yield give
    provenance.machine.cache_clear()


@pytest.mark.parametrize(
    ("answer", "gpus"),
    [
        ((0, "One 40GB\nOne 40GB\n"), ["One 40GB", "One 40GB"]),
        ((0, ""), []),
        (FileNotFoundError(), []),
        ((9, "it could not communicate with the driver\n"), ["unknown"]),
        ((6, "No devices were found"), ["unknown"]),
        (PermissionError(), ["unknown"]),
    ],
)
def test_what_the_drivers_tool_says_names_the_gpus(answers, answer, gpus):
    assert answers(answer)()["gpu"] == gpus


def test_a_tool_that_is_silent_is_a_fault_until_it_answers(answers):
    with pytest.raises(BenchError, match="nvidia-smi did not answer"):
        answers(subprocess.TimeoutExpired("nvidia-smi", 60))()
    assert answers((0, "One\n"))()["gpu"] == ["One"]


@pytest.mark.parametrize(("quota", "told"), [(None, {}), (1.5, {"core_quota": 1.5})])
def test_a_share_of_the_cores_is_told_where_there_is_one(answers, monkeypatch, quota, told):
    monkeypatch.setattr(provenance, "core_quota", lambda: quota)
    found = answers((0, ""))()
    assert {name: value for name, value in found.items() if name == "core_quota"} == told


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make a checkout with one file of code, which provenance takes for its own."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/provenance.py").write_text("")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "bench/provenance.py"))
    yield tmp_path
    provenance.git.cache_clear()


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("my-run/run.json", False),
        ("notes.txt", False),
        ("models/mine.py", True),
        ("models/checkpoints/mine/weights.safetensors", True),
        ("bench/provenance.py", True),
    ],
)
def test_what_runs_write_is_no_change_of_the_checkout(checkout, path, changed):
    provenance.git.cache_clear()
    assert provenance.git()["changed"] is False
    (checkout / path).parent.mkdir(parents=True, exist_ok=True)
    (checkout / path).write_text("new")
    provenance.git.cache_clear()
    assert provenance.git()["changed"] is changed
