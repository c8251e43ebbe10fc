"""The counting rule behind the FLOPs of the paper's Table 5: one number per layer call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bench.metrics.cost.run import run_once

Rule = Callable[[nn.Module, torch.Tensor, torch.Tensor], int]

UPSAMPLE = {"nearest": 1, "bilinear": 11}
"""Operations per output pixel of `nn.Upsample`; the functional form is not a layer and free."""


def _convolution(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    kernel = layer.weight[0, 0].numel()
    return y.numel() * (x.shape[1] // layer.groups) * kernel


def _linear(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    return y.numel() * layer.in_features


def _normalisation(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    affine = getattr(layer, "affine", False) or getattr(layer, "elementwise_affine", False)
    return x.numel() * (4 if affine else 2)


def _upsample(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    return y.numel() * UPSAMPLE.get(layer.mode, 0)


RULES: dict[type[nn.Module], Rule] = {
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _convolution,
    nn.Linear: _linear,
    nn.InstanceNorm2d: _normalisation,
    nn.BatchNorm2d: _normalisation,
    nn.LayerNorm: _normalisation,
    nn.Upsample: _upsample,
}
"""Layers that count; everything else (group normalisation, activations, matrix products of
attention, functional resizing) counts 0, and so does a subclass of these, as in the original."""


def authors_macs(module: nn.Module, *inputs: torch.Tensor) -> int:
    """Return the multiply-adds of one forward pass by the rule of the paper's authors.

    A layer counts at every call, so that each evaluation inside an ODE solver counts. Works on the
    meta device too.

    Source: Calvo-Ordonez et al. 2023, Table 5, column FLOPS, made with the counter `thop`.
    Differs: none. Mind that the rule takes the output's size for transposed convolutions too,
        which counts them stride^2 times.

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

    def count(layer: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        tell(RULES[type(layer)](layer, args[0], output))

    layers = [layer for layer in module.modules() if type(layer) in RULES]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
