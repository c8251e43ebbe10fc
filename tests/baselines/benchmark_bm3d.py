"""Measure BM3D of our own against the bm3d package: time, and PSNR on the field's sets.

    python tests/baselines/benchmark_bm3d.py time --images 64
    BENCH_DATA_DIR=... python tests/baselines/benchmark_bm3d.py psnr --set Set12 --sigma 15 25 50

`time` takes the two in turns, image by image, one thread each, the package's time with the call of
its process. `psnr` prints one line an image, noise unclipped and not rounded; sigma on the 0 to 255
scale. Sets: Set12, BSD68 (grey), CBSD68 (colour), celeba (64x64), digits (8x8).
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.api import Level
from bench.registry import build

NAMES = ("bm3d-torch", "bm3d")


def pictures(name: str, count: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the first images of a set, [C,H,W] in [0,1], with their names."""
    if name in ("celeba", "digits"):
        size = 64 if name == "celeba" else 8
        images = build("dataset", name, image_size=size).images("test")[:count]
        for i, image in enumerate(np.array(images)):
            yield f"{name}{i}", torch.from_numpy(image).float() / 255
        return
    folder = Path(os.environ["BENCH_DATA_DIR"]) / "denoise" / name
    for path in sorted(folder.iterdir())[:count]:
        with Image.open(path) as file:
            image = np.array(file.convert("RGB" if name == "CBSD68" else "L"), dtype=np.float32)
        planes = np.moveaxis(np.atleast_3d(image), 2, 0)
        yield path.stem, torch.from_numpy(planes) / 255


def noised(clean: torch.Tensor, sigma: float, seed: int) -> torch.Tensor:
    """Return a batch of the one image with noise, never clipped."""
    random = torch.Generator().manual_seed(seed)
    return (clean + sigma * torch.randn(clean.shape, generator=random))[None]


def timed(given: argparse.Namespace) -> None:
    """Print seconds per 64x64 colour image of both, and their ratio, in turns."""
    methods = [build("denoiser", name, channels=3, image_size=64) for name in NAMES]
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    shapes = torch.nn.functional.interpolate(
        torch.rand(given.images, 3, 9, 9, generator=torch.Generator().manual_seed(0)),
        size=(64, 64),
        mode="bicubic",
    )
    for i in range(-1, given.images):  # the first is for warming up
        y = noised(shapes[max(i, 0)], given.sigma[0] / 255, i + 1)
        for name, method in zip(NAMES, methods, strict=True):
            start = time.perf_counter()
            method.denoise(y, Level(given.sigma[0] / 255), torch.randn_like)
            if i >= 0:
                seconds[name].append(time.perf_counter() - start)
    for name in NAMES:
        values = seconds[name]
        print(f"{name}: median {statistics.median(values):.4f} s, total {sum(values):.2f} s")
    ours, theirs = (np.array(seconds[name]) for name in NAMES)
    ratio = theirs / ours
    print(f"package / ours: median {np.median(ratio):.1f}, worst {ratio.min():.1f}")
    print(f"of totals {theirs.sum() / ours.sum():.1f}, {given.images} images")


def compared(given: argparse.Namespace) -> None:
    """Print PSNR of both on every image, and the means."""
    channels = 3 if given.set in ("CBSD68", "celeba") else 1
    methods = [build("denoiser", name, channels=channels) for name in NAMES]
    for sigma in given.sigma:
        rows = []
        for i, (name, clean) in enumerate(pictures(given.set, given.images)):
            y = noised(clean, sigma / 255, i)
            row = []
            for method in methods:
                found = method.denoise(y, Level(sigma / 255), torch.randn_like)[0]
                row.append(float(-10 * (found - clean).double().square().mean().log10()))
            rows.append(row)
            print(f"{given.set} {sigma:g} {name}: {row[0]:.3f} {row[1]:.3f}", flush=True)
        ours, theirs = np.mean(rows, axis=0)
        worst = np.diff(rows, axis=1).max()
        print(
            f"{given.set} sigma {sigma:g}, {len(rows)} images: ours {ours:.3f}, package "
            f"{theirs:.3f}, difference {ours - theirs:+.3f} dB (worst image {-worst:+.3f})",
            flush=True,
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("time", "psnr"))
    parser.add_argument("--set", default="Set12")
    parser.add_argument("--sigma", type=float, nargs="+", default=[25.0])
    parser.add_argument("--images", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    timed(given) if given.what == "time" else compared(given)


if __name__ == "__main__":
    main()
