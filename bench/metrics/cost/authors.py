"""The counting rule behind the FLOPs of the paper's Table 5: one number per layer call."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bench.metrics.cost.run import arguments_of, run_once

Rule = Callable[[nn.Module, Tensor, Tensor], int]

UPSAMPLE = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}
"""Operations per output pixel of `nn.Upsample`; the functional form is not a layer and free."""
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ELEMENTWISE = {"RNN": 0, "GRU": 4, "LSTM": 4}
"""Of recurrent layers: matrix products of a step, and further operations per hidden number."""


def _convolution(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    kernel = layer.weight[0, 0].numel()
    return y.numel() * (x.shape[1] // layer.groups) * kernel


def _linear(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    return y.numel() * layer.in_features


def _normalisation(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    affine = getattr(layer, "affine", False) or getattr(layer, "elementwise_affine", False)
    return x.numel() * (4 if affine else 2)


def _upsample(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    return y.numel() * UPSAMPLE.get(layer.mode, 0)


def _softmax(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    classes = x.shape[layer.dim]
    return x.numel() // classes * (3 * classes - 1)


def _pooling(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    return y.numel()


def _adaptive_pooling(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    return int((math.prod(x.shape[2:]) / math.prod(y.shape[2:]) + 1) * y.numel())


def _recurrent(layer: nn.RNNBase, x: Tensor | PackedSequence, y: object) -> int:
    ways = 2 if layer.bidirectional else 1
    inner = ways * layer.hidden_size
    sizes = [layer.input_size, *[inner] * (layer.num_layers - 1)]
    if isinstance(x, PackedSequence):
        runs = len(x.batch_sizes) * int(x.batch_sizes[0])
    else:
        runs = math.prod(x.shape[:-1])
    kind = layer.mode.partition("_")[0]
    return runs * ways * sum(_step(kind, layer, size) for size in sizes)


def _cell(layer: nn.RNNCellBase, x: Tensor, y: object) -> int:
    return len(x) * _step(type(layer).__name__.removesuffix("Cell"), layer, layer.input_size)


def _step(kind: str, layer: nn.Module, inputs: int) -> int:
    """Return the cost of one step of a recurrent layer for one sequence."""
    hidden = layer.hidden_size
    gate = hidden * (inputs + hidden) + hidden * (3 if layer.bias else 1)
    return GATES[kind] * gate + ELEMENTWISE[kind] * hidden


RULES: dict[type[nn.Module], Rule] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _convolution),
    nn.Linear: _linear,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _normalisation),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _normalisation),
    **dict.fromkeys((nn.LayerNorm, nn.SyncBatchNorm), _normalisation),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d), _upsample),
    nn.Softmax: _softmax,
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _pooling),
    **dict.fromkeys(
        (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive_pooling
    ),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), _recurrent),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), _cell),
}
"""Layers that count; everything else (group normalisation, activations, matrix products of
attention, functional resizing) counts 0, and so does a subclass of these, as in the original."""


def authors_macs(module: nn.Module, *inputs: Tensor) -> int:
    """Return the multiply-adds of one forward pass by the rule of the paper's authors.

    A layer counts at every call, so that each evaluation inside an ODE solver counts. Works on the
    meta device too.

    Source: Calvo-Ordonez et al. 2023, Table 5, column FLOPS, made with the counter `thop`.
    Differs: a layer that several modules hold counts every call once, in the original once more for
        each of them. Mind that the rule takes the output's size for transposed convolutions too,
        which counts them stride^2 times, and that what is no layer (a functional convolution,
        a parameter in a product) counts nothing in either.

    Raises:
        Invalid: If the network fails or changes the shape of its input.
    """
    total = 0

    def add(macs: int) -> None:
        nonlocal total
        total += macs

    with counting_layers(module, add):
        run_once(module, inputs)
    return total


@contextmanager
def counting_layers(module: nn.Module, tell: Callable[[int], None]) -> Iterator[None]:
    """Tell, at every call of a layer while the body runs, its multiply-adds by the rule."""

    def count(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict, output: Tensor) -> None:
        tell(RULES[type(layer)](layer, arguments_of(layer, args, kwargs)[0], output))

    layers = [layer for layer in module.modules() if type(layer) in RULES]
    hooks = [layer.register_forward_hook(count, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
