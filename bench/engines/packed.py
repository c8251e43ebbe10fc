"""What a compiler would do for a processor, tried out: weights laid out ahead, few images at once.

PyTorch's oneDNN convolutions bring the weights into their order in every call, which for small maps
takes longer than the convolution, and send the smallest maps to a general matrix product instead.
Large batches leave the processor's caches between one operator and the next.
"""

import copy
import time

import torch
from torch import Tensor, nn

from bench.api import Kind, Skip, register
from bench.engines.precision import DTYPES, Engine, in_precision

SMALL, SMALL_ALONE = 64, 256
"""Pixels of a map up to which weights are laid out ahead: of many images, of one image. On larger
maps oneDNN's way with the weights as they are is as fast, and needs no other order of the maps."""
PIECES = (4, 2, 1)
"""Images at once that are tried in place of a whole batch."""
SAME = 1e-4
"""Relative difference up to which results in pieces are those of the batch; else images depend on
each other, and it stays whole."""


class PackedConv(nn.Module):
    """A convolution whose weights lie as oneDNN wants them for one shape of input."""

    def __init__(self, conv: nn.Conv2d, shape: torch.Size, dtype: torch.dtype) -> None:
        super().__init__()
        self.arguments = (
            list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups,
        )  # fmt: skip
        self.dtype = dtype
        # Not parameters: their layout is for this shape on this processor, and not to be saved.
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach().to(dtype), *self.arguments, list(shape)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B,C,H,W] to [B,D,H',W'] in the common layout, which oneDNN leaves."""
        result = torch.ops.mkldnn._convolution_pointwise(
            x.to(self.dtype), self.weight, self.bias, *self.arguments, "none", [], ""
        )
        return result.contiguous()


class InPieces(nn.Module):
    """Runs a network on so many images at a time."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the results of all images."""
        pieces = zip(*(x.split(self.size) for x in inputs), strict=True)
        return torch.cat([self.network(*piece) for piece in pieces])


@register(Kind.ENGINE, "packed", source="oneDNN: weights reordered once; cache blocking by images")
class Packed(Engine):
    """Calls a copy of the network whose small convolutions have their weights laid out ahead.

    The copy does not follow the network's weights when these change. A batch is cut into as many
    images as were fastest when the engine was prepared.
    """

    @torch.inference_mode()
    def prepare(self, network: nn.Module, *inputs: Tensor) -> nn.Module:
        """Return the copy, for inputs of this shape.

        Raises:
            Skip: If the inputs are not on a processor, or PyTorch has no oneDNN.
        """
        if inputs[0].device.type != "cpu":
            raise Skip("engine 'packed' is for processors; use graph or compiled on a GPU")
        if not torch.backends.mkldnn.is_available():
            raise Skip("engine 'packed' needs a PyTorch with oneDNN")
        best, sizes = self._packed(network, inputs), _pieces(len(inputs[0]))
        if not sizes:
            return best
        expected, least = best(*inputs), _seconds(best, inputs)
        for size in sizes:
            cut = InPieces(self._packed(network, tuple(x[:size] for x in inputs)), size)
            if not _same(cut(*inputs), expected):
                break
            seconds = _seconds(cut, inputs)
            if seconds >= least:
                break
            best, least = cut, seconds
        return best

    def _packed(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
        network = copy.deepcopy(network).eval()
        result = in_precision(network, self.dtype, device=inputs[0].device)
        for name, shape in _small_convolutions(result, inputs).items():
            owner, _, own_name = name.rpartition(".")
            owner = result.get_submodule(owner)
            conv = PackedConv(getattr(owner, own_name), shape, DTYPES[self.dtype])
            setattr(owner, own_name, conv)
        return result


def _small_convolutions(network: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, torch.Size]:
    """Return the convolutions that meet small maps of one shape, with that shape."""
    met: dict[nn.Module, set[tuple[torch.Size, torch.Size]]] = {}

    def note(conv: nn.Module, args: tuple, output: Tensor) -> None:
        met.setdefault(conv, set()).add((args[0].shape, output.shape))

    known = {name: module for name, module in network.named_modules() if _can_be_packed(module)}
    hooks = [conv.register_forward_hook(note) for conv in known.values()]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: shape
        for name, conv in known.items()
        if len(met.get(conv, ())) == 1
        for shape, output in met[conv]
        if output[-2] * output[-1] <= (SMALL_ALONE if output[0] == 1 else SMALL)
    }


def _can_be_packed(module: nn.Module) -> bool:
    plain = type(module) is nn.Conv2d and module.padding_mode == "zeros"
    return plain and not isinstance(module.padding, str)


def _pieces(batch: int) -> list[int]:
    """Return the sizes that are tried: those that cut a batch evenly."""
    return [size for size in PIECES if size < batch and batch % size == 0]


def _seconds(network: nn.Module, inputs: tuple[Tensor, ...]) -> float:
    start = time.perf_counter()
    network(*inputs)
    return time.perf_counter() - start


def _same(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).norm() <= SAME * expected.norm())
