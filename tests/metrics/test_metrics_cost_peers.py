"""Counts of networks that others have published, with the weights' own metadata as oracle."""

import pytest
import torch
from torch import nn

from bench.metrics.cost import fvcore_macs
from bench.metrics.cost.ledger import keep_books
from bench.torchvision_compat import import_torchvision

PEERS = {
    # builder, class of weights, GMACs at 3x224x224, parameters
    "resnet18": ("resnet18", "ResNet18_Weights", 1.814, 11_689_512),
    "vit_b_16": ("vit_b_16", "ViT_B_16_Weights", 17.564, 86_567_656),
}


class Classifier(nn.Module):
    """A classifier whose output has the shape of its input, which all counters insist on."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x).mean()


@pytest.mark.parametrize("name", PEERS)
def test_published_multiply_adds(name):
    models = import_torchvision().models
    builder, weights, giga, count = PEERS[name]
    published = getattr(models, weights).IMAGENET1K_V1.meta
    assert (published["_ops"], published["num_params"]) == (giga, count)
    with torch.device("meta"):
        network = Classifier(getattr(models, builder)()).eval()
        x = torch.empty(1, 3, 224, 224)
    books = keep_books(network, x)
    assert books.unlisted == ()
    assert books.total.parameters == count
    assert books.total.macs / 1e9 == pytest.approx(giga, rel=1e-3)
    # Tracing compares sizes as tensors, which the meta device cannot.
    traced = fvcore_macs(network.to_empty(device="cpu"), torch.zeros(x.shape), checked=True)
    assert traced.unlisted == ()
    assert traced.macs - traced.rest == books.total.macs
    assert books.layers.forms == books.layers.counted
    assert sum(books.layers.forms.values()) == books.total.macs
