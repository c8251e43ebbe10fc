import numpy as np
import pytest
import torch

from bench.metrics.fidelity import mse, psnr
from bench.runs import _columns
from bench.tasks.scoring import summary


def test_a_summary_has_the_squared_error_of_each_image():
    rng = torch.Generator().manual_seed(0)
    clean, restored = (torch.rand(5, 1, 8, 8, generator=rng) for _ in range(2))
    row = summary({"psnr": psnr(restored, clean)}, seed=0)
    assert row["mse_per_image"] == pytest.approx(mse(restored, clean).tolist())
    assert row["mse"] == pytest.approx(np.mean(row["mse_per_image"]))
    assert row["psnr_low"] < row["psnr"] < row["psnr_high"]
    assert "mse" not in summary({"ssim": torch.rand(5, generator=rng)}, seed=0)


def test_a_rows_width_is_the_networks_and_not_the_generators():
    network = {"name": "diffusion:unet", "scale": 0.25, "recipe": "authors"}
    columns = _columns(
        {"denoiser": network, "generator": {"name": "vae", "scale": 1.0}, "start": 9}
    )
    assert (columns["scale"], columns["generator"], columns["start"]) == (0.25, "vae", 9)
