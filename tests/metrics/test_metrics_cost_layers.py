"""Closed forms of layers, against torch's counter while those layers run; the authors' rule."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from bench.metrics.cost import authors_macs
from bench.metrics.cost.ledger import keep_books

X = torch.zeros(1, 4, 8, 8)
CONV = 4 * 4 * 9 * 64
LINEAR = 4 * 8 * 8 * 8


class Called(nn.Module):
    """Layers, called as somebody calls them."""

    def __init__(self, call, **layers):
        super().__init__()
        self.call, self.layers = call, nn.ModuleDict(layers)

    def forward(self, x):
        return self.call(self.layers, x)


def tokens_first(layers, x):
    tokens = x.flatten(2).permute(2, 0, 1)
    return layers["mix"](tokens, tokens, tokens)[0].permute(1, 2, 0).reshape(x.shape)


def by_name(layers, x):
    """Fewer keys than queries, and the keys are named first."""
    tokens = x.flatten(2).transpose(1, 2)
    keys = tokens[:, :5]
    mixed = layers["mix"](key=keys, value=keys, query=tokens)[0]
    return mixed.transpose(1, 2).reshape(x.shape)


def tokens_last(layers, x):
    tokens = x.flatten(2).transpose(1, 2)
    return layers["mix"](tokens, tokens, tokens)[0].transpose(1, 2).reshape(x.shape)


def in_a_row(layers, x):
    for layer in layers.values():
        x = layer(input=x)
    return x


CALLED = {
    "attention": Called(tokens_last, mix=nn.MultiheadAttention(4, 2, batch_first=True)),
    "tokens first": Called(tokens_first, mix=nn.MultiheadAttention(4, 2)),
    "keys named first": Called(by_name, mix=nn.MultiheadAttention(4, 2, batch_first=True)),
    "transposed": Called(
        in_a_row,
        up=nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, groups=2),
        down=nn.Conv2d(6, 4, 4, stride=2, padding=1, groups=2),
    ),
    "linear": Called(in_a_row, conv=nn.Conv2d(4, 4, 3, padding=1), linear=nn.Linear(8, 8)),
}


@pytest.mark.parametrize("module", CALLED.values(), ids=CALLED)
def test_forms_of_layers_give_what_torch_counts(module):
    books = keep_books(module, X.repeat(3, 1, 1, 1))
    total = {kind: getattr(books.total, kind) for kind in ("convolution", "linear", "product")}
    assert books.layers.forms == books.layers.counted == total
    assert sum(total.values()) > 0


def test_weights_that_no_layer_applies_are_no_gap():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            return nn.functional.conv2d(self.layer(x), self.layer.weight, padding=1)

    books = keep_books(Own(), X)
    assert books.total.convolution == 2 * CONV
    assert books.layers.forms["convolution"] == books.layers.counted["convolution"] == CONV


class Adapted(nn.Linear):
    """A linear layer with a term of low rank beside it, made of layers."""

    def __init__(self):
        super().__init__(8, 8)
        self.low, self.high = nn.Linear(8, 2), nn.Linear(2, 8)

    def forward(self, x):
        return super().forward(x) + self.high(self.low(x)) + x @ self.weight


class Idle(nn.Linear):
    """A layer that does less than its form says."""

    def forward(self, x):
        return x * self.bias


def test_a_layer_that_does_more_is_no_gap_and_one_that_does_less_is():
    more = keep_books(Called(in_a_row_plain, layer=Adapted()), X)
    assert more.total.linear == 2 * LINEAR + LINEAR // 2
    assert more.layers.forms["linear"] == more.layers.counted["linear"] == LINEAR + LINEAR // 2
    less = keep_books(Called(in_a_row_plain, layer=Idle(8, 8)), X)
    assert (less.layers.forms["linear"], less.layers.counted["linear"]) == (LINEAR, 0)


def in_a_row_plain(layers, x):
    for layer in layers.values():
        x = layer(x)
    return x


def test_a_weight_that_is_computed_is_no_gap():
    layer = parametrizations.weight_norm(nn.Linear(8, 8))
    layers = keep_books(Called(in_a_row_plain, layer=layer), X).layers
    assert sum(layers.forms.values()) == sum(layers.counted.values()) == LINEAR


# -------------------------------------------------------------------------- authors' rule

LINE, CUBE, WIDE = torch.zeros(2, 4, 8), torch.zeros(1, 2, 4, 4, 4), torch.zeros(5, 3, 6)


def cell(gates, more, inputs=6, hidden=6):
    """By hand: products of the gates, their sums and biases, and what follows."""
    return gates * (hidden * (inputs + hidden) + 3 * hidden) + more * hidden


RULES = {
    "conv in one dimension": (nn.Conv1d(4, 4, 3, padding=1), LINE, 2 * 4 * 4 * 3 * 8),
    "conv in three": (nn.Conv3d(2, 2, 3, padding=1), CUBE, 2 * 2 * 27 * 64),
    "batch norm": (nn.BatchNorm1d(4), LINE, 4 * 64),
    "batch norm without weights": (nn.BatchNorm3d(2, affine=False), CUBE, 2 * 128),
    "softmax": (nn.Softmax(1), X, 64 * (3 * 4 - 1)),
    "average pooling": (nn.AvgPool2d(3, 1, 1), X, 256),
    "adaptive pooling": (nn.AdaptiveAvgPool1d(8), LINE, 64 * 2),
    "nearest": (nn.UpsamplingNearest2d(scale_factor=1), X, 256),
    "bicubic": (nn.Upsample(scale_factor=1, mode="bicubic"), X, 259 * 256),
}


@pytest.mark.parametrize(("module", "x", "expected"), RULES.values(), ids=RULES)
def test_the_rule_of_the_authors_has_other_layers(module, x, expected):
    assert authors_macs(module, x) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.RNN(6, 6, num_layers=2), 15 * 2 * cell(1, 0)),
        (nn.GRU(6, 6, bias=False), 15 * (3 * (6 * 12 + 6) + 4 * 6)),
        (nn.LSTM(6, 3, bidirectional=True), 15 * 2 * cell(4, 4, 6, 3)),
    ],
)
def test_the_rule_of_the_authors_has_recurrent_layers(layer, expected):
    module = Called(lambda layers, x: layers["layer"](x)[0], layer=layer)
    assert authors_macs(module, WIDE) == expected


def test_the_rule_of_the_authors_has_recurrent_cells():
    module = Called(lambda layers, x: layers["layer"](input=x), layer=nn.GRUCell(6, 6))
    assert authors_macs(module, WIDE[0]) == 3 * cell(3, 4)


def test_layers_may_be_called_by_name():
    module = Called(in_a_row, conv=nn.Conv2d(4, 4, 3, padding=1), linear=nn.Linear(8, 8))
    assert authors_macs(module, X) == CONV + LINEAR
