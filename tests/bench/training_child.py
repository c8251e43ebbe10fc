"""A training of moments; as a program it is killed somewhere after its twelfth update.

Started with `python -P training_child.py FOLDER ACCUMULATE`.
"""

import dataclasses
import os
import signal
import sys
import threading
from pathlib import Path

import torch
from torch import nn

from bench.parts import Pace
from bench.training import Loop, TrainSettings

SETTINGS = TrainSettings(
    updates=40, batch=6, learning_rate=1e-2, beta1=0.9, beta2=0.99, ema=0.9, clip=1.0,
    precision="float32", decay="cosine", passes=0.0, warmup=3, validations=8,
)  # fmt: skip
CLEAN = torch.rand(7, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Batch statistics, an integer buffer, dropout: all that a state has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.2), nn.Conv2d(4, 1, 1)
        )
        self.modes: list[bool] = []

    def loss(self, batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        self.modes.append(all(part.training for part in self.modules()))
        noisy = batch + 0.1 * torch.randn(batch.shape, generator=rng)
        return (self.net(noisy) - batch).square().mean()


@torch.no_grad()
def error(module: nn.Module) -> tuple[float, ...]:
    """Validate; draws from the global generator, as it should not."""
    torch.manual_seed(9)
    assert isinstance(module, Net) and not module.training
    return tuple(
        float((module.net(CLEAN + noise * torch.randn(CLEAN.shape)) - CLEAN).square().mean())
        for noise in (0.1, 0.5)
    )


def train(folder: Path, accumulate: int = 1, **loop: object) -> tuple[Net, Loop]:
    settings = dataclasses.replace(SETTINGS, accumulate=accumulate)
    made, module = Loop(settings, folder, validate=error, **loop), Net()
    made.train(module, CLEAN, seed=3)
    return module, made


def die_soon(done: int, total: int) -> None:
    """Have the system kill this process a little later, wherever it is then."""
    if done == 12:
        threading.Timer(0.004, os.kill, (os.getpid(), signal.SIGKILL)).start()


if __name__ == "__main__":
    torch.set_num_threads(1)
    Pace.due = lambda self: True  # a checkpoint after every update, as where updates take long
    train(Path(sys.argv[1]), int(sys.argv[2]), progress=die_soon)
