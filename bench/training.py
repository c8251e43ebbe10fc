"""The one loop that trains every trainable plug-in.

Adam, a moving average of the weights, gradient clipping, and seeds by name: which images update u
sees and which noise it draws depend on (seed, u) alone, so two networks of a pair see the same
data, and a resumed training is, bit for bit, the uninterrupted one.

Checkpoints are made when the last one's cost is a hundredth of the time since, and when the run is
being stopped. One that is damaged or of another training is not used.
"""

import csv
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import BenchError, Invalid, Paused
from bench.parts import SHARE, Pace, keep, read_kept, read_tensors, write_tensors
from bench.seeds import generator, seed_globals

CHECKPOINT = "checkpoint.safetensors"
FIRST_S = 10.0
"""Seconds to the first checkpoint: before one is made, its cost is not known."""
ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam remembers of a parameter."""


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
    pause_wanted: Callable[[], bool] = lambda: False
    """Whether the run is being stopped."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(update, loss) so far."""
    _begun: int = 0
    """Trainings: a plug-in may train one network after the other, each with its checkpoint."""

    def train(self, module: nn.Module, clean: Tensor, seed: int) -> None:
        """Minimise `module.loss` over batches of clean [N,C,H,W] in [0,1]; leaves EMA weights.

        Raises:
            Invalid: If the loss stops being finite; the last checkpoint is kept.
            Paused: If the run is being stopped; a checkpoint of the last update is made first.
        """
        self._begun += 1
        state = _State.of(module.to(self.device).train(), self.settings)
        total = self.settings.total(len(clean))
        about = {
            "training": self._begun,
            "settings": vars(self.settings),
            "seed": seed,
            "images": list(clean.shape),
            "mirrors": self.mirrors,
        }
        losses = self._resume(state, about, total)
        self.curve += enumerate(losses, start=1)
        pace = Pace(cost=FIRST_S * SHARE)
        for update in range(len(losses), total):
            losses.append(self._update(state, clean, seed, update, total))
            self.curve.append((update + 1, losses[-1]))
            stop = self.pause_wanted()
            if stop or pace.due():
                pace.spend(lambda: self._save(state, about, losses))
            if stop:
                raise Paused
            self.progress(update + 1, total)
        module.load_state_dict(state.average)
        _refuse_infinite(module)
        module.eval()

    def _update(self, state: "_State", clean: Tensor, seed: int, update: int, total: int) -> float:
        settings = self.settings
        for group in state.optimiser.param_groups:
            group["lr"] = settings.rate(update, total)
        batch = self._batch(clean, seed, update)
        rng = generator("train-noise", seed, update)
        seed_globals("update", seed, update)  # for networks that draw from them: dropout
        half = settings.precision == "bfloat16"
        with torch.autocast(self.device, torch.bfloat16, enabled=half):
            loss = state.module.loss(batch, rng)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise Invalid(
                f"the loss is {value} at update {update + 1}; lower train.learning_rate "
                f"(now {settings.learning_rate:g}) or train.clip ({settings.clip:g})"
            )
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(state.module.parameters(), settings.clip)
        state.optimiser.step()
        _follow(state.average, state.module, min(settings.ema, (1 + update) / (10 + update)))
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

    def _save(self, state: "_State", about: Mapping[str, Any], losses: list[float]) -> None:
        tensors = {"curve": torch.tensor(losses, dtype=torch.float64)} | state.tensors()
        keep(self._checkpoint, tensors, of=self.folder.name, facts=about)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / (f"{self._begun}-{CHECKPOINT}" if self._begun > 1 else CHECKPOINT)

    def _resume(self, state: "_State", about: Mapping[str, Any], total: int) -> list[float]:
        """Restore the checkpoint, if there is one of this training; return the losses so far."""
        found = read_kept(self._checkpoint, of=self.folder.name)
        if found is None:
            return []
        tensors, facts = found
        losses = tensors.pop("curve", torch.empty(0))
        fits = losses.dtype == torch.float64 and losses.dim() == 1 and 0 < len(losses) <= total
        if not fits or facts != json.loads(json.dumps(about)) or not state.restore(tensors):
            return []
        return losses.tolist()


