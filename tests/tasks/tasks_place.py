"""Tiny cells: a network of two convolutions on pictures of 16 pixels, without runner or store."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import registry
from bench.api import Cell, Kind, Outcome, Paused
from models.denoise import DiffusionDenoiser

TRAINING = {
    "updates": 6, "batch": 4, "learning_rate": 1e-2, "beta1": 0.9, "beta2": 0.99, "ema": 0.9,
    "clip": 1.0, "precision": "float32", "decay": "none", "passes": 0.0,
}  # fmt: skip
NETWORK = {"denoiser": {"name": "tiny"}, "dataset": {"name": "pictures"}, "seed": 1}
SETS = {**NETWORK, "n": 8, "micro_batch": 3}
LEVEL = {"schedule": {"name": "linear"}, "t": 150}
TRAIN = Cell("train", {**NETWORK, "training": TRAINING, "levels": []})
SAMPLE = Cell("sample", {**SETS, "sampler": {"name": "ddpm"}, "steps": 3}, (TRAIN,))
PIXELS = {"features": {"name": "pixels"}, "micro_batch": 3}
GENERATED = Cell("features", PIXELS, (SAMPLE,))
REAL = Cell("features", {**PIXELS, "dataset": {"name": "pictures"}, "split": "train", "n": 20})
CELLS = {
    "train": TRAIN,
    "sample": SAMPLE,
    "features": REAL,
    "generated": GENERATED,
    "frechet": Cell(
        "frechet", {"features": {"name": "pixels"}, "n_real": 10, "blocks": 2}, (GENERATED, REAL)
    ),
    "restore": Cell("restore", {**SETS, **LEVEL, "stride": 50}, (TRAIN,)),
    "denoise": Cell("denoise", {**SETS, **LEVEL}, (TRAIN,)),
    "wiener": Cell("denoise", {**SETS, **LEVEL, "denoiser": {"name": "wiener"}}),
    "ladder": Cell("ladder", {**SETS, "schedule": {"name": "linear"}, "levels": [50, 400]}),
    "cost": Cell("cost", {"backbone": {"name": "tiny"}, "channels": 1, "image_size": 16}),
}


class Pictures:
    """Bright squares on a dim ground."""

    name, channels, image_size, mirrors = "pictures", 1, 16, True

    def images(self, split: str) -> np.ndarray:
        rng = np.random.default_rng(len(split))
        images = rng.integers(0, 60, (20, 1, 16, 16), dtype=np.uint8)
        for image, (x, y) in zip(images, rng.integers(0, 10, (20, 2)), strict=True):
            image[0, y : y + 6, x : x + 6] += 150
        return images


class Tiny(nn.Module):
    """Two convolutions; the dropout draws from torch's global generator while training."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(0.2), nn.SiLU(), nn.Conv2d(4, 1, 3, padding=1)
        )

    def forward(self, x_t, step):
        return self.net(x_t + step[:, None, None, None] / 1000)


class Killed(BaseException):
    """Stands for the end of the process."""


HELD: list[Cell] = []
"""Cells that were made, kept alive."""


@dataclass
class Context:
    """What a task is given."""

    cell: Cell
    folder: Path
    partial: Path
    files: Mapping[int, Path]
    pause_after: int | None = None
    kill_after: int | None = None
    share: tuple[int, int] | None = None
    device: str = "cpu"
    told: list[tuple[int, int]] = field(default_factory=list)

    def build(self, kind: Kind, spec: Mapping[str, Any] | None = None) -> Any:
        spec = self.cell.spec[kind.value] if spec is None else spec
        if spec["name"] == "pictures":
            return Pictures()
        if spec["name"] == "tiny":
            return Tiny() if kind is Kind.BACKBONE else DiffusionDenoiser(Tiny())
        return registry.build(kind, spec["name"], **{k: v for k, v in spec.items() if k != "name"})

    def sampler(self, name: str) -> Callable[..., Any]:
        return registry.find(Kind.SAMPLER, name).build

    def file(self, used: Cell, name: str) -> Path:
        return self.files[id(used)] / name

    def progress(self, done: int, total: int) -> None:
        self.told.append((done, total))
        if len(self.told) == self.kill_after:
            raise Killed

    def pause_wanted(self) -> bool:
        return self.pause_after is not None and len(self.told) >= self.pause_after


@dataclass
class Place:
    """Where cells are measured; those that one uses are measured first, once."""

    root: Path
    made: dict[int, Path] = field(default_factory=dict)

    def context(self, cell: Cell, tag: str, **stops: Any) -> Context:
        for used in cell.uses:
            if id(used) not in self.made:
                self.made[id(used)] = self.root / f"used-{len(self.made)}"
                HELD.append(used)  # or another cell could get its id
                self.run(used, self.made[id(used)].name)
        folder = self.root / tag
        folder.mkdir(parents=True, exist_ok=True)
        # The folder's name is the cell's key, which does not depend on the place.
        partial = self.root / f"partial-{tag}" / "key"
        return Context(cell, folder, partial, self.made, **stops)

    def run(self, cell: Cell, tag: str, **stops: Any) -> Outcome | None:
        """Measure a cell; None if it was paused or killed."""
        context = self.context(cell, tag, **stops)
        try:
            return registry.find(Kind.TASK, cell.task).build(cell, context)
        except (Paused, Killed):
            return None


def content(outcome: Outcome) -> tuple[str, dict[str, bytes]]:
    """Return all of an outcome: rows to the last digit, and the bytes of its files."""
    return repr(outcome.rows), {name: path.read_bytes() for name, path in outcome.files.items()}


def dirty(seed: int) -> None:
    """Leave the global generators as other cells might."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
