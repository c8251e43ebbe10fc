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
