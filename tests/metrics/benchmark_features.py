"""How long images -> features -> distance takes, here and in two other libraries.

All of them get the same network module and the same uint8 images, and take turns A B C C B A, so
that a drift of the machine hits all of them. The time of the network alone, on batches that are
ready, shows how much everything around it costs. What is not installed is left out::

    python tests/metrics/benchmark_features.py --images 500 --threads 1 --features vgg16
    python tests/metrics/benchmark_features.py --memory
    python tests/metrics/benchmark_features.py --bfloat16
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from bench import registry
from bench.batches import padded, to_float
from bench.metrics.distances import Statistics, frechet
from bench.metrics.memory import peak_rss_mib, rss_mib
from bench.parts import in_parts, joined
from bench.torchvision_compat import import_torchvision

BATCH = 50
SIZES = (32, 64)
COUNTS = (1000, 5000, 30000)
WARM_UP = 2


def pictures(count: int, size: int, seed: int) -> np.ndarray:
    """Return smooth colour images, uint8; another seed gives another distribution."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=rng) ** (1 + 0.3 * seed)
    large = nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return (large * 255).round().to(torch.uint8).numpy()


class FromBytes(nn.Module):
    """The network as the others want it: uint8 images in, features out."""

    def __init__(self, extractor: nn.Module):
        super().__init__()
        self.extractor = extractor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.extractor(images.float().div_(255))


# -------------------------------------------------------------------- the three


def features_as_the_task(extractor: nn.Module, images: np.ndarray) -> torch.Tensor:
    """Do what the task `features` does, parts on disk included."""

    def make(block: range) -> dict[str, torch.Tensor]:
        batch = padded(to_float(images[block.start : block.stop]), BATCH)
        return {"features": extractor(batch)[: len(block)]}

    with tempfile.TemporaryDirectory() as folder:
        context = SimpleNamespace(
            partial=Path(folder), progress=lambda done, of: None, pause_wanted=lambda: False
        )
        return joined(in_parts(context, make, count=len(images), size=BATCH))["features"]


def ours(extractor: nn.Module, a: np.ndarray, b: np.ndarray) -> float:
    return frechet(*(Statistics.of(features_as_the_task(extractor, x)) for x in (a, b)))


def torchmetrics_of(extractor: nn.Module, size: int) -> Callable[[np.ndarray, np.ndarray], float]:
    import_torchvision()
    module = importlib.import_module("torchmetrics.image.fid")
    network = FromBytes(extractor)

    @torch.no_grad()
    def distance(a: np.ndarray, b: np.ndarray) -> float:
        metric = module.FrechetInceptionDistance(network, input_img_size=(3, size, size))
        for images, real in ((a, True), (b, False)):
            for batch in torch.from_numpy(images).split(BATCH):
                metric.update(batch, real=real)
        return float(metric.compute())

    return distance


def torch_fidelity_of(extractor: nn.Module) -> Callable[[np.ndarray, np.ndarray], float]:
    import_torchvision()
    library = importlib.import_module("torch_fidelity")
    base = importlib.import_module("torch_fidelity.feature_extractor_base").FeatureExtractorBase

    class Same(base):
        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)
            self.network = FromBytes(extractor)

        def forward(self, images):
            return (self.network(images),)

        @staticmethod
        def get_provided_features_list():
            return ("same",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "same"

        @staticmethod
        def can_be_compiled():
            return False

    name = f"same-{id(extractor)}"
    library.register_feature_extractor(name, Same)

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        found = library.calculate_metrics(
            input1=list_of(a),
            input2=list_of(b),
            fid=True,
            feature_extractor=name,
            feature_layer_fid="same",
            batch_size=BATCH,
            cuda=False,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
        )
        return found["frechet_inception_distance"]

    return distance


def list_of(images: np.ndarray) -> torch.utils.data.Dataset:
    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, i):
            return torch.from_numpy(images[i])

    return Items()


# -------------------------------------------------------------------- in turns


