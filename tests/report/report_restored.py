"""The restorations, classic denoisers and noise levels of the synthetic run."""

import numpy as np
from report_builder import PAIR, SIGMA, SIZE, Builder, as_bytes


def add_restorations(b: Builder, n: int) -> None:
    """Add step-by-step restorations."""
    for name in PAIR:
        for t, sigma in SIGMA.items():
            key = f"restore-{name}-{t}"
            about = {
                "denoiser": f"diffusion:{name}",
                "dataset": b.dataset,
                "t": t,
                "schedule": "sigmoid",
                "sigma": sigma,
                "stride": 10,
                "n": n,
                "image_size": SIZE,
                "scale": 0.125,
            }
            total = t // 10
            for estimate in ("current", "x0"):
                _add_curve(b, key, {**about, "estimate": estimate}, total)
            clean = b.images(6)
            noisy = clean + sigma * b.rng.normal(size=clean.shape)
            frames = [clean[0] + f * (noisy[0] - clean[0]) for f in np.linspace(1, 0.1, 8)]
            b.save(
                key,
                "examples.safetensors",
                {
                    "clean": as_bytes(clean),
                    "noisy": as_bytes(noisy),
                    "best_ssim": as_bytes(clean * 0.9 + 0.1 * noisy),
                    "best_lpips": as_bytes(clean * 0.8 + 0.2 * noisy),
                    "final": as_bytes(clean * 0.95),
                    "movie": as_bytes(np.stack(frames)),
                },
            )


def _add_curve(b: Builder, key: str, about: dict, total: int) -> None:
    unet, t = about["denoiser"].endswith(":unet"), about["t"]
    calls = np.arange(total + 1)
    progress = calls / total
    top = (0.93 if unet else 0.92) - 0.0008 * t
    ssim = top - 0.5 * (about["sigma"] + 0.2) * (1 - progress) ** 1.5 - 0.06 * progress**6
    lpips = 0.02 + 0.0004 * t + 0.9 * about["sigma"] * (progress - (0.85 if unet else 0.75)) ** 2
    lpips *= 1.0 if unet else 0.8
    for i in calls:
        b.add(
            "restore",
            key,
            **about,
            part="curve",
            calls=i,
            psnr=20 + 8 * ssim[i],
            ssim=ssim[i],
            lpips=lpips[i],
        )
    for metric, curve, best in (
        ("ssim", ssim, int(ssim.argmax())),
        ("lpips", lpips, int(lpips.argmin())),
        ("psnr", 20 + 8 * ssim, int(ssim.argmax())),
    ):
        value = float(curve[best])
        images = value * (1 + 0.05 * np.linspace(-1, 1, about["n"]))
        b.add(
            "restore",
            key,
            **about,
            part="best",
            metric=metric,
            best_value=value,
            best_low=value * 0.98,
            best_high=value * 1.02,
            best_calls=best,
            best_calls_low=max(best - 1, 0),
            best_calls_high=min(best + 1, total),
            disjoint_calls=[best, max(best - 1, 0)],
            disjoint_value=value,
            total_calls=total,
            per_image=images.tolist(),
        )


def add_classics(b: Builder, n: int) -> None:
    """Add classic denoisers."""
    strength = {"identity": 1.0, "wiener": 0.5, "bm3d": 0.35, "conv-ae": 0.4, "dncnn": 0.3}
    for name, left in strength.items():
        for t, sigma in SIGMA.items():
            key = f"denoise-{name}-{t}"
            scores = {"psnr": 30 - 40 * left * sigma, "ssim": 1 - 1.6 * left * sigma}
            scores["lpips"] = 1.1 * left * sigma
            columns = {}
            for metric, value in scores.items():
                columns |= {metric: value, f"{metric}_low": value * 0.97}
                columns[f"{metric}_high"] = value * 1.03
            b.add(
                "denoise",
                key,
                denoiser=name,
                dataset=b.dataset,
                t=t,
                schedule="sigmoid",
                sigma=sigma,
                n=n,
                trained="blind" if name in ("conv-ae", "dncnn") else "-",
                lpips_resize="none",
                seconds_per_image=0.01,
                image_size=SIZE,
                **columns,
            )
            clean = b.images(6)
            noisy = clean + sigma * b.rng.normal(size=clean.shape)
            restored = clean + left * (noisy - clean)
            arrays = {"clean": clean, "noisy": noisy, "restored": restored}
            b.save(key, "examples.safetensors", {k: as_bytes(v) for k, v in arrays.items()})


def add_ladder(b: Builder) -> None:
    """Add the noise ladder."""
    clean = b.images(4)
    noise = b.rng.normal(size=clean.shape)
    levels = np.stack([clean + s * noise for s in SIGMA.values()], axis=1)
    b.save("ladder", "ladder.safetensors", {"clean": as_bytes(clean), "images": as_bytes(levels)})
    for t, sigma in SIGMA.items():
        b.add("ladder", "ladder", dataset=b.dataset, t=t, schedule="sigmoid", sigma=sigma)
