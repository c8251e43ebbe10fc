"""Our U-Net beside the same network from the package that the paper's code took it from.

Same weights, same images, calls taking turns; and, in multiply-adds a second, diffusers' U-Net::

    python tests/models/benchmark_peers.py --batch 16

Printed are the median time of a call, its multiply-adds a second, and how many times as fast as the
package each of ours is, with a 95 % interval: the median over rounds of the ratio of two times.
"""

import argparse
import random
import sys
from functools import partial
from pathlib import Path

import torch
from torch import nn

from bench.api import Kind
from bench.metrics.cost import torch_flops
from bench.metrics.latency import Pace, compare_latency, wall_clock
from bench.registry import build
from bench.torchvision_compat import import_torchvision

sys.path.insert(0, str(Path(__file__).parent))
from unet_peer import renamed

PACKAGE = "denoising-diffusion-pytorch"


class Sample(nn.Module):
    """diffusers' network as one that returns a tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_t: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        return self.network(x_t, step, return_dict=False)[0]


def networks() -> dict[str, nn.Module]:
    """Return the networks by name, the package's first."""
    import_torchvision()
    from denoising_diffusion_pytorch import Unet

    torch.manual_seed(0)
    ours, theirs = build(Kind.BACKBONE, "unet", channels=3, image_size=64), Unet(64)
    theirs.load_state_dict(renamed(ours.state_dict(), set(theirs.state_dict())))
    found = {PACKAGE: theirs, "unet": ours}
    try:
        from diffusers import UNet2DModel
    except ImportError:
        return found
    return found | {"diffusers UNet2DModel": Sample(UNet2DModel(64))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    inputs = torch.randn(given.batch, 3, 64, 64), torch.full((given.batch,), 500.0)
    found = {name: network.eval() for name, network in networks().items()}
    counts = {name: torch_flops(network, *inputs) / 2e9 for name, network in found.items()}
    with torch.inference_mode():
        packed = build(Kind.ENGINE, "packed").prepare(found["unet"], *inputs)
        calls = {name: partial(network, *inputs) for name, network in found.items()}
        calls["unet, packed"] = partial(packed, *inputs)
        counts["unet, packed"] = counts["unet"]
        pace = Pace(given.rounds, 1, given.rounds, 0.0)
        compared = compare_latency(calls, pace, rng=random.Random(0), stopwatch=wall_clock)
    for name, timing in compared.timings.items():
        rate = counts[name] / timing.median_s
        line = f"{name:28s} {timing.median_s * 1e3:9.1f} ms {rate:6.1f} GMACs/s"
        if name != PACKAGE:
            ratio = compared.ratios[name]
            line += f"   x{1 / ratio.value:.2f} ({1 / ratio.high:.2f} to {1 / ratio.low:.2f})"
        print(line)


if __name__ == "__main__":
    main()
