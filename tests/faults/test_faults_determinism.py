"""Same seed, same numbers, bit for bit, however many workers share the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import canonical
from bench.runs import load_run

SMALL = {
    "train.updates": "20", "train.passes": "0", "train.classic_updates": "20",
    "train.dncnn_updates": "20",
    "generation.n_generated": "32", "generation.n_real": "32", "generation.steps": "[5,10]",
    "denoising.n_images": "4", "denoising.stride": "100", "denoising.levels": "[50]",
    "denoising.classic_levels": "[50]", "generation.blocks": "4", "timing.repeats": "3",
    "timing.warmup": "1",
}  # fmt: skip


def measured(out: Path, workers: int) -> dict[str, str]:
    """Run Tables 1, 2 and 4, tiny; return key -> all of a quality record but its circumstances."""
    settings = [word for pair in SMALL.items() for word in ("--set", "=".join(pair))]
    words = ["run", "table1", "table2", "table4", "--out", str(out), "--workers", str(workers)]
    command = [sys.executable, "-m", "bench", *words, *settings]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        record["key"]: canonical.dumps(
            {name: part for name, part in record.items() if name not in ("made", "checksum")}
        )
        for record in load_run(out).records
        if not record["timing"]
    }


@pytest.mark.slow
def test_numbers_do_not_depend_on_the_number_of_workers(tmp_path):
    one, three = (measured(tmp_path / str(workers), workers) for workers in (1, 3))
    assert len(one) > 15
    assert one == three
