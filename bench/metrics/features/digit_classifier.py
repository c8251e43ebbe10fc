"""Features of a small network that learns to tell digits apart, in seconds, where it is used."""

import functools

import numpy as np
import torch
from torch import Tensor, nn

from bench.api import Kind, register
from bench.data.digits import Digits
from bench.metrics.classifier import SIDE, WIDTH, Classifier, Lessons, learnt
from bench.metrics.guard import check_images
from bench.metrics.trunk import frozen, squared

EPOCHS, SMOOTHING = 8, 0.1


def labelled(split: str) -> tuple[Tensor, Tensor]:
    """Return the packaged digits of a split, [N,1,32,32] in [0, 1], and what they are, [N].

    Raises:
        BenchError: If the packaged labels are not those that were shipped.
    """
    digits = Digits(SIDE)
    images = torch.from_numpy(digits.images(split).astype(np.float32)) / 255
    return images, torch.from_numpy(digits.labels(split).copy())


@functools.cache
def trained() -> tuple[Classifier, str]:
    """Return the network, trained once per process, and the sha256 of its weights.

    The same weights on every call on a machine (see `learnt`).
    """
    digits = Digits(SIDE)
    lessons = Lessons(EPOCHS, smoothing=SMOOTHING)
    return learnt(digits.images("train"), digits.labels("train"), lessons)


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
        self.body = Classifier().body
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
