"""The one loop that trains every trainable plug-in.

Adam, a moving average of the weights, gradient clipping, and seeds by name: which images update u
sees and which noise it draws depend on (seed, u) and on how the batch is split alone, so two
networks of a pair see the same data, and a resumed training is, bit for bit, the uninterrupted one.
One that goes on from a trained network counts u on: with an equal batch it sees what comes next.

A batch is split into equal chunks, `accumulate` for each process, whose gradients are added up: two
processes learn what one learns that accumulates twice. One chunk is the batch itself.

Checkpoints are made when the last one's cost is a hundredth of the time since, and when the run is
being stopped. One that is damaged or of another training is not used.
"""

import csv
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from bench.accelerated import Team, team
from bench.api import BenchError, Cell, Context, Invalid, Paused
from bench.checkpoint import TrainingState, not_finite
from bench.parts import SHARE, Pace, home_of, keep, read_kept
from bench.seeds import generator, seed_globals
from bench.shape import loss_of
from bench.shipped import BEGUN
from bench.validation import Points, points

CHECKPOINT = "checkpoint.safetensors"
FIRST_S = 10.0
"""Seconds to the first checkpoint: before one is made, its cost is not known."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the meaning of each is in `bench.settings_train.Train`."""

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
    warmup: int = 0
    accumulate: int = 1
    processes: int = 1
    validations: int = 0

    def total(self, count: int) -> int:
        """Return the updates of a training on `count` images."""
        return max(self.updates, math.ceil(self.passes * count / self.batch))

    def rate(self, update: int, total: int) -> float:
        """Return the learning rate of an update, counted from 0."""
        if update < self.warmup:
            return self.learning_rate * (update + 1) / self.warmup
        if self.decay == "none":
            return self.learning_rate
        done = math.pi * (update - self.warmup) / (total - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(done))


@dataclass
class Loop:
    """Trains one module; satisfies `bench.api.Trainer`.

    In every process of torch's group where there is one (`bench.peers`): the first makes the
    checkpoints, tells how far it is, validates and hears that the run is being stopped.
    """

    settings: TrainSettings
    folder: Path
    """Holds the checkpoint, from which an interrupted training goes on."""
    device: str = "cpu"
    mirrors: bool = False
    """Whether images are flipped at random."""
    progress: Callable[[int, int], None] = lambda done, total: None
    pause_wanted: Callable[[], bool] = lambda: False
    """Whether the run is being stopped."""
    validate: Callable[[nn.Module], tuple[float, ...]] | None = None
    """Measures the averaged weights, `settings.validations` times."""
    also: Collection[int] = ()
    """Updates, counted from 1, after which they are measured besides."""
    before: int = 0
    """Updates that the network has had: no noise comes again, and with an equal batch no image."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(update, loss) so far."""
    validation: Points = field(default_factory=list)
    """(update, what `validate` returned) so far."""
    _begun: int = 0
    """Trainings: a plug-in may train one network after the other, each with its checkpoint."""

    @classmethod
    def of(
        cls,
        cell: Cell,
        context: Context,
        *,
        mirrors: bool,
        validate: Callable[[nn.Module], tuple[float, ...]] | None = None,
    ) -> Self:
        """Return the loop of a cell, whose spec says under "training" how to train."""
        return cls(
            TrainSettings(**cell.spec["training"]),
            folder=home_of(context),
            device=context.device,
            mirrors=mirrors,
            progress=context.progress,
            pause_wanted=context.pause_wanted,
            validate=validate,
            before=cell.spec.get(BEGUN, {}).get("updates", 0),
        )

    def train(self, module: nn.Module, clean: Tensor, seed: int) -> None:
        """Minimise `module.loss` over batches of clean [N,C,H,W] in [0,1]; leaves EMA weights.

        Raises:
            Invalid: If the loss stops being finite; the last checkpoint is kept.
            Paused: If the run is being stopped; a checkpoint of the last update is made first.
        """
        self._begun += 1
        with team(self.device, self.settings.precision) as helpers:
            settings, device = self.settings, helpers.accelerator.device
            betas = settings.beta1, settings.beta2
            state = TrainingState.of(
                module.to(device).train(), learning_rate=settings.learning_rate, betas=betas
            )
            about = {
                "training": self._begun,
                "settings": vars(settings),
                "processes": helpers.size,
                "seed": seed,
                "images": list(clean.shape),
                "mirrors": self.mirrors,
                "before": self.before,
            }
            name = f"{self._begun}-{CHECKPOINT}" if self._begun > 1 else CHECKPOINT
            _Training(self, state, clean, seed, helpers, about, self.folder / name).run()


