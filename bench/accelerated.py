"""What the training loop leaves to `accelerate`: where it computes, how precisely, with whom.

Device, mixed precision, backward, clipping and sums over the processes are accelerate's. Modules
and optimisers are not handed to its `prepare`: that would put another `forward` into a plug-in's
module, and wrap it in a class whose gradients are shared only when `forward` is called, where the
loop calls `loss`, and only if every parameter has one. A sum over processes of the gradients there
are needs neither, and adds them up as accumulation in one process does.

accelerate keeps its state in the process for good. A worker trains one network after the other, so
that each training begins with none, and leaves none.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.api import BenchError

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = {"float32": "no", "bfloat16": "bf16"}
"""Ours -> accelerate's."""
LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "OMP_NUM_THREADS")
PREFIXES = ("ACCELERATE_", "FSDP_", "PMI_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_")
"""Variables by which whoever started this process would decide how it trains."""


@dataclass(frozen=True)
class Team:
    """The processes that train one network together; most often one."""

    accelerator: "Accelerator"

    @property
    def size(self) -> int:
        """How many there are."""
        return int(self.accelerator.num_processes)

    @property
    def rank(self) -> int:
        """The number of this one, from 0."""
        return int(self.accelerator.process_index)

    def total(self, values: Sequence[float]) -> list[float]:
        """Return the sums of all processes' values."""
        if self.size == 1:
            return list(values)
        mine = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        return self._sum(mine).tolist()

    def add_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Give every parameter the sum of all processes' gradients; one without any keeps none."""
        if self.size == 1:
            return
        counts = self.total([float(p.grad is not None) for p in parameters])
        found = [p for p, count in zip(parameters, counts, strict=True) if count]
        self._spread([p.grad if p.grad is not None else torch.zeros_like(p) for p in found], found)

    def average_buffers(self, module: nn.Module) -> None:
        """Give every process the mean of what each has counted, such as batch statistics."""
        buffers = [b for b in module.buffers() if b.is_floating_point()]
        if self.size > 1 and buffers:
            # In double precision the mean of equal numbers is that number, whatever their count.
            flat = self._sum(torch.cat([b.flatten().double() for b in buffers])) / self.size
            for buffer, part in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
                buffer.copy_(part.view_as(buffer))

    def _spread(self, gradients: Sequence[Tensor], parameters: Iterable[Tensor]) -> None:
        flat = self._sum(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = flat.split([gradient.numel() for gradient in gradients])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def _sum(self, value: Tensor) -> Tensor:
        return self.accelerator.reduce(value, reduction="sum")


@contextlib.contextmanager
def team(device: str, precision: str) -> Iterator[Team]:
    """Have accelerate compute on a device; among the processes of torch's group, if there is one.

    Args:
        device: As torch names it.
        precision: One of `PRECISIONS`.

    Raises:
        BenchError: If the device cannot compute in that precision.
    """
    from accelerate.state import AcceleratorState, GradientState

    def forget() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    forget()
    try:
        yield Team(_accelerator(device, precision))
    finally:
        forget()


def _accelerator(device: str, precision: str) -> "Accelerator":
    from accelerate import Accelerator

    on_cpu = torch.device(device).type == "cpu"
    with _told(device):
        try:
            return Accelerator(cpu=on_cpu, mixed_precision=PRECISIONS[precision])
        except ValueError as error:
            raise BenchError(
                f"train.precision={precision}: {device} cannot ({error}); expected float32"
            ) from error


@contextlib.contextmanager
def _told(device: str) -> Iterator[None]:
    """Set the variables that accelerate looks at, and bring back those that were there."""
    ours = {"ACCELERATE_TORCH_DEVICE": device}
    group = torch.distributed
    if group.is_available() and group.is_initialized():
        rank, size = str(group.get_rank()), str(group.get_world_size())
        ours |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        ours["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # else it chooses a number
    theirs = {n: v for n, v in os.environ.items() if n in LAUNCHERS or n.startswith(PREFIXES)}
    port = os.environ.get("MASTER_PORT")
    for name in theirs:
        del os.environ[name]
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in (*LAUNCHERS, *ours):
            os.environ.pop(name, None)
        if port is None:
            os.environ.pop("MASTER_PORT", None)  # it sets one where there is none
        os.environ.update(theirs)
