"""The synthetic run's samplers and its held-out one-step denoising. Every number is made up."""

from pathlib import Path

import numpy as np
import pandas as pd
from report_builder import PAIR, SIZE, Builder, FakeRun, as_bytes
from report_synthetic import add_costs, add_timings, manifest

BESIDE = {"generator": None, "start": None, "student": None, "spacing": None}
WAYS = (
    {"sampler": "ddpm"},
    {"sampler": "ddim"},
    {"sampler": "heun"},
    {"sampler": "dpmpp-2m+clip=false", "spacing": "log-snr"},
    {"sampler": "ddpm", "generator": "vae", "start": 400},
    {"sampler": "ddpm", "generator": "blurred-train", "start": 400},
)
STUDENT = {"sampler": "ddim", "student": 4}
SAMPLER_STEPS = (5, 10, 20)
ONE_STEP_LEVELS = (83, 250, 416, 583, 750, 916)


def sampled_run(folder: Path) -> FakeRun:
    """Return a run of the experiments `samplers` and `training`."""
    b = Builder(folder, "digits", 1, 192)
    add_costs(b)
    add_timings(b)
    add_samplers(b, "alexnet")
    add_one_step(b, 96)
    return FakeRun(manifest("digits", "smoke"), pd.DataFrame(b.rows), folder)


def add_samplers(b: Builder, features: str) -> None:
    """Add what each sampler makes on each network, and how far that is from real images."""
    for name in PAIR:
        for rank, way in enumerate(WAYS):
            for steps in SAMPLER_STEPS:
                _add_way(b, name, way, steps=steps, distance=(3 + rank) / steps, features=features)
        _add_way(b, name, STUDENT, steps=4, distance=0.5, features=features)


def _add_way(
    b: Builder, backbone: str, way: dict, *, steps: int, distance: float, features: str
) -> None:
    about = {
        **BESIDE,
        **way,
        "denoiser": f"diffusion:{backbone}",
        "dataset": b.dataset,
        "recipe": "authors",
        "image_size": SIZE,
        "scale": 0.125,
        "steps": steps,
    }
    distance += 0.1 * (backbone == "cunet")
    key = f"{backbone}-{'-'.join(str(value) for value in way.values())}-{steps}"
    b.add(
        "frechet",
        f"samplers-{key}",
        **about,
        table="samplers",
        frechet=100 * distance,
        low=80 * distance,
        high=120 * distance,
        kid=distance,
        kid_se=0.1 * distance,
        leave_one_out=(100 * distance + b.rng.normal(size=8)).tolist(),
        leads="frechet" if features == "inception" else "kid",
        features=features,
        weights_sha="ab" * 32,
        resize="bilinear-64",
        dimension=192,
        n_generated=96,
        n_real=b.n,
    )
    b.add(
        "sample",
        f"made-{key}",
        **{**about, "spacing": way.get("spacing", "uniform")},
        n_generated=96,
        calls=2 * steps - 1 if way["sampler"] == "heun" else steps,
        leaks=way.get("generator") == "blurred-train",
    )
    noise = b.rng.normal(size=(4, b.channels, SIZE, SIZE)) * 0.4 / steps**0.5
    b.save(f"made-{key}", "samples.safetensors", {"images": as_bytes(b.images(4) + noise)})


def add_one_step(b: Builder, n: int) -> None:
    """Add one-step denoising: the U-Net beats the Wiener filter everywhere, the cU-Net does not."""
    share = {"wiener": 1.0, "diffusion:unet": 0.7, "diffusion:cunet": 0.8}
    for t in ONE_STEP_LEVELS:
        floor = 0.04 * t / 1000 * np.exp(0.3 * b.rng.normal(size=n))
        for name, factor in share.items():
            worse = 1.5 if (name, t) == ("diffusion:cunet", 83) else 1.0
            errors = floor * factor * worse * np.exp(0.05 * b.rng.normal(size=n))
            b.add(
                "denoise",
                f"one-step-{name.replace(':', '-')}-{t}",
                denoiser=name,
                dataset=b.dataset,
                recipe=None if name == "wiener" else "authors",
                schedule="sigmoid",
                table="training",
                t=t,
                sigma=0.5 * t / 1000,
                n=n,
                psnr=20.0,
                ssim=0.5,
                lpips=0.5,
                mse=float(errors.mean()),
                mse_per_image=errors.tolist(),
            )
