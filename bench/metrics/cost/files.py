"""Parameters and the size of the files that hold them."""

import io
from dataclasses import dataclass

import torch
from torch import nn

MIB = 2**20
SCHEDULE_TABLES = 13
SCHEDULE_STEPS = 1000
"""The diffusion around the network keeps so many tables, one float per step, in its state."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Number of parameters; shared ones count once."""

    total: int
    trained: int
    frozen: int


def parameters(module: nn.Module) -> Parameters:
    """Count the parameters of a network."""
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    total = sum(p.numel() for p in module.parameters())
    return Parameters(total, trained, total - trained)


def weights_mib(module: nn.Module) -> float:
    """Return the size of parameters and persistent buffers in MiB; shared ones count once."""
    tensors = {id(t): t for t in module.state_dict(keep_vars=True).values()}
    return sum(t.numel() * t.element_size() for t in tensors.values()) / MIB


def checkpoint_mib(module: nn.Module) -> float:
    """Return the size in MiB of the authors' kind of training checkpoint: Table 5's "MB".

    It holds the model, its moving average and Adam's two moments: 16 bytes per trained parameter,
    8 per frozen one, and some overhead per tensor. The file is really serialised, but into a
    counter: neither the disk nor a second copy of the network is needed.

    Source: Calvo-Ordonez et al. 2023, Table 5, column Memory; layout of the trainer that the
        authors' code uses.
    """
    online, averaged = (_diffusion_state(module) for _ in range(2))
    checkpoint = {
        "step": 0,
        "model": online,
        "opt": _adam_state([p for p in module.parameters() if p.requires_grad]),
        # The averaging class keeps the model too; shared with the above, it costs names only.
        "ema": {
            **{f"online_model.{name}": tensor for name, tensor in online.items()},
            **{f"ema_model.{name}": tensor for name, tensor in averaged.items()},
            "initted": torch.tensor([True]),
            "step": torch.tensor([0]),
        },
        "scaler": None,
        "version": "",
    }
    sink = _Counter()
    torch.save(checkpoint, sink)
    return sink.size / MIB


def _diffusion_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return uninitialised tensors like those of the network and of its noise schedule.

    What the network shares stays shared.
    """
    state = module.state_dict(keep_vars=True)
    twins = {id(t): torch.empty_like(t, device="cpu", requires_grad=False) for t in state.values()}
    schedule = {f"schedule.{i}": torch.empty(SCHEDULE_STEPS) for i in range(SCHEDULE_TABLES)}
    return {**schedule, **{f"model.{name}": twins[id(t)] for name, t in state.items()}}


def _adam_state(trained: list[nn.Parameter]) -> dict[str, object]:
    """Return Adam's state after a step, without taking one."""
    if not trained:
        return {}
    adam = torch.optim.Adam(trained, lr=2e-4, betas=(0.9, 0.99))
    moments = {
        index: {
            "step": torch.tensor(1.0),
            "exp_avg": torch.empty_like(parameter, device="cpu", requires_grad=False),
            "exp_avg_sq": torch.empty_like(parameter, device="cpu", requires_grad=False),
        }
        for index, parameter in enumerate(trained)
    }
    return {"state": moments, "param_groups": adam.state_dict()["param_groups"]}


class _Counter(io.RawIOBase):
    """A file that keeps nothing but its size."""

    def __init__(self):
        super().__init__()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        length = memoryview(data).nbytes
        self.size += length
        return length
