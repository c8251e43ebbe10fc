"""The job script on a Slurm of two nodes: with a stand-in for the benchmark, and with itself."""

import os
import sys
from pathlib import Path

import pytest

from bench.parts import read_tensors
from bench.runs import load_run

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

STAND_IN = """
import os, signal, subprocess, sys, time
import ray
wishes = []
ray.init(address=sys.argv[-1], log_to_driver=False, logging_level="error")
nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
print("words", *sys.argv[3:], flush=True)
print("nodes", [(node["CPU"], node["timing"]) for node in nodes], flush=True)
if sys.argv[4] == "guarded":
    stranger = {n: v for n, v in os.environ.items() if not n.startswith("RAY_AUTH")}
    tried = subprocess.run(
        [sys.executable, "-c", "import sys, ray; ray.init(address=sys.argv[1])", sys.argv[-1]],
        env=stranger | {"HOME": "/nonexistent"}, capture_output=True, text=True)
    print("stranger", tried.returncode, "uthentication" in tried.stderr, flush=True)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: wishes.append(number))
print("waiting", flush=True)
last = time.monotonic() + float(sys.argv[3])
while not wishes and time.monotonic() < last:
    time.sleep(0.1)
print("wishes", wishes, flush=True)
sys.exit(130 if wishes else 3)
"""


@pytest.fixture
def instead(slurm, tmp_path):
    """Put a program in the place of `python -m bench`; `ray` too, where it is given."""

    def put(program, **others):
        (tmp_path / "stand_in.py").write_text(program)
        others["python"] = (
            f'[ "$1 $2" = "-m bench" ] && exec {sys.executable} {tmp_path}/stand_in.py "$@"\n'
            f'exec {sys.executable} "$@"'
        )
        for name, text in others.items():
            path = tmp_path / name
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)
        return {"PATH": f"{tmp_path}{os.pathsep}{slurm.environment['PATH']}"}

    return put


def left_by(slurm, job):
    """Return what a job has left: processes of Ray, and its folder."""
    own = [p for p in slurm.processes() if p.environ().get("SLURM_JOB_ID") == job.number]
    return [p.name() for p in own], list(Path("/tmp").glob(f"bench-ray-{job.number}.*"))


def test_two_nodes_come_together_behind_a_token_and_the_code_is_the_commands(slurm, instead):
    job = slurm.submit("0.1", "guarded", "a b", options=("--nodes=2",), **instead(STAND_IN))
    assert job.code() == 3
    assert "Ray runs on one two" in job.output
    assert "nodes [(2.0, 1.0), (2.0, 1.0)]" in job.output
    assert "words 0.1 guarded a b --executor ray --address" in job.output
    assert "stranger 1 True" in job.output
    assert left_by(slurm, job) == ([], [])


def test_one_node_listens_to_itself_alone(slurm, instead):
    job = slurm.submit("60", options=("--nodes=1",), **instead(STAND_IN))
    job.wait_for("waiting")
    heard = set()
    for process in slurm.processes():
        for connection in process.net_connections("tcp"):
            if connection.status == "LISTEN":
                heard.add(connection.laddr.ip)
    assert heard and heard <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    job.signal("TERM")
    assert job.code() == 130
    assert "asked to end (stop)" in job.output and "wishes [15]" in job.output
    assert job.field("Restarts") == "0"
    assert left_by(slurm, job) == ([], [])


def test_what_time_ran_out_for_is_queued_again_and_goes_on(slurm, instead):
    """Slurm's warning, sent by hand; the second time the stand-in ends by itself."""
    first = 'os.environ.get("SLURM_RESTART_COUNT") is None'
    program = STAND_IN.replace("float(sys.argv[3])", f"600.0 * ({first})")
    job = slurm.submit("-", options=("--nodes=1",), **instead(program))
    job.wait_for("waiting")
    job.signal("USR1")
    job.wait_for("the job is queued again")
    assert "asked to end (limit)" in job.output and "wishes [15]" in job.output
    job.wait_for("wishes []")
    assert job.code() == 3 and job.field("Restarts") == "1"


def test_slurm_itself_warns_before_the_time_limit(slurm, instead):
    options = ("--nodes=1", "--time=2", "--signal=B:USR1@60", "--no-requeue")
    job = slurm.submit("600", options=options, **instead(STAND_IN))
    assert job.code(limit_s=150.0) == 130
    assert "asked to end (limit)" in job.output and "wishes [15]" in job.output
    assert "the same sbatch goes on where it stopped" in job.output


def test_a_node_that_does_not_come_is_one_line(slurm, instead):
    ray = f'case "$*" in *--address*) exit 1;; esac\nexec {Path(sys.executable).parent}/ray "$@"'
    job = slurm.submit("0", options=("--nodes=2",), BENCH_START_S="8", **instead(STAND_IN, ray=ray))
    assert job.code() == 69
    assert "bench.sbatch: 1 of 2 nodes came within 8 s; expected all" in job.output
    assert left_by(slurm, job) == ([], [])


def test_a_ray_that_does_not_start_is_told_with_its_words(slurm, instead):
    job = slurm.submit("0", options=("--nodes=1",), **instead(STAND_IN, ray="echo no room; exit 1"))
    assert job.code() == 69
    assert "Ray did not start on one; expected it at 127.0.0.1:" in job.output
    assert "no room" in job.output


# ---------------------------------------------------------------- the benchmark itself

NETWORK = (
    "run", "training", "--dataset", "digits", "--only", "denoise diffusion:unet digits*t=83",
    "--set", "scale=0.05", "--set", "image_size=16", "--set", "train.passes=0", "--set",
)  # fmt: skip


def test_a_cancelled_run_keeps_its_place_and_the_same_command_goes_on(slurm):
    """The second job goes on with what the first one trained."""
    words, options = (*NETWORK, "train.updates=400", "--out", "run"), ("--nodes=1",)
    run = slurm.home / "run"
    partial = run / "partial"
    job = slurm.submit(*words, options=options)
    slurm.until(lambda: job.ended() or list(partial.rglob("checkpoint*")), 120.0, "a start")
    job.signal("TERM")
    assert job.code() == 130, job.output
    assert "go on with" in job.output
    (kept,) = partial.rglob("checkpoint.safetensors")
    tensors, _ = read_tensors(kept)
    assert 0 < len(tensors["curve"]) < 400
    again = slurm.submit(*words, options=options)
    assert again.code(limit_s=240.0) == 0, again.output
    assert not kept.exists()
    found = {record["task"]: record for record in load_run(run).records}
    assert {found[task]["status"] for task in ("train", "denoise")} == {"ok"}
    assert found["train"]["rows"][0]["updates"] == 400 and found["denoise"]["rows"]
