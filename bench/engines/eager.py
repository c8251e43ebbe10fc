"""The plain engine: operator by operator."""

from torch import Tensor, nn

from bench.api import Kind, register
from bench.engines.precision import Engine, in_precision
from bench.metrics.audit import TOLERANCE


@register(Kind.ENGINE, "eager", source="PyTorch, operator by operator")
class Eager(Engine):
    """Calls the network itself."""

    @property
    def tolerance(self) -> float:
        """None but the usual one, where it is the network itself."""
        return TOLERANCE if self.dtype == "float32" else super().tolerance

    def prepare(self, network: nn.Module, *inputs: Tensor) -> nn.Module:
        """Return the network, in the engine's precision.

        Raises:
            Skip: If that is not the processor's.
        """
        return in_precision(network, self.dtype, device=inputs[0].device)
