"""A synthetic run with the columns of a real one. Every number here is made up."""

from pathlib import Path

import numpy as np
import pandas as pd
from report_builder import PAIR, SIZE, Builder, FakeRun, as_bytes
from report_restored import add_classics, add_ladder, add_restorations

STEPS = (5, 10, 20, 50)
COSTS = {  # parameters, GMACs by the authors' rule, fvcore, checkpoint MiB
    "unet": (35_710_339, 7.20626, 7.318, 545.4),
    "cunet": (8_887_219, 2.89959, 2.924, 136.0),
    "cunet-no-attention": (8_624_051, 2.88282, 2.905, 131.9),
    "cunet-no-residual": (6_106_995, 1.69206, 1.717, 93.6),
    "cunet-no-attention-no-residual": (5_843_827, 1.67528, 1.698, 89.5),
    "cunet-released": (8_811_875, 2.83098, 2.844, 132.7),
    "cunet-released-a5": (9_140_835, 2.90229, 3.452, 137.8),
    "cunet-released-a5-groupnorm": (9_146_723, 2.89429, 3.456, 137.9),
    "cunet-released-no-attention": (8_548_707, 2.81421, 2.825, 128.7),
    "cunet-released-no-residual": (6_138_083, 1.62384, 1.637, 92.0),
    "cunet-released-no-attention-no-residual": (5_874_915, 1.60706, 1.618, 87.9),
    "unet-ho2020": (35_746_307, 23.2, 23.4, 546.0),
}


def synthetic_run(
    folder: Path, *, dataset: str = "digits", budget: str = "smoke", n: int = 256, channels: int = 1
) -> FakeRun:
    """Return a complete run."""
    b = Builder(folder, dataset, channels, n)
    add_costs(b)
    add_timings(b)
    add_training(b)
    add_distances(b, "inception" if budget == "paper" else "alexnet")
    add_restorations(b, 300 if budget == "paper" else 16)
    add_classics(b, 300 if budget == "paper" else 16)
    add_ladder(b)
    return FakeRun(manifest(dataset, budget), pd.DataFrame(b.rows), folder)


def manifest(dataset: str, budget: str) -> dict:
    """Return a manifest."""
    return {
        "run": "synthetic <smoke> & 100%",
        "budget": budget,
        "dataset": dataset,
        "settings": {"image_size": SIZE, "train": {"updates": 600}},
        "machine": {
            "cpu": "Imaginary CPU <2>",
            "cores": 2,
            "threads": 1,
            "system": "Linux x86_64",
            "gpu": [],
        },
        "versions": {"python": "3.11.0", "torch": "0.0.0"},
        "git": {"commit": "0123456789abcdef", "changed": False},
        "command": "python -m bench run all --budget smoke",
        "started": "2030-01-01T00:00:00Z",
        "seconds": 123.4,
        "counts": {"ok": 60, "failed": 1},
        "findings": [{"name": "cunet-released", "note": "the time embedding has no effect <b>"}],
    }


def add_costs(b: Builder) -> None:
    """Add what the networks cost."""
    for name, (parameters, authors, fvcore, mib) in COSTS.items():
        b.add(
            "cost",
            f"cost-{name}",
            backbone=name,
            parameters=parameters,
            trained_parameters=parameters,
            frozen_parameters=0,
            gmacs_authors=authors,
            gmacs_fvcore=fvcore,
            gmacs_torch=fvcore,
            gflops_torch=2 * fvcore,
            nfe=36 if "cunet" in name else 0,
            checkpoint_mib=mib,
            weights_mib=mib / 4,
            channels=3,
            image_size=64,
            scale=1.0,
        )


