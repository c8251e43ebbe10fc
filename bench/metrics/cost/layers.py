"""Multiply-adds by closed forms of layers, for networks whose architecture nobody knows."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from bench.metrics.cost.operators import COMPARED, CONVOLUTION, KINDS, LINEAR, PRODUCT
from bench.metrics.cost.run import arguments_of

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KNOWN = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear, nn.MultiheadAttention)
"""Layers with a closed form; so have their subclasses, which may do more."""


def _none() -> Counter[str]:
    return Counter(dict.fromkeys(KINDS, 0))


@dataclass(slots=True)
class LayerMacs:
    """Multiply-adds of the layers of a network, by kind."""

    forms: Counter[str] = field(default_factory=_none)
    """What closed forms give. What a network computes outside these layers is not in it."""
    counted: Counter[str] = field(default_factory=_none)
    """What a counter of operators said while these layers ran: the same, if both are right.

    What a subclass does beyond the closed form is left out: it may compute its weights, or add a
    term."""


@contextmanager
def watching_layers(module: nn.Module, so_far: Callable[[], Counter[str]]) -> Iterator[LayerMacs]:
    """Enter the multiply-adds of every layer that is called while the body runs.

    Args:
        module: The network.
        so_far: Tells what has been counted up to now, operator by operator.
    """
    macs = LayerMacs()
    under_way: list[_Call] = []

    def enter(layer: nn.Module, args: object) -> None:
        under_way.append(_Call(Counter(so_far()), Counter()))

    def leave(layer: nn.Module, args: tuple[Any, ...], kwargs: dict, output: object) -> None:
        call = under_way.pop()
        inside = Counter(so_far()) - call.before
        form = _of_layer(layer, arguments_of(layer, args, kwargs), output)
        macs.forms.update(form)
        macs.counted.update(_comparable(layer, inside - call.nested, form))
        if under_way:
            under_way[-1].nested.update(inside)

    known = [layer for layer in module.modules() if isinstance(layer, KNOWN)]
    hooks = [layer.register_forward_pre_hook(enter) for layer in known]
    hooks += [layer.register_forward_hook(leave, with_kwargs=True) for layer in known]
    try:
        yield macs
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True, slots=True)
class _Call:
    """A layer's call that is under way."""

    before: Counter[str]
    nested: Counter[str]
    """What layers inside it have entered themselves."""


def _comparable(layer: nn.Module, counted: Counter[str], form: dict[str, int]) -> dict[str, int]:
    """Return what was counted, at most the closed form where the layer is not torch's own."""
    if type(layer) in KNOWN:
        return counted
    more = all(
        sum(counted[kind] for kind in kinds) >= sum(form.get(kind, 0) for kind in kinds)
        for kinds in COMPARED
    )
    return form if more else counted


def _of_layer(layer: nn.Module, given: list[Any], output: object) -> dict[str, int]:
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
