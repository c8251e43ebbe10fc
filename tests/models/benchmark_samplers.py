"""What a step of a sampler costs beyond the network's calls that it makes.

Within every step the network and the noise are timed apart, and before every step the network is
called alone with what it last got, so that whatever else the machine does meets all of them; the
samplers take turns::

    python tests/models/benchmark_samplers.py
    python tests/models/benchmark_samplers.py --batch 1 --backbones unet

Columns, all medians: the network's time in one step; how much more the sampler's own arithmetic
takes; how much more the noise takes, which belongs to the image streams of the harness; and how
much longer a step without its noise is than as many calls of the network alone. The last one
contains the scatter of the network's own time, which is larger than what is measured.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench import registry
from bench.api import Kind
from bench.seeds import ImageNoise
from models.diffusion import Diffusion
from models.samplers.grid import respaced
from models.samplers.walk import Sampler

SIZE, SCALE, STEPS = 32, 0.25, 5
EXTRA = ("ddim+eta=1.0",)


class Timed:
    """A function that remembers how long its calls took since it was last asked."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.seconds: list[float] = []
        self.last: tuple[Tensor, ...] = ()

    def __call__(self, *arguments: Tensor) -> Tensor:
        self.last = arguments
        begun = time.perf_counter()
        result = self.function(*arguments)
        self.seconds.append(time.perf_counter() - begun)
        return result

    def take(self) -> list[float]:
        taken, self.seconds = self.seconds, []
        return taken


class Forward(nn.Module):
    """A network whose calls are timed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.timed = Timed(network)

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        return self.timed(x_t, step)


class Cost(NamedTuple):
    """Of one step."""

    network_s: float
    own: float
    """Of the sampler, as a share of the network's time."""
    noise: float
    over: float
    """By how much it is longer than as many calls of the network alone."""


def sampler(name: str, diffusion: Diffusion) -> Sampler:
    sample = registry.sampler(name)
    estimate = getattr(sample.func, "estimate", None)
    if estimate is None:
        return sample
    clean = torch.rand(2, 3, SIZE, SIZE)
    return partial(sample, estimated=estimate(diffusion, clean, torch.Generator().manual_seed(0)))


@torch.no_grad()
def costs(sample: Sampler, diffusion: Diffusion, batch: int) -> list[Cost]:
    network = diffusion.backbone.timed
    noise = Timed(ImageNoise("benchmark", images=range(batch)))
    walk = sample(diffusion, noise(torch.empty(batch, 3, SIZE, SIZE)), respaced(1000, STEPS), noise)
    next(walk)
    network.last = noise(noise.last[0]), torch.full((batch,), 500.0)
    found = []
    for _ in range(STEPS):
        network(*network.last)
        alone = sum(network.take())
        noise.take()
        begun = time.perf_counter()
        next(walk)
        whole = time.perf_counter() - begun
        calls, drawn = network.take(), sum(noise.take())
        inside, step = sum(calls), whole - drawn
        over = step / (alone * len(calls)) - 1
        found.append(Cost(inside, (step - inside) / inside, drawn / inside, over))
    return found


def measure(backbone: str, names: Sequence[str], *, batch: int, rounds: int) -> None:
    """Print the costs of all samplers on one backbone."""
    network = registry.build("backbone", backbone, channels=3, image_size=SIZE, scale=SCALE).eval()
    diffusion = Diffusion(Forward(network))
    samplers = {name: sampler(name, diffusion) for name in names}
    found: dict[str, list[Cost]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names[:: -1 if turn % 2 else 1]:
            measured = costs(samplers[name], diffusion, batch)
            if turn:  # the first turn warms up
                found[name] += measured
    print(f"\n{backbone}, batch {batch}")
    print(f"{'sampler':16}{'network ms':>12}{'sampler %':>12}{'noise %':>12}{'longer %':>12}")
    for name, each in found.items():
        inside, *shares = (median(column) for column in zip(*each, strict=True))
        row = "".join(f"{100 * share:12.2f}" for share in shares)
        print(f"{name:16}{1e3 * inside:12.2f}{row}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbones", nargs="+", default=["unet", "cunet"])
    parser.add_argument("--samplers", nargs="+")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.samplers or [*registry.names(Kind.SAMPLER), *EXTRA]
    for backbone in arguments.backbones:
        measure(backbone, names, batch=arguments.batch, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
