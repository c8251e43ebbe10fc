"""Time, memory and deterministic cost of every registered backbone."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.metrics.cost.authors import authors_macs
from bench.registry import build, names

SIZE = 32
SCALE = 0.25


class Dispatched(TorchDispatchMode):
    """Counts the operators that run inside."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


class Backbones:
    """One network call at batch 1, 3x32x32, a quarter of the width, one thread."""

    params = names("backbone")
    param_names = ("backbone",)

    def setup(self, backbone):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.network = build("backbone", backbone, channels=3, image_size=SIZE, scale=SCALE).eval()
        self.inputs = torch.randn(1, 3, SIZE, SIZE), torch.full((1,), 500.0)

    def time_call(self, backbone):
        with torch.inference_mode():
            self.network(*self.inputs)

    def peakmem_call(self, backbone):
        with torch.inference_mode():
            self.network(*self.inputs)

    def track_parameters(self, backbone):
        return sum(parameter.numel() for parameter in self.network.parameters())

    def track_macs(self, backbone):
        return authors_macs(self.network, *self.inputs)

    def track_evaluations(self, backbone):
        trace = getattr(self.network, "trace", None)
        return trace(*self.inputs).nfe if trace else 0

    def track_operators(self, backbone):
        """Count what is dispatched one by one: what a processor pays for in overhead."""
        with Dispatched() as counted, torch.inference_mode():
            self.network(*self.inputs)
        return counted.calls

    track_parameters.unit = "parameters"
    track_operators.unit = "operators"
    track_macs.unit = "multiply-adds"
    track_evaluations.unit = "field evaluations"


class CommandLine:
    """What a person waits for before anything is measured."""

    def timeraw_help(self):
        return """
        import contextlib, io
        from bench.cli import run_command_line
        with contextlib.redirect_stdout(io.StringIO()):  # asv reads the time from standard output
            run_command_line(["--help"])
        """
