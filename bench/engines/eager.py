"""The plain engine: operator by operator."""

from torch import Tensor, nn

from bench.api import Kind, register
from bench.engines.precision import Engine, in_precision


@register(Kind.ENGINE, "eager", source="PyTorch, operator by operator")
class Eager(Engine):
    """Calls the network itself."""

    def prepare(self, network: nn.Module, *inputs: Tensor) -> nn.Module:
        """Return the network, in the engine's precision.

        Raises:
            Skip: If that is not the processor's.
        """
        return in_precision(network, self.dtype, device=inputs[0].device)
