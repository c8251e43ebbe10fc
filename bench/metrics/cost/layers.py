"""Multiply-adds by closed forms of layers, for networks whose architecture nobody knows."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from bench.metrics.cost.operators import CONVOLUTION, KINDS, LINEAR, PRODUCT
from bench.metrics.cost.run import run_once

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def layer_macs(module: nn.Module, *inputs: Tensor) -> dict[str, int]:
    """Return the multiply-adds of one forward pass by kind, layer by layer from their shapes.

    Convolutions, linear layers and torch's attention layer are known, their subclasses too; what
    a network computes outside them is not seen, so that this is a lower bound.

    Raises:
        Invalid: If the network fails or changes the shape of its input.
    """
    total: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    with watching_layers(module, total):
        run_once(module, inputs)
    return dict(total)


@contextmanager
def watching_layers(module: nn.Module, total: Counter[str]) -> Iterator[None]:
    """Add the multiply-adds of every layer that is called while the body runs, by kind."""

    def count(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict, output: object) -> None:
        total.update(_of_layer(layer, (*args, *kwargs.values()), output))

    known = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear, nn.MultiheadAttention)
    hooks = [
        layer.register_forward_hook(count, with_kwargs=True)
        for layer in module.modules()
        if isinstance(layer, known)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _of_layer(layer: nn.Module, given: tuple[Tensor, ...], output: object) -> dict[str, int]:
    if isinstance(layer, nn.MultiheadAttention):
        return _attention(layer, *given[:3])
    if isinstance(layer, nn.Linear):
        return {LINEAR: output.numel() * layer.in_features}
    # Every number on the side with the weight's first dimension meets one filter.
    side = given[0] if isinstance(layer, TRANSPOSED) else output
    return {CONVOLUTION: side.numel() * layer.weight[0].numel()}


def _attention(layer: nn.MultiheadAttention, q: Tensor, k: Tensor, v: Tensor) -> dict[str, int]:
    """Return four projections and two products of every head."""
    width = layer.embed_dim
    pairs = q.numel() // q.shape[-1] * k.shape[int(layer.batch_first) if k.dim() == 3 else 0]
    projected = q.numel() * width + k.numel() * width + v.numel() * width
    return {
        LINEAR: projected + q.numel() // q.shape[-1] * width * width,
        PRODUCT: 2 * pairs * width,
    }
