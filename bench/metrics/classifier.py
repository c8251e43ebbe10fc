"""A small network that learns to tell classes of images apart, in seconds, where it is used."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.batches import to_bytes, to_float
from bench.metrics.trunk import frozen, squared

SIDE = 32
WIDTH = 64
TOGETHER = 500
"""Images that are looked at together."""
SHIFT, TURN, STRETCH = 0.12, 0.2, 0.12
"""Largest shift (of half a side), turn (radians) and change of size of a training image."""


class Classifier(nn.Module):
    """Three convolutions and two linear layers; the first of these gives 64 features."""

    def __init__(self, channels: int = 1, classes: int = 10):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 5, stride=2, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 16, WIDTH),
            nn.ReLU(),
        )
        self.classes = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B,C,32,32] in [0, 1] to the scores [B,classes] of the classes."""
        return self.classes(self.body(x))


@dataclass(frozen=True, slots=True)
class Lessons:
    """How a classifier is trained: Adam, one cycle of the learning rate, every image moved."""

    epochs: int
    batch: int = 50
    rate: float = 1e-2
    """Highest learning rate."""
    smoothing: float = 0.0
    """Of the labels; any makes the network less sure than it could be."""
    seed: int = 0


def learnt(
    images: np.ndarray, labels: np.ndarray, lessons: Lessons, *, classes: int = 10
) -> tuple[Classifier, str]:
    """Return a trained classifier, frozen, and the sha256 of its weights.

    On the CPU, by one thread, from one seed: the weights are the same on every call on a machine.
    Another processor may round otherwise, and the hash in the row then says so.

    Args:
        images: uint8 [N,C,32,32].
        labels: int64 [N], below `classes`.
        lessons: How.
        classes: How many there are.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # What surrounds the call keeps its random numbers and its modes.
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            torch.manual_seed(lessons.seed)
            network = Classifier(images.shape[1], classes)
            _fit(network, torch.from_numpy(images.copy()), torch.from_numpy(labels.copy()), lessons)
    finally:
        torch.set_num_threads(threads)
    frozen(network)
    return network, weights_sha(network)


def weights_sha(network: nn.Module) -> str:
    """Return one sha256 for the names and values of a network's weights."""
    sha = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        sha.update(name.encode() + value.numpy().tobytes())
    return sha.hexdigest()


def _fit(network: Classifier, images: Tensor, labels: Tensor, lessons: Lessons) -> None:
    rng = torch.Generator().manual_seed(lessons.seed)
    size = min(lessons.batch, len(images))
    per_epoch = len(images) // size
    optimiser = torch.optim.Adam(network.parameters(), lr=lessons.rate)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lessons.rate, total_steps=lessons.epochs * per_epoch
    )
    for _ in range(lessons.epochs):
        order = torch.randperm(len(images), generator=rng)
        for chosen in order[: per_epoch * size].view(-1, size):
            optimiser.zero_grad()
            scores = network(moved(images[chosen].float() / 255, rng))
            loss = nn.functional.cross_entropy(
                scores, labels[chosen], label_smoothing=lessons.smoothing
            )
            loss.backward()
            optimiser.step()
            pace.step()


def moved(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return images [B,C,H,W] shifted, turned and stretched a little, each in its own way."""
    shift_x, shift_y, turn, stretch = 2 * torch.rand(4, len(images), generator=rng) - 1
    angle, size = TURN * turn, 1 + STRETCH * stretch
    across, down = angle.cos() * size, angle.sin() * size
    rows = [across, -down, SHIFT * shift_x, down, across, SHIFT * shift_y]
    maps = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = nn.functional.affine_grid(maps, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


def shown(images: np.ndarray) -> np.ndarray:
    """Return uint8 images [N,C,H,W] as a classifier gets them: [N,C,32,32], bilinear, bytes."""
    if images.shape[-2:] == (SIDE, SIDE):
        return images
    parts = np.array_split(images, range(TOGETHER, len(images), TOGETHER))
    return np.concatenate([to_bytes(squared(to_float(part), SIDE)).numpy() for part in parts])


@torch.inference_mode()
def probabilities(network: Classifier, images: np.ndarray) -> np.ndarray:
    """Return the probabilities [N,classes] of the classes for images as `shown` returns them."""
    parts = np.array_split(images, range(TOGETHER, len(images), TOGETHER))
    found = [network(to_float(part)).double().softmax(dim=1) for part in parts]
    return torch.cat(found).numpy()
