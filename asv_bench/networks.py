"""Time, memory and deterministic cost of every registered backbone, and of the paper's pair."""

import torch

from asv_bench.setting import PAIR, SIZE, Brief, network, operators
from bench.api import Kind
from bench.registry import build, names

BATCH = 4


class Backbones(Brief):
    """One network call at batch 1, 3x32x32, a quarter of the width, one thread."""

    params = names("backbone")
    param_names = ("backbone",)

    def setup(self, backbone):
        self.network = network(backbone).eval()
        self.inputs = torch.randn(1, 3, SIZE, SIZE), torch.full((1,), 500.0)

    def time_call(self, backbone):
        with torch.inference_mode():
            self.network(*self.inputs)

    def peakmem_call(self, backbone):
        self.time_call(backbone)

    def track_parameters(self, backbone):
        return sum(parameter.numel() for parameter in self.network.parameters())

    def track_macs(self, backbone):
        from bench.metrics.cost.authors import authors_macs

        return authors_macs(self.network, *self.inputs)

    def track_evaluations(self, backbone):
        trace = getattr(self.network, "trace", None)
        return trace(*self.inputs).nfe if trace else 0

    def track_operators(self, backbone):
        return operators(lambda: self.time_call(backbone))

    track_parameters.unit = "parameters"
    track_operators.unit = "operators"
    track_macs.unit = "multiply-adds"
    track_evaluations.unit = "field evaluations"


ELSEWHERE = ("compiled", "graph")
"""Engines that take minutes to compile, or need CUDA."""


class Engines(Brief):
    """One network call of the pair on every engine that needs neither a compiler nor a GPU."""

    known = names("engine") if "engine" in list(Kind) else []
    params = ([name for name in known if name not in ELSEWHERE], PAIR)
    param_names = ("engine", "backbone")

    def setup(self, engine, backbone):
        plain = network(backbone).eval()
        self.inputs = torch.randn(1, 3, SIZE, SIZE), torch.full((1,), 500.0)
        with torch.inference_mode():
            self.call = build("engine", engine).prepare(plain, *self.inputs)

    def time_call(self, engine, backbone):
        with torch.inference_mode():
            self.call(*self.inputs)


class Training(Brief):
    """One update of Adam on a batch of 4."""

    params = PAIR
    param_names = ("backbone",)

    def setup(self, backbone):
        from models.diffusion import Diffusion

        self.model = Diffusion(network(backbone).train())
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.batch = torch.rand(BATCH, 3, SIZE, SIZE)

    def time_update(self, backbone):
        self.optimizer.zero_grad()
        self.model.loss(self.batch, torch.Generator().manual_seed(0)).backward()
        self.optimizer.step()

    def peakmem_update(self, backbone):
        self.time_update(backbone)

    def track_operators(self, backbone):
        return operators(lambda: self.time_update(backbone))

    track_operators.unit = "operators"
