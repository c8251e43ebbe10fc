"""What autograd keeps for one training step: with the adjoint it must not grow with the steps."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.api import Invalid

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Kept:
    """Memory that autograd held; a storage counts once, weights and inputs do not."""

    forward_bytes: int
    """At the end of the forward pass."""
    peak_bytes: int
    """At most during the step; the adjoint's backward pass keeps one evaluation at a time."""


def kept_for_training(module: nn.Module, *inputs: Tensor) -> Kept:
    """Return what autograd keeps for one training step; the same on every run and machine.

    The gradients that the step leaves are removed again, and running statistics are set back.

    Raises:
        Invalid: If the network has nothing to train.
    """
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise Invalid(f"{type(module).__name__} has no trained parameters, so no training step")
    held = _Held({_storage(t) for t in (*module.parameters(), *module.buffers(), *inputs)})
    with _training(module), torch.enable_grad():
        with torch.autograd.graph.saved_tensors_hooks(held.pack, lambda kept: kept.tensor):
            loss = module(*inputs).square().mean()
            forward = held.now
            loss.backward()
    return Kept(forward, held.peak)


def with_solver(module: nn.Module, *, steps: int, adjoint: bool) -> nn.Module:
    """Give a continuous network, in place, another number of solver steps, with the adjoint or not.

    Raises:
        Invalid: If it has no solver.
    """
    integrator = getattr(module, "integrator", None)
    if integrator is None or not dataclasses.is_dataclass(integrator):
        raise Invalid(f"{type(module).__name__} has no ODE solver whose steps could be changed")
    module.integrator = dataclasses.replace(integrator, steps=steps, adjoint=adjoint)
    return module


class _Held:
    """Counts the storages that live saved tensors share."""

    def __init__(self, ignored: set[int]) -> None:
        self.ignored = ignored
        self.users: Counter[int] = Counter()
        self.now = self.peak = 0

    def pack(self, tensor: Tensor) -> "_Saved":
        return _Saved(tensor.detach(), self)

    def take(self, tensor: Tensor) -> None:
        key = _storage(tensor)
        if key not in self.ignored and not self.users[key]:
            self.now += tensor.untyped_storage().nbytes()
            self.peak = max(self.peak, self.now)
        self.users[key] += 1

    def drop(self, tensor: Tensor) -> None:
        key = _storage(tensor)
        self.users[key] -= 1
        if key not in self.ignored and not self.users[key]:
            self.now -= tensor.untyped_storage().nbytes()


class _Saved:
    """A tensor that autograd saved; it is counted as long as it lives, and so lives its storage."""

    def __init__(self, tensor: Tensor, held: _Held) -> None:
        self.tensor, self.held = tensor, held
        held.take(tensor)

    def __del__(self) -> None:
        self.held.drop(self.tensor)


@contextmanager
def _training(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    module.train()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        module.zero_grad(set_to_none=True)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
