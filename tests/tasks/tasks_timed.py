"""Networks that take as long as they are told, and cells that time them."""

import types

import torch
from torch import nn

from bench import canonical
from bench.api import Cell, Kind, Solution
from bench.engines.eager import Eager
from bench.metrics.audit import REORDERED

TIMED = {
    **{"channels": 3, "image_size": 8, "batch": 1, "threads": 1},
    **{"repeats": 2, "warmup": 1, "most_s": 0.0, "repeat_inputs": False},
}
MIB = 2**18
"""Numbers of 4 bytes."""


class Network(nn.Module):
    """A convolution that takes as long, and as much memory, as it is told."""

    def __init__(self, seconds=1.0, weights=0, needs=0):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.register_buffer("weights", torch.ones(weights * MIB))
        self.seconds, self.needs, self.calls = seconds, needs, 0

    def forward(self, x, step):
        Machine.now += self.seconds
        self.calls += 1
        if self.needs:
            x = x + torch.ones(self.needs * MIB).mul_(0.0)[0]
        return self.layer(x)


class Machine:
    """Networks' seconds."""

    now = 0.0


class Failing(Network):
    def forward(self, x, step):
        return self.layer(x[:, :1])


class Tiring(Network):
    """Works once, so that it is sound, and fails afterwards."""

    def forward(self, x, step):
        if self.calls:
            raise ValueError("no longer\nat all")
        return super().forward(x, step)


class Solving(Network):
    """Evaluates a right-hand side four times."""

    adaptive = False

    def __init__(self):
        super().__init__()
        self.integrator = types.SimpleNamespace(scheme=self)

    def fields(self):
        return [(self.layer, 3)]

    def trace(self, x, step):
        Machine.now += self.seconds
        for _ in range(4):
            x = self.layer(x)
        return Solution(x, 4)

    def forward(self, x, step):
        return self.trace(x, step).y


class Adapting(Solving):
    adaptive = True


class Halved(nn.Module):
    """A network in half of its time, and a hair off."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, step):
        before = Machine.now
        result = self.network(x, step)
        Machine.now = before + (Machine.now - before) / 2
        return result * (1 + 1e-5)


class Halving:
    """The engine that makes them."""

    tolerance = REORDERED

    @staticmethod
    def prepare(network, *inputs):
        return Halved(network)


class Context:
    """Builds networks by name; `built` keeps them."""

    def __init__(self, device="cpu"):
        self.device, self.built = device, []

    def build(self, kind, spec):
        if kind is Kind.ENGINE:
            return {"eager": Eager, "halving": Halving}[spec["name"]]()
        kinds = {cls.__name__.lower(): cls for cls in (Network, Failing, Tiring, Solving, Adapting)}
        options = {k: spec[k] for k in ("seconds", "weights", "needs") if k in spec}
        self.built.append(kinds[spec["name"]](**options))
        return self.built[-1]


def rows_of(task, *networks, context=None, **changes):
    named = [{"scale": 1.0, **network} for network in networks]
    cell = Cell(task.__name__, {**TIMED, "backbone": named, **changes})
    return canonical.loads(canonical.dumps(list(task(cell, context or Context()).rows)).encode())


NETWORK, FAILING, TIRING = ({"name": name} for name in ("network", "failing", "tiring"))
