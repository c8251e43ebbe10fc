"""What the job script refuses before it starts anything; needs no Slurm."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.registry import HOME

SCRIPT = HOME / "docs" / "slurm" / "bench.sbatch"


def refused(folder, *words, program="", **environment):
    """Run the script where `python` is a program; return its exit code and what it says."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    given = {n: v for n, v in os.environ.items() if not n.startswith("SLURM_")}
    done = subprocess.run(
        ["bash", str(SCRIPT), *words], capture_output=True, text=True, timeout=60,
        env=given | {"PATH": path} | environment,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_it_wants_a_job(tmp_path):
    code, said = refused(tmp_path, "run", "all")
    assert code == 2 and "not in a job; expected sbatch" in said


def test_it_wants_a_command(tmp_path):
    code, said = refused(tmp_path, SLURM_JOB_ID="7")
    assert code == 2 and "nothing to run" in said


@pytest.mark.parametrize(("ray", "expected"), [
    ("raise ImportError('No module named ray')", "No module named ray by .*extra 'ray'"),
    ("__version__ = '2.51.3'", "Ray 2.51.3 knows no tokens; expected 2.52 or later"),
    ("__version__ = '1.99.0'", "Ray 1.99.0 knows no tokens"),
])  # fmt: skip
def test_it_wants_a_ray_that_knows_tokens(tmp_path, ray, expected):
    Path(tmp_path / "ray.py").write_text(ray + "\n")
    program = f'PYTHONPATH={tmp_path}:{HOME} exec {sys.executable} "$@"'
    code, said = refused(tmp_path, "run", program=program, SLURM_JOB_ID="7")
    assert code == 69
    (line,) = said.splitlines()
    assert re.search(expected, line)