def in_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the least seconds of the wall clock and of the processors, A B C C B A."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    used: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            started, busy = time.perf_counter(), time.process_time()
            calls[name]()
            used[name].append(time.process_time() - busy)
            wall[name].append(time.perf_counter() - started)
    return {name: (min(wall[name]), min(used[name])) for name in calls}


def compare(name: str, count: int, size: int, rounds: int) -> None:
    """Print the times of the three and of the network alone, and how far the results are apart."""
    extractor = registry.build("features", name).eval()
    a, b = pictures(count, size, 0), pictures(count, size, 1)
    ready = extractor.resized(torch.rand(BATCH, 3, size, size))
    ready = ready.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def network() -> None:
        for _ in range(2 * -(-count // BATCH)):
            extractor.trunk(ready)

    others = {"torchmetrics": lambda: torchmetrics_of(extractor, size)}
    others["torch-fidelity"] = lambda: torch_fidelity_of(extractor)
    distances = {"ours": lambda a, b: ours(extractor, a, b)}
    for name, make in others.items():
        try:
            distances[name] = make()
        except ImportError:
            print(f"{name}: not installed")
    values = {name: f(a[: WARM_UP * BATCH], b[: WARM_UP * BATCH]) for name, f in distances.items()}
    values = {name: f(a, b) for name, f in distances.items()}
    network()
    calls = {"network": network} | {name: (lambda f=f: f(a, b)) for name, f in distances.items()}
    taken = in_turns(calls, rounds)
    print(f"\n{count} + {count} images of {size}x{size}, {torch.get_num_threads()} thread(s)")
    print(
        f"{'':16s}{'wall s':>9s}{'cpu s':>9s}{'beside the network':>20s}{'vs ours':>9s}  distance"
    )
    for name, (wall, used) in taken.items():
        beside = used / taken["network"][1] - 1
        ratio = wall / taken["ours"][0]
        value = f"{values[name]:.9g}" if name in values else ""
        print(f"{name:16s}{wall:9.3f}{used:9.3f}{beside:20.1%}{ratio:9.2f}  {value}")


# ----------------------------------------------------------------- memory, bfloat16


def memory_of(count: int) -> None:
    """Print the memory of one run; to be called in a process of its own."""
    # Not `pictures`: making floats of them all would be the peak.
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    extractor = registry.build("features", "pixels").eval()
    before = rss_mib()
    started = time.perf_counter()
    Statistics.of(features_as_the_task(extractor, images))
    seconds = time.perf_counter() - started
    print(
        f"{count:6d} images: {images.nbytes / 2**20:6.1f} MiB of bytes, {before:7.1f} MiB before, "
        f"{peak_rss_mib():7.1f} MiB at the peak, {1e6 * seconds / count:6.1f} us per image"
    )


def bfloat16(count: int, rounds: int) -> None:
    """Print the speed of bfloat16 beside float32, and what it does to the distance."""
    names = ("float32", "bfloat16")
    nets = {name: registry.build("features", "alexnet", precision=name).eval() for name in names}
    a, b = pictures(count, 64, 0), pictures(count, 64, 1)
    values = {name: ours(net, a, b) for name, net in nets.items()}
    taken = in_turns(
        {name: (lambda net=net: ours(net, a, b)) for name, net in nets.items()}, rounds
    )
    for name, (wall, used) in taken.items():
        print(f"{name:10s}{wall:9.3f} s wall{used:9.3f} s cpu   distance {values[name]:.9g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", default="alexnet")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--memory-of", type=int)
    parser.add_argument("--bfloat16", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.memory_of:
        memory_of(given.memory_of)
    elif given.memory:
        for count in COUNTS:
            words = [sys.executable, __file__, "--memory-of", str(count)]
            subprocess.run(words, check=True)
    elif given.bfloat16:
        bfloat16(given.images, given.rounds)
    else:
        for size in SIZES:
            compare(given.features, given.images, size, given.rounds)


if __name__ == "__main__":
    main()
