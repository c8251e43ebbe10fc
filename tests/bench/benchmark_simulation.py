"""How well a one-worker run predicts the wall time of a two-worker run; a person starts it.

    python tests/bench/benchmark_simulation.py [REPEATS] [EXPERIMENT...]

Runs of one and two workers take turns, each into an empty folder; every one-worker run predicts
the two-worker run after it. So do that run's own cells: what is off there is the schedule's fault.
Timings are left out, since they wait until all other runs on the machine let them. Workers share
the memory's bandwidth, and other people's work comes and goes: on a quiet machine both ratios are
within 0.2 of 1.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.forecast.cluster import Cluster, Job
from bench.forecast.simulation import simulate
from bench.runs import Run, load_run

SETS = (
    *("backbones=unet,cunet", "generation.steps=5,10,20", "generation.n_generated=64"),
    *("train.updates=80", "generation.n_real=256"),
)
NO_TIMINGS = "--only=frechet*"


def main() -> None:
    """Print a line for each pair of runs, and what they come to."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    words = sys.argv[2:] or ["table1"]
    ratios = []
    for _ in range(repeats):
        one, alone = measured(words, workers=1)
        two, wall = measured(words, workers=2)
        overhead = max(0.0, alone - seconds_of(one)) / len(one.records)
        before, own = (prediction(run, overhead) for run in (one, two))
        ratios.append(before / wall)
        print(
            f"1 worker {alone:.1f} s; 2 workers {wall:.1f} s, predicted {before:.1f} s (ratio "
            f"{before / wall:.2f}), from its own cells {own:.1f} s (ratio {own / wall:.2f}); cells "
            f"took x{seconds_of(two) / seconds_of(one):.2f} of what they did before; "
            f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
            flush=True,
        )
    print(f"median predicted / measured: {statistics.median(ratios):.2f} of {len(ratios)}")


def seconds_of(run: Run) -> float:
    """Return the sum over cells."""
    return sum(float(record["made"]["seconds"]) for record in run.records)


def measured(words: list[str], *, workers: int) -> tuple[Run, float]:
    """Return a run into an empty folder, and the seconds that it spent on measuring."""
    with tempfile.TemporaryDirectory() as folder:
        sets = [f"--set={one}" for one in SETS]
        command = [
            sys.executable,
            "-m",
            "bench",
            "run",
            *words,
            f"--out={folder}",
            NO_TIMINGS,
            *sets,
        ]
        subprocess.run(
            [*command, f"--workers={workers}", "--offline"], check=True, stdout=subprocess.DEVNULL
        )
        run = load_run(Path(folder))
        return run, float(run.manifest["seconds"])


def prediction(run: Run, overhead: float) -> float:
    """Return the seconds of a run's cells on two workers, with the overhead of each."""
    jobs = [
        Job(r["key"], r["made"]["seconds"], tuple(r["uses"]), alone=r["timing"])
        for r in run.records
    ]
    return simulate(jobs, Cluster(2, overhead_s=overhead)).wall_s


if __name__ == "__main__":
    main()