@dataclass
class _Training:
    """One training of a loop."""

    loop: Loop
    state: TrainingState
    clean: Tensor
    seed: int
    team: Team
    about: Mapping[str, Any]
    """Facts that a checkpoint must have."""
    checkpoint: Path
    losses: list[float] = field(default_factory=list)
    found: Points = field(default_factory=list)
    saved: int = 0
    """Updates in the checkpoint."""

    def run(self) -> None:
        """Train from the checkpoint to the end, or until the run is stopped."""
        loop, settings = self.loop, self.loop.settings
        total = settings.total(len(self.clean))
        measured = set[int]()
        if loop.validate is not None:
            measured = points(total, settings.validations).union(loop.also)
        self._resume(total, measured)
        loop.curve += enumerate(self.losses, start=1)
        loop.validation += self.found
        if self.team.total([len(self.losses)]) != [self.team.size * len(self.losses)]:
            raise BenchError("the processes of a training found different checkpoints; run again")
        pace = Pace(cost=FIRST_S * SHARE)
        for update in range(len(self.losses), total):
            self.losses.append(self._update(update, settings.rate(update, total)))
            loop.curve.append((update + 1, self.losses[-1]))
            if update + 1 in measured:
                self._validate(update + 1)
            stop = bool(self.team.total([float(loop.pause_wanted())])[0])
            if stop or pace.due():
                pace.spend(self._save)
            if stop:
                raise Paused
            loop.progress(update + 1, total)
        self.state.settle()

    def _update(self, update: int, rate: float) -> float:
        """Take one step; return the batch's loss before it."""
        state, settings, accelerator = self.state, self.loop.settings, self.team.accelerator
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        count = settings.accumulate * self.team.size
        drawn = self.loop.before + update
        value = 0.0
        for i in range(settings.accumulate):
            number = self.team.rank * settings.accumulate + i
            batch = self._chunk(drawn, number, count).to(accelerator.device)
            chunk = () if count == 1 else (number,)
            rng = generator("train-noise", self.seed, drawn, *chunk)
            # For networks that draw from them: dropout.
            seed_globals("update", self.seed, drawn, *chunk)
            with accelerator.autocast():
                loss = loss_of(state.module, batch, rng)
            if i == 0:  # freed before the forward they cost a tenth of the time: fresh memory
                state.optimiser.zero_grad(set_to_none=True)
            share = len(batch) / settings.batch
            value += share * float(loss.detach())
            accelerator.backward(loss * share)
        (value,) = self.team.total([value])
        if not math.isfinite(value):
            raise self._diverged(update, rate, value)
        trained = list(state.trained.values())
        self.team.add_gradients(trained)
        self.team.average_buffers(state.module)
        accelerator.clip_grad_norm_(trained, settings.clip)
        state.optimiser.step()
        state.follow(min(settings.ema, (1 + update) / (10 + update)))
        return value

    def _chunk(self, update: int, number: int, count: int) -> Tensor:
        """Return chunk `number` of an update's images: epochs are permutations, joined end to end.

        Whoever asks for it, a chunk is the same.
        """
        size, images = self.loop.settings.batch, len(self.clean)
        own = slice(number * size // count, (number + 1) * size // count)
        positions = range(update * size, (update + 1) * size)[own]
        orders = {
            epoch: torch.randperm(images, generator=generator("order", self.seed, epoch))
            for epoch in {position // images for position in positions}
        }
        chosen = torch.stack([orders[p // images][p % images] for p in positions])
        batch = self.clean[chosen]
        if self.loop.mirrors:
            flips = torch.rand(size, generator=generator("flip", self.seed, update))[own] < 0.5
            batch = torch.where(flips[:, None, None, None], batch.flip(-1), batch)
        return batch

    def _diverged(self, update: int, rate: float, value: float) -> Invalid:
        if update == 0:
            return Invalid(
                f"the loss is {value} before the first update: the network's forward returns NaN "
                "or infinity, or the images hold it"
            )
        settings = self.loop.settings
        kept = f"the checkpoint of update {self.saved} is kept"
        made = kept if self.saved else "no checkpoint was made before"
        return Invalid(
            f"the loss is {value} at update {update + 1}; lower train.learning_rate "
            f"({settings.learning_rate:g}, {rate:.3g} at that update) or train.clip "
            f"({settings.clip:g}); {made}"
        )

    def _validate(self, update: int) -> None:
        if self.team.rank == 0 and self.loop.validate is not None:
            with self.state.averaged() as module:
                self.found.append((update, tuple(self.loop.validate(module))))
            self.loop.validation.append(self.found[-1])

    def _save(self) -> None:
        """Make a checkpoint, unless this one could not be gone on from and an older one can."""
        tensors = {"curve": torch.tensor(self.losses, dtype=torch.float64)} | self.state.tensors()
        rows = [(update, *errors) for update, errors in self.found]
        if rows:
            tensors["validation"] = torch.tensor(rows, dtype=torch.float64)
        if self.team.rank == 0 and not not_finite(tensors):
            keep(self.checkpoint, tensors, of=self.loop.folder.name, facts=self.about)
            self.saved = len(self.losses)

    def _resume(self, total: int, measured: set[int]) -> None:
        """Take over the checkpoint, if there is one of this training."""
        kept = read_kept(self.checkpoint, of=self.loop.folder.name)
        if kept is None:
            return
        tensors, facts = kept
        losses = tensors.pop("curve", torch.empty(0))
        rows = tensors.pop("validation", torch.empty(0, 1, dtype=torch.float64))
        fits = losses.dtype == torch.float64 and losses.dim() == 1 and 0 < len(losses) <= total
        fits = fits and rows.dtype == torch.float64 and rows.dim() == 2 and rows.shape[1] > 0
        due = sorted(update for update in measured if update <= len(losses))
        if not fits or rows[:, 0].tolist() != due or facts != json.loads(json.dumps(self.about)):
            return
        if self.state.restore(tensors):
            self.losses, self.saved = losses.tolist(), len(losses)
            self.found = [(int(update), tuple(errors)) for update, *errors in rows.tolist()]


def write_curve(path: Path, curve: list[tuple[int, float]]) -> None:
    """Write a loss curve as CSV with the columns update and loss."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["update", "loss"])
        writer.writerows((update, f"{loss:.6g}") for update, loss in curve)
