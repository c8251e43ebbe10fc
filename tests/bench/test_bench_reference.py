"""What is committed can be had again: a cell of a table, from the checkpoint of the package."""

from pathlib import Path

import pandas as pd
import pytest

from bench.api import Kind, Missing
from bench.cli import run_command_line
from bench.registry import build
from bench.runs import load_run

HOME = Path(__file__).resolve().parents[2]


def of_file(name):
    return ("--settings", str(HOME / "docs" / "settings" / f"{name}.toml"))


@pytest.mark.parametrize(
    ("run", "dataset", "width", "settings"),
    [
        ("mnist-small", "mnist", 0.5, ()),
        ("celeba-32", "celeba", 0.5, of_file("celeba-32")),
        ("imagenet-church-32", "imagenet-church", 0.25, of_file("imagenet-church-32")),
    ],
)
def test_a_checkpoint_gives_a_committed_cell_again(run, dataset, width, settings, tmp_path):
    try:
        build(Kind.DATASET, dataset, image_size=32).manifest()
    except Missing as missing:
        pytest.skip(str(missing))
    committed, out = HOME / "results" / "reference" / run, tmp_path / "run"
    label = f"denoise diffusion:cunet {dataset} sigmoid t=150"
    words = ["run", "table4", "--budget", "small", *settings, "--only", label, "--out", str(out)]
    assert run_command_line(words) == 0
    ours, theirs = (row_of(load_run(folder), label, width) for folder in (out, committed))
    assert ours["n"] == theirs["n"] == 64
    # Another processor sums in another order, no more: an image's PSNR moves by far less than this.
    for score, tolerance in (("mse", 1e-6), ("ssim", 1e-4), ("lpips", 1e-4)):
        expected = pytest.approx(theirs[f"{score}_per_image"], rel=1e-3, abs=tolerance)
        assert ours[f"{score}_per_image"] == expected
    table = pd.read_csv(committed / "tables" / "table4.tidy.csv")
    for metric in ("ssim", "lpips"):
        cell = {"row": "Diff cU-Net, one step", "column": 150, "metric": metric}
        (shown,) = table[(table[list(cell)] == cell).all(axis=1)]["ours"]
        assert ours[metric] == pytest.approx(shown, rel=1e-3)


def row_of(run, label, width):
    (record,) = (one for one in run.records if one["label"] == label)
    assert record["spec"]["denoiser"]["scale"] == width
    (row,) = record["rows"]
    return row
