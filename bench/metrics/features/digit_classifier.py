"""Features of a small network that learns to tell digits apart, in seconds, where it is used."""

import functools
import hashlib
import importlib.resources

import numpy as np
import torch
from torch import Tensor, nn

from bench.api import BenchError, Kind, register
from bench.data.digits import COUNTS, Digits
from bench.metrics.guard import check_images
from bench.metrics.trunk import frozen, squared

SIDE = 32
WIDTH = 64
LABELS = "digit_labels.txt"
LABELS_SHA = "8d8bc7987a1e68a142960e0bcccc983552c398b10f8d4d76cf53621c3a397865"
EPOCHS, BATCH, RATE, SMOOTHING, SEED = 8, 50, 1e-2, 0.1, 0
SHIFT, TURN, STRETCH = 0.12, 0.2, 0.12
"""Largest shift (of half a side), turn (radians) and change of size of a training image."""


class DigitNetwork(nn.Module):
    """Three convolutions and two linear layers; the first of these gives the features."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
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
        self.classes = nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map grey images [B,1,32,32] in [0, 1] to the scores [B,10] of the digits."""
        return self.classes(self.body(x))


def labelled(split: str) -> tuple[Tensor, Tensor]:
    """Return the packaged digits of a split, [N,1,32,32] in [0, 1], and what they are, [N].

    Raises:
        BenchError: If the packaged labels are not those that were shipped.
    """
    data = (importlib.resources.files("bench.metrics") / "files" / LABELS).read_bytes()
    if hashlib.sha256(data).hexdigest() != LABELS_SHA:
        raise BenchError(f"the packaged {LABELS} was changed; install the package again")
    digits = np.array([int(c) for c in data.decode().replace("\n", "")])
    first = COUNTS["train"]
    chosen = digits[:first] if split == "train" else digits[first:]
    images = torch.from_numpy(Digits(SIDE).images(split).astype(np.float32)) / 255
    return images, torch.from_numpy(chosen)


def _moved(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return images shifted, turned and stretched a little, each in its own way."""
    shift_x, shift_y, turn, stretch = 2 * torch.rand(4, len(images), generator=rng) - 1
    angle, size = TURN * turn, 1 + STRETCH * stretch
    across, down = angle.cos() * size, angle.sin() * size
    rows = [across, -down, SHIFT * shift_x, down, across, SHIFT * shift_y]
    maps = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = nn.functional.affine_grid(maps, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


@functools.cache
def trained() -> tuple[DigitNetwork, str]:
    """Return the network, trained once per process, and the sha256 of its weights.

    On the CPU, by one thread, from one seed: the weights are the same on every call on a machine.
    Another processor may round otherwise, and the hash in the row then says so.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # What surrounds the call keeps its random numbers and its modes.
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            torch.manual_seed(SEED)
            network = frozen(_fit(DigitNetwork(), torch.Generator().manual_seed(SEED)))
    finally:
        torch.set_num_threads(threads)
    sha = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        sha.update(name.encode() + value.numpy().tobytes())
    return network, sha.hexdigest()


def _fit(network: DigitNetwork, rng: torch.Generator) -> DigitNetwork:
    images, digits = labelled("train")
    updates = EPOCHS * (len(images) // BATCH)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=updates)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images), generator=rng)
        for chosen in order[: updates // EPOCHS * BATCH].view(-1, BATCH):
            optimiser.zero_grad()
            scores = network(_moved(images[chosen], rng))
            loss = nn.functional.cross_entropy(scores, digits[chosen], label_smoothing=SMOOTHING)
            loss.backward()
            optimiser.step()
            pace.step()
    return network


@register(
    Kind.FEATURES,
    "digit-classifier",
    source="own: a small convolutional network, trained on the spot on the packaged digits",
    note="a feature space of digits, for MNIST-like images; distances in it are not FIDs",
)
class DigitFeatures(nn.Module):
    """Maps images to the 64 features from which a network tells digits apart."""

    name = "digit-classifier"
    dimension = WIDTH
    resize = f"grey-bilinear-{SIDE}"
    precision = "float32"

    def __init__(self):
        super().__init__()
        network, self.weights_sha = trained()
        self.body = DigitNetwork().body
        self.body.load_state_dict(network.body.state_dict())
        frozen(self)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Map images [B,C,H,W] in [0, 1], made grey and 32x32, to features [B,64].

        Raises:
            Invalid: If the images are not as expected.
        """
        check_images(images, "images")
        kind = next(self.body.parameters()).dtype
        return self.body(squared(images.mean(dim=1, keepdim=True).to(kind), SIDE))
