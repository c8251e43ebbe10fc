"""The Frechet distance against torchmetrics and torch-fidelity, on the same features, in turns.

Run by hand: ``python tests/metrics/benchmark_distances.py [--sizes 2000,256 10000,2048]``. Each
size is timed in the order A B B A, so that a machine that slows down slows both.
"""

import argparse
import importlib
import statistics
import time
from collections.abc import Callable

import torch

from bench.metrics.distances import Statistics, frechet
from bench.torchvision_compat import import_torchvision

SIZES = ("2000,256", "10000,256", "2000,1024", "10000,1024", "2000,2048", "10000,2048")
BATCH = 500


class Pass(torch.nn.Module):
    """A feature network that hands its input on, so that only the distance is timed."""

    def __init__(self, dimension: int):
        super().__init__()
        self.num_features = dimension

    def forward(self, images):
        return images.flatten(1)


def ours(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet(Statistics.stream(a.split(BATCH)), Statistics.stream(b.split(BATCH)))


def by_torchmetrics(a: torch.Tensor, b: torch.Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    dimension = a.shape[1]
    metric = FrechetInceptionDistance(
        feature=Pass(dimension), normalize=True, input_img_size=(1, 1, dimension)
    ).set_dtype(torch.float64)
    for real, features in ((True, a), (False, b)):
        for batch in features.double().split(BATCH):
            metric.update(batch[:, None, None, :], real=real)
    return float(metric.compute())


def by_torch_fidelity(a: torch.Tensor, b: torch.Tensor) -> float:
    from torch_fidelity import metric_fid

    both = [metric_fid.fid_features_to_statistics(x) for x in (a, b)]
    return float(metric_fid.fid_statistics_to_metric(*both, False)[metric_fid.KEY_METRIC_FID])


def rivals() -> dict[str, Callable[[torch.Tensor, torch.Tensor], float]]:
    """Return the others that can be imported here."""
    import_torchvision()
    found = {}
    for name, module, call in (
        ("torchmetrics", "torchmetrics.image.fid", by_torchmetrics),
        ("torch-fidelity", "torch_fidelity.metric_fid", by_torch_fidelity),
    ):
        try:
            importlib.import_module(module)
        except (ImportError, RuntimeError) as error:
            print(f"without {name}: {error}")
        else:
            found[name] = call
    return found


def timed(call: Callable[..., float], *sets: torch.Tensor) -> tuple[float, float]:
    started = time.perf_counter()
    value = call(*sets)
    return time.perf_counter() - started, value


def compare(count: int, dimension: int, others: dict, repeats: int) -> None:
    """Print medians, their ratio and the largest deviation for one size."""
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(count, dimension, generator=rng)
    b = 1.1 * torch.randn(count, dimension, generator=rng) + 0.05
    for name, other in others.items():
        times: dict[str, list[float]] = {"ours": [], name: []}
        values = {}
        for _ in range(repeats):
            for who, call in (("ours", ours), (name, other), (name, other), ("ours", ours)):
                seconds, values[who] = timed(call, a, b)
                times[who].append(seconds)
        mine, theirs = (statistics.median(times[who]) for who in ("ours", name))
        off = abs(values["ours"] / values[name] - 1)
        print(
            f"N = {count:6} D = {dimension:5}  ours {mine:7.3f} s  {name} {theirs:8.3f} s  "
            f"x{theirs / mine:6.2f}  relative difference {off:.1e}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="images,dimensions")
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    others = rivals()
    for size in asked.sizes:
        compare(*map(int, size.split(",")), others, asked.repeats)


if __name__ == "__main__":
    main()
