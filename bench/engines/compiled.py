"""Networks translated to machine code by torch.compile."""

import shutil

import torch
from torch import Tensor, nn

from bench.api import Kind, Skip, register
from bench.engines.precision import Engine, in_precision


@register(Kind.ENGINE, "compiled", source="torch.compile with the Inductor back end")
class Compiled(Engine):
    """Calls what torch.compile makes of the network, for one shape of input."""

    def prepare(self, network: nn.Module, *inputs: Tensor) -> nn.Module:
        """Return the compiled network; it has been called once, so that it is translated.

        Raises:
            Skip: If there is no C++ compiler, which a processor's code needs.
        """
        if inputs[0].device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
            raise Skip("engine 'compiled' needs a C++ compiler on the PATH (g++ or clang++)")
        # Channels-last maps, which Inductor prefers, are slower here: the normalisations lose more
        # than the convolutions gain.
        options = {"layout_optimization": False}
        network = in_precision(network, self.dtype, device=inputs[0].device)
        result = torch.compile(network, dynamic=False, options=options)
        with torch.inference_mode():
            result(*inputs)
        return result
