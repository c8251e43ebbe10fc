"""The one loop that trains every trainable plug-in.

Adam, a moving average of the weights, gradient clipping, and seeds by name: which images update u
sees and which noise it draws depend on (seed, u) alone, so two networks of a pair see the same
data, and a resumed training is, bit for bit, the uninterrupted one.
"""

import csv
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.api import BenchError, Invalid
from bench.seeds import generator
from bench.store import write_atomically

CHECKPOINT = "checkpoint.safetensors"
EVERY = 200
"""Updates between checkpoints."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the meaning of each is in `bench.budget.Train`."""

    updates: int
    batch: int
    learning_rate: float
    beta1: float
    beta2: float
    ema: float
    clip: float
    precision: str
    decay: str
    passes: float

    def total(self, count: int) -> int:
        """Return the updates of a training on `count` images."""
        return max(self.updates, math.ceil(self.passes * count / self.batch))

    def rate(self, update: int, total: int) -> float:
        """Return the learning rate of an update, counted from 0."""
        if self.decay == "none":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * update / total))


@dataclass
class Loop:
    """Trains one module; satisfies `bench.api.Trainer`."""

    settings: TrainSettings
    folder: Path
    """Holds the checkpoint, from which an interrupted training goes on."""
    device: str = "cpu"
    mirrors: bool = False
    """Whether images are flipped at random."""
    progress: Callable[[int, int], None] = lambda done, total: None
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(update, loss) so far."""

    def train(self, module: nn.Module, clean: Tensor, seed: int) -> None:
        """Minimise `module.loss` over batches of clean [N,C,H,W] in [0,1]; leaves EMA weights.

        Raises:
            Invalid: If the loss stops being finite; the last checkpoint is kept.
        """
        settings = self.settings
        module.to(self.device).train()
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        optimiser = torch.optim.Adam(
            trained.values(), lr=settings.learning_rate, betas=(settings.beta1, settings.beta2)
        )
        average = {name: value.detach().clone() for name, value in module.state_dict().items()}
        total = settings.total(len(clean))
        done = self._resume(module, optimiser, trained, average)
        for update in range(done, total):
            for group in optimiser.param_groups:
                group["lr"] = settings.rate(update, total)
            loss = self._update(module, optimiser, clean, seed, update)
            _follow(average, module, min(settings.ema, (1 + update) / (10 + update)))
            self.curve.append((update + 1, loss))
            if (update + 1) % EVERY == 0 and update + 1 < total:
                self._save(module, optimiser, trained, average, update + 1)
            self.progress(update + 1, total)
        module.load_state_dict(average)
        module.eval()

    def _update(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        clean: Tensor,
        seed: int,
        update: int,
    ) -> float:
        batch = self._batch(clean, seed, update)
        rng = generator("train-noise", seed, update)
        half = self.settings.precision == "bfloat16"
        with torch.autocast(self.device, torch.bfloat16, enabled=half):
            loss = module.loss(batch, rng)
        value = float(loss.detach())
        if not torch.isfinite(loss.detach()):
            raise Invalid(
                f"the loss is {value} at update {update + 1}; lower train.learning_rate "
                f"(now {self.settings.learning_rate:g}) or train.clip ({self.settings.clip:g})"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), self.settings.clip)
        optimiser.step()
        return value

    def _batch(self, clean: Tensor, seed: int, update: int) -> Tensor:
        """Return the images of one update: epochs are permutations, joined end to end."""
        size, count = self.settings.batch, len(clean)
        positions = range(update * size, (update + 1) * size)
        orders = {
            epoch: torch.randperm(count, generator=generator("order", seed, epoch))
            for epoch in {position // count for position in positions}
        }
        chosen = torch.stack([orders[p // count][p % count] for p in positions])
        batch = clean[chosen]
        if self.mirrors:
            flips = torch.rand(size, generator=generator("flip", seed, update)) < 0.5
            batch = torch.where(flips[:, None, None, None], batch.flip(-1), batch)
        return batch.to(self.device)

    # ------------------------------------------------------------------ checkpoints

    def _save(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        trained: Mapping[str, Tensor],
        average: Mapping[str, Tensor],
        update: int,
    ) -> None:
        tensors = {f"model/{name}": value for name, value in module.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in average.items()}
        for name, parameter in trained.items():
            for part, value in optimiser.state[parameter].items():
                tensors[f"adam/{part}/{name}"] = torch.as_tensor(value)
        facts = {"update": update, "settings": vars(self.settings), "curve": self.curve}
        content = save(
            {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()},
            metadata={"facts": json.dumps(facts)},
        )
        write_atomically(self.folder / CHECKPOINT, content)

    def _resume(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        trained: Mapping[str, Tensor],
        average: dict[str, Tensor],
    ) -> int:
        """Restore the checkpoint, if there is one of this training; return updates done."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return 0
        try:
            with safe_open(path, framework="pt", device=self.device) as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            path.unlink(missing_ok=True)  # damaged: train again from the start
            return 0
        if facts["settings"] != vars(self.settings):
            return 0
        module.load_state_dict(_below("model/", tensors))
        average.update(_below("average/", tensors))
        for name, parameter in trained.items():
            optimiser.state[parameter] = {
                part: tensors[f"adam/{part}/{name}"]
                for part in ("step", "exp_avg", "exp_avg_sq")
                if f"adam/{part}/{name}" in tensors
            }
        self.curve[:] = [(int(update), float(loss)) for update, loss in facts["curve"]]
        return int(facts["update"])


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


@torch.no_grad()
def _follow(average: Mapping[str, Tensor], module: nn.Module, decay: float) -> None:
    """Move the average towards the module; counters and other integers are copied."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def write_curve(path: Path, curve: list[tuple[int, float]]) -> None:
    """Write a loss curve as CSV with the columns update and loss."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["update", "loss"])
        writer.writerows((update, f"{loss:.6g}") for update, loss in curve)


def save_weights(path: Path, module: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a module's weights as safetensors with a JSON description in the header."""
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
    write_atomically(path, save(tensors, metadata={"about": json.dumps(about, sort_keys=True)}))


def load_weights(path: Path, module: nn.Module) -> None:
    """Load weights that `save_weights` wrote.

    Raises:
        BenchError: If the file is not one, or is of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise BenchError(f"{path} is not a safetensors file ({error}); train again") from None
    wanted = module.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted:
            side = "lacks" if name not in tensors else "has the unknown"
            raise BenchError(f"{path} is of another network: it {side} tensor '{name}'")
        if tensors[name].shape != wanted[name].shape:
            raise BenchError(
                f"{path} is of another network: '{name}' has shape {tuple(tensors[name].shape)}, "
                f"expected {tuple(wanted[name].shape)}"
            )
    module.load_state_dict(tensors)
