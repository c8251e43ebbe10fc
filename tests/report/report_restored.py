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
                    **_image_scores(("noisy", "best_ssim", "best_lpips", "final"), 6),
                },
            )
            _add_combinations(b, key, about)
    _add_notebook(b)


def _image_scores(kinds: tuple[str, ...], n: int) -> dict[str, np.ndarray]:
    values = {"ssim": np.linspace(0.7, 0.9, n), "lpips": np.linspace(0.2, 0.1, n)}
    return {f"{kind}/{metric}": one for kind in kinds for metric, one in values.items()}


def _add_combinations(b: Builder, key: str, about: dict) -> None:
    """Add what lies between posterior mean and sample, and the distances of sets."""
    least = 0.1 * about["sigma"] ** 2
    mse = {share: least * (1 + (1 - share) ** 2) for share in (0, 0.25, 0.5, 0.75, 1)}
    row = {name: about[name] for name in ("denoiser", "dataset", "t", "schedule", "n")}
    distance = {"features": "alexnet", "leads": "kid", "n_real": 100}
    for share, value in mse.items():
        scores = {
            "mse": value,
            "psnr": -10 * np.log10(value),
            "ssim": 1 - 4 * value,
            "lpips": 0.02 + 0.2 * share * about["sigma"],
        }
        between = {"part": "combination", "share_of_mean": share}
        b.add("restore", key, **about, **between, **scores)
        b.add("perception", f"of-{key}", **row, **distance, **between, **_distance(0.1 * share))
    for calls in (0, about["t"] // 20):
        path = {"part": "path", "calls": calls}
        b.add("perception", f"of-{key}", **row, **distance, **path, **_distance(0.2 / (1 + calls)))
    clean = {"part": "clean", **_distance(0.001)}
    b.add("perception", f"of-{key}", **row, **distance, **clean)


def _distance(kid: float) -> dict[str, float]:
    return {
        **{"kid": kid, "kid_low": kid - 0.01, "kid_high": kid + 0.01},
        **{"frechet": 10 * kid, "frechet_low": 9 * kid, "frechet_high": 11 * kid},
    }


def _add_notebook(b: Builder) -> None:
    """Add the authors' own protocol."""
    for name in PAIR:
        for variant in ("follow", "compare"):
            about = {
                "denoiser": f"diffusion:{name}",
                "dataset": b.dataset,
                "protocol": "authors-notebook",
                "variant": variant,
                "sigma": 0.1,
                "t": 100,
                "stride": 10,
                "n": 1,
                "part": "best",
                "image_size": SIZE,
                "scale": 0.125,
            }
            ours = 0.61 if name == "unet" else 0.63
            for metric, value in {"ssim": ours, "ssim_authors": 0.97, "lpips": 0.05}.items():
                best = {"metric": metric, "best_value": value, "best_calls": 3, "total_calls": 10}
                b.add("notebook", f"notebook-{name}", **about, **best)


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
            mse=10 ** -(2 + 0.8 * ssim[i]),
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
            disjoint_calls=[best, best],
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
            scores["mse"] = (left * sigma) ** 2
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
            pictures = {k: as_bytes(v) for k, v in arrays.items()}
            scored = _image_scores(("restored",), 6)
            b.save(key, "examples.safetensors", pictures | scored)
            about = {"denoiser": name, "dataset": b.dataset, "t": t, "schedule": "sigmoid"}
            about |= {"n": n, "features": "alexnet", "leads": "kid", "n_real": 100}
            b.add("perception", f"of-{key}", **about, part="restored", **_distance(left * sigma))


def add_ladder(b: Builder) -> None:
    """Add the noise ladder."""
    clean = b.images(4)
    noise = b.rng.normal(size=clean.shape)
    levels = np.stack([clean + s * noise for s in SIGMA.values()], axis=1)
    b.save("ladder", "ladder.safetensors", {"clean": as_bytes(clean), "images": as_bytes(levels)})
    for t, sigma in SIGMA.items():
        b.add("ladder", "ladder", dataset=b.dataset, t=t, schedule="sigmoid", sigma=sigma)