@dataclass(frozen=True)
class _State:
    """All that a training changes."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    trained: Mapping[str, Tensor]
    average: dict[str, Tensor]

    @classmethod
    def of(cls, module: nn.Module, settings: TrainSettings) -> "_State":
        """Return the state at the start."""
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        betas = settings.beta1, settings.beta2
        optimiser = torch.optim.Adam(trained.values(), lr=settings.learning_rate, betas=betas)
        average = {name: value.detach().clone() for name, value in module.state_dict().items()}
        return cls(module, optimiser, trained, average)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state, name by name."""
        tensors = {f"model/{name}": value for name, value in self.module.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for name, parameter in self.trained.items():
            for part, value in self.optimiser.state[parameter].items():
                tensors[f"adam/{part}/{name}"] = value
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> bool:
        """Take over what `tensors` returned; return False and change nothing if it does not fit.

        A parameter that has had no gradient yet has no memory in Adam.
        """
        like = {f"model/{name}": value for name, value in self.module.state_dict().items()}
        like |= {f"average/{name}": value for name, value in self.average.items()}
        remembered = [name for name in self.trained if f"adam/step/{name}" in tensors]
        for name in remembered:
            shapes = (torch.zeros(()), self.trained[name], self.trained[name])
            like |= {f"adam/{part}/{name}": v for part, v in zip(ADAM, shapes, strict=True)}
        steps = [tensors[f"adam/step/{name}"] for name in remembered]
        if _mismatch(tensors, like) or _not_finite(tensors) or any(step < 1 for step in steps):
            return False
        self.module.load_state_dict(_below("model/", tensors))
        for name, value in _below("average/", tensors).items():
            self.average[name].copy_(value)
        for name in remembered:
            parameter = self.trained[name]
            # Adam counts on the CPU; its moments lie where their parameter does.
            kept = {part: tensors[f"adam/{part}/{name}"].clone() for part in ADAM}
            self.optimiser.state[parameter] = {
                part: value.to("cpu" if part == "step" else parameter.device)
                for part, value in kept.items()
            }
        return True


def _mismatch(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return how tensors differ from the wanted ones in name, shape or type; "" if they do not."""
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            return f"it lacks tensor '{name}'"
        if name not in wanted:
            return f"it has the unknown tensor '{name}'"
        got, expected = tensors[name], wanted[name]
        if got.shape != expected.shape:
            return f"'{name}' has shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
        if got.dtype != expected.dtype:
            return f"'{name}' is {got.dtype}, expected {expected.dtype}"
    return ""


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


def _refuse_infinite(module: nn.Module) -> None:
    if bad := _not_finite(module.state_dict()):
        raise Invalid(f"the trained '{bad}' holds NaN or infinity; lower train.learning_rate")


def _not_finite(tensors: Mapping[str, Tensor]) -> str:
    """Return the first name of a tensor with a NaN or an infinity, or ""."""
    return next((k for k in sorted(tensors) if not torch.isfinite(tensors[k]).all()), "")


def save_weights(path: Path, module: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a module's weights as safetensors with a JSON description in the header."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    write_tensors(path, tensors, {"about": json.dumps(about, sort_keys=True)})


def load_weights(path: Path, module: nn.Module) -> None:
    """Load weights that `save_weights` wrote; nothing in the file is run.

    Raises:
        BenchError: If the file is not one, is of another network or holds NaN or infinity; the
            module is unchanged then.
    """
    try:
        tensors, _ = read_tensors(path)
    except ValueError as error:
        raise BenchError(f"{path} is not a safetensors file ({error}); train again") from None
    if mismatch := _mismatch(tensors, module.state_dict()):
        raise BenchError(f"{path} is of another network: {mismatch}")
    if bad := _not_finite(tensors):
        raise BenchError(f"{path} holds NaN or infinity in '{bad}'; train again")
    module.load_state_dict(tensors)
