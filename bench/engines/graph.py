"""Networks recorded once as a CUDA graph, so that no call waits for Python."""

import torch
from torch import Tensor, nn

from bench.api import Kind, Skip, register
from bench.engines.precision import Engine, in_precision

WARM_UP = 3
"""Calls before the recording, in which libraries choose their algorithms."""


class Recorded(nn.Module):
    """Copies its inputs to where the recording reads them, plays it, and returns a copy."""

    def __init__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.network = network
        self.inputs = tuple(x.clone() for x in inputs)
        self.graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(WARM_UP):
                network(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        with torch.inference_mode(), torch.cuda.graph(self.graph):
            self.output = network(*self.inputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return network(*inputs), for inputs of the recorded shapes."""
        for place, x in zip(self.inputs, inputs, strict=True):
            place.copy_(x)
        self.graph.replay()
        return self.output.clone()


@register(Kind.ENGINE, "graph", source="CUDA graphs")
class Graph(Engine):
    """Plays a recording of the network's kernels; for networks that never look at their numbers."""

    def prepare(self, network: nn.Module, *inputs: Tensor) -> nn.Module:
        """Return the recording, for inputs of this shape.

        Raises:
            Skip: If the inputs are not on a GPU.
        """
        if inputs[0].device.type != "cuda":
            raise Skip("engine 'graph' needs a GPU: it records what CUDA does; use eager or packed")
        network = in_precision(network.eval(), self.dtype, device=inputs[0].device)
        return Recorded(network, inputs)
