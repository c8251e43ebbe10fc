"""How much work a run does: the frozen budgets `smoke`, `small` and `paper`.

Every setting can be overruled on the command line: `--set train.updates=200`. The effective values
are part of the cells' keys and of `run.json`.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.api import BenchError
from bench.registry import unknown

Count = Annotated[int, Field(ge=1)]
Step = Annotated[int, Field(ge=1, le=1000)]
"""A step of the diffusion, of which every schedule has 1,000."""
Steps = Annotated[tuple[Step, ...], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

LEVELS = (50, 100, 150, 200, 250, 400, 600, 800)
"""The noising steps of Tables 2 and 3."""
STEPS = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 250)
"""The sampling steps of Table 1's search (protocol)."""


class Settings(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Train(Settings):
    """One training, for every trainable plug-in; defaults are the authors' (`train.py`)."""

    updates: Count = 500_000
    """Parameter updates of a diffusion network."""
    classic_updates: Count = 50_000
    """Parameter updates of DnCNN and the autoencoder."""
    classic_batch: Count = 128
    classic_learning_rate: Positive = 1e-3
    batch: Count = 128
    learning_rate: Positive = 2e-4
    beta1: Fraction = 0.9
    beta2: Fraction = 0.99
    ema: Fraction = 0.9999
    """Ceiling of the moving average's decay; it warms up as (1 + n) / (10 + n)."""
    clip: Positive = 1.0
    """Ceiling of the gradient's norm."""
    precision: Annotated[str, Field(pattern="^(float32|bfloat16)$")] = "float32"
    decay: Annotated[str, Field(pattern="^(none|cosine)$")] = "none"
    """How the learning rate falls to 0 by the last update."""
    passes: Annotated[float, Field(ge=0)] = 0.0
    """At least so many passes over the training images, where `updates` make fewer."""


class Generation(Settings):
    """Table 1: distance between generated and real images against sampling steps."""

    steps: Steps = STEPS
    n_generated: Annotated[int, Field(ge=2)] = 30_000
    n_real: Annotated[int, Field(ge=2)] = 30_000
    sampler: str = ""
    """The recipe's unless said otherwise."""
    features: str = "alexnet"
    blocks: Annotated[int, Field(ge=2)] = 10
    """Blocks of the delete-block jackknife interval."""

    @model_validator(mode="after")
    def _enough_for_the_blocks(self) -> Self:
        fewest = min(self.n_generated, self.n_real)
        if fewest < 2 * self.blocks:
            raise ValueError(f"{fewest} images in {self.blocks} blocks, expected 2 in each or more")
        return self


class Denoising(Settings):
    """Tables 2 to 4: restoring noised images."""

    levels: Steps = LEVELS
    classic_levels: Steps = (50, 150, 400)
    """The levels of Table 4."""
    n_images: Annotated[int, Field(ge=2)] = 300
    stride: Count = 1
    """Reverse steps per network call; 1 is the paper's."""
    classics: tuple[str, ...] = ("identity", "bm3d", "wiener", "conv-ae", "dncnn")
    classic_scale: Positive = 1.0
    """Width of DnCNN and the autoencoder against the authors'."""


class Timing(Settings):
    """Latency of a network call."""

    batch: Count = 1
    threads: Count = 1
    repeats: Annotated[int, Field(ge=3)] = 30
    warmup: Count = 3


class Budget(Settings):
    """Everything that a run's size depends on."""

    name: str
    dataset: str = "celeba"
    image_size: Annotated[int, Field(ge=8, le=4096)] = 64
    scale: Annotated[float, Field(ge=0.01, le=16)] = 1.0
    """Width of the networks against the paper's; Table 5 is always at full width."""
    recipe: str = "authors"
    schedule: str = ""
    """The schedule that a noising step belongs to; the recipe's unless said otherwise."""
    backbones: Annotated[tuple[str, ...], Field(min_length=1)] = ("unet", "cunet")
    seed: Annotated[int, Field(ge=0)] = 0
    micro_batch: Count = 50
    """Images per network call wherever quality is measured; fixed and padded."""
    cell_limit_s: Positive = 7 * 24 * 3600.0
    train: Train = Train()
    generation: Generation = Generation()
    denoising: Denoising = Denoising()
    timing: Timing = Timing()


BUDGETS = {
    "smoke": Budget(
        name="smoke",
        dataset="digits",
        image_size=32,
        scale=0.25,
        micro_batch=16,
        cell_limit_s=900.0,
        train=Train(
            updates=500,
            batch=16,
            learning_rate=2e-3,
            ema=0.99,
            decay="cosine",
            passes=1.0,
            classic_updates=400,
            classic_batch=16,
            classic_learning_rate=5e-3,
        ),
        generation=Generation(steps=(5, 10, 20, 50), n_generated=192, n_real=192, blocks=8),
        denoising=Denoising(n_images=16, stride=10, classic_scale=0.25),
        timing=Timing(repeats=15),
    ),
    "small": Budget(
        name="small",
        dataset="mnist",
        scale=0.5,
        micro_batch=16,
        cell_limit_s=6 * 3600.0,
        train=Train(updates=10_000, batch=64, ema=0.999, classic_updates=3_000, classic_batch=32),
        generation=Generation(steps=(5, 10, 20, 50), n_generated=256, n_real=2_000),
        denoising=Denoising(levels=(50, 150, 400), n_images=48, stride=5),
    ),
    "paper": Budget(name="paper"),
}


def load_budget(name: str, overrides: Iterable[str] = ()) -> Budget:
    """Return a budget with `key=value` settings applied.

    Values are read as JSON where they are JSON (`steps=[5,10]`), else as text; a comma-separated
    list stands for a tuple.

    Raises:
        BenchError: If the budget, a key or a value is not known or not allowed.
    """
    if name not in BUDGETS:
        raise unknown("budget", name, list(BUDGETS))
    values: dict[str, Any] = BUDGETS[name].model_dump()
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise BenchError(f"--set {text}: expected key=value, such as train.updates=200")
        _assign(values, key.strip(), value.strip())
    try:
        return Budget.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        given = "" if isinstance(first["input"], dict) else f"={first['input']!r}"
        raise BenchError(f"--set {where}{given} is not allowed: {first['msg'].lower()}") from None


def changed_settings(budget: Budget) -> list[str]:
    """Return the settings in which a budget differs from the frozen one of its name.

    The data set is a choice of its own, as are schedule and sampler where they are the recipe's.
    """
    frozen = dict(_items(BUDGETS[budget.name].model_dump(exclude={"dataset"})))
    ours = dict(_items(budget.model_dump(exclude={"dataset"})))
    return [name for name, value in ours.items() if frozen[name] != value]


def _assign(values: dict[str, Any], key: str, text: str) -> None:
    *groups, last = key.split(".")
    group: Any = values
    for name in groups:
        group = group.get(name) if isinstance(group, dict) else None
    if not isinstance(group, dict) or last not in group or isinstance(group[last], dict):
        raise unknown("setting", key, sorted(dict(_items(values))))
    old = group[last]
    parts = [part.strip() for part in text.strip("[]()").split(",") if part.strip()]
    group[last] = parts if isinstance(old, tuple | list) else text


def _items(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