def add_timings(b: Builder) -> None:
    """Add latencies: narrow networks at the run's size, and full width at 64."""
    cases = {
        (SIZE, 0.125, b.channels): {"unet": 0.0061, "cunet": 0.0084},
        (64, 1.0, 3): {"unet": 0.286, "cunet": 0.164, "cunet-released": 0.171},
    }
    for (size, scale, channels), times in cases.items():
        turns = 1 + 0.1 * b.rng.random(15)
        for name, seconds in times.items():
            samples = seconds * turns * (1 + 0.02 * b.rng.random(15))
            q1, median, q3 = np.quantile(samples, (0.25, 0.5, 0.75))
            b.add(
                "latency",
                f"latency-{size}",
                backbone=name,
                batch=1,
                threads=1,
                device="cpu",
                engine="eager",
                image_size=size,
                channels=channels,
                scale=scale,
                latency_s=median,
                latency_q1_s=q1,
                latency_q3_s=q3,
                samples_s=samples.tolist(),
                repeats=15,
                noisy=False,
                peak_rss_mib=300.0,
            )


def add_training(b: Builder) -> None:
    """Add training cells with their loss curves."""
    for name, start in (
        ("diffusion:unet", 0.9),
        ("diffusion:cunet", 1.2),
        ("conv-ae", 0.2),
        ("dncnn", 0.1),
    ):
        key = f"train-{name.replace(':', '-')}"
        updates = np.arange(1, 601)
        loss = 0.05 + start * np.exp(-updates / 90) * np.exp(0.25 * b.rng.normal(size=600))
        (b.folder / key).mkdir(parents=True, exist_ok=True)
        lines = "\n".join(f"{u},{v:.5f}" for u, v in zip(updates, loss, strict=True))
        (b.folder / key / "curve.csv").write_text(f"update,loss\n{lines}\n")
        b.add(
            "train",
            key,
            denoiser=name,
            dataset=b.dataset,
            updates=600,
            images_seen=19_200,
            loss_last=float(loss[-100:].mean()),
            recipe="authors",
        )


def add_distances(b: Builder, features: str) -> None:
    """Add sampled images and their distances."""
    optimum = {"unet": 50, "cunet": 20}
    for name in PAIR:
        for steps in STEPS:
            value = 1.2 + 0.5 * abs(np.log(steps / optimum[name])) + (0.1 if name == "unet" else 0)
            about = {
                "denoiser": f"diffusion:{name}",
                "dataset": b.dataset,
                "sampler": "ddim",
                "steps": steps,
                "recipe": "authors",
                "image_size": SIZE,
                "scale": 0.125,
            }
            b.add(
                "frechet",
                f"frechet-{name}-{steps}",
                **about,
                frechet=value,
                low=value - 0.15,
                high=value + 0.15,
                leave_one_out=(value + 0.05 * b.rng.normal(size=8)).tolist(),
                kid=value / 100,
                kid_se=0.001,
                features=features,
                weights_sha="ab" * 32,
                resize="bilinear-64",
                dimension=192,
                n_generated=b.n,
                n_real=b.n,
                floor=0.4,
                floor_n=b.n,
                **more_distances(b, value),
            )
            pair = b.images(8)
            b.save(
                f"frechet-{name}-{steps}",
                "closest.safetensors",
                {"generated": as_bytes(pair + 0.1 * b.rng.normal(size=pair.shape)),
                 "training": as_bytes(pair)},
            )  # fmt: skip
            key = f"sample-{name}-{steps}"
            b.add("sample", key, **about, n_generated=b.n)
            noise = b.rng.normal(size=(40, b.channels, SIZE, SIZE)) * 0.6 / steps**0.5
            b.save(key, "samples.safetensors", {"images": as_bytes(b.images(40) + noise)})


def more_distances(b: Builder, value: float) -> dict:
    """Return the columns that runs of early versions lack."""
    return {
        "floor_against": b.n,
        "kid_leave_one_out": (value / 100 + 0.001 * b.rng.normal(size=8)).tolist(),
        "infinity": value - 0.3,
        "infinity_low": value - 0.5,
        "infinity_high": value - 0.1,
        "infinity_se": 0.08,
        "infinity_n": [b.n // 2, b.n * 3 // 4, b.n],
        "leads": "frechet",
        "precision": 0.9 - value / 10,
        "recall": 0.4 + value / 10,
        "density": 1.1 - value / 10,
        "coverage": 0.95 - value / 10,
        "n_manifold": b.n,
        "nearest_training": 5 + value,
        "nearest_training_held_out": 6.1,
        "nearest_share": 0.012,
        "n_training": 2 * b.n,
        "n_held_out": b.n,
    }
