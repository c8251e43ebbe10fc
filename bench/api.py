"""The seam: everything that a plug-in may import from the harness. Standard library only.

A plug-in is a builder - a class or a function - that carries a name, a kind and its source::

    from bench.api import Kind, register

    @register(Kind.BACKBONE, "my-net", source="Someone et al. 2024, section 3")
    class MyNet(torch.nn.Module):
        def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0): ...
        def forward(self, x_t, step): ...

The harness finds it by name (`bench.registry.build`) and never imports it.

Notation: B batch, C channels, H height, W width. Images are float in [0, 1] at the seam.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from bench.cell import Cell as Cell
from bench.cell import Context as Context
from bench.cell import Outcome as Outcome
from bench.cell import Row as Row
from bench.cell import Task as Task
from bench.checked import Checked as Checked
from bench.checked import Claim as Claim
from bench.checked import Curve as Curve
from bench.checked import Holds as Holds
from bench.errors import BenchError as BenchError
from bench.errors import Invalid as Invalid
from bench.errors import Missing as Missing
from bench.errors import Paused as Paused
from bench.errors import Skip as Skip
from bench.errors import StorageError as StorageError
from bench.named_options import options_of as options_of
from bench.published import PictureSet as PictureSet
from bench.published import Pretrained as Pretrained
from bench.shape import image_to_image as image_to_image
from bench.shape import untouched as untouched

if TYPE_CHECKING:
    import numpy as np
    import torch

T = TypeVar("T", bound=Callable[..., Any])


class Kind(StrEnum):
    """What a person can select by name (and `TASK`, what a cell does)."""

    BACKBONE = "backbone"
    DENOISER = "denoiser"
    SAMPLER = "sampler"
    GENERATOR = "generator"
    DISTILLATION = "distillation"
    SOLVER = "solver"
    ENGINE = "engine"
    SCHEDULE = "schedule"
    RECIPE = "recipe"
    DATASET = "dataset"
    TESTSET = "testset"
    FEATURES = "features"
    CHECK = "check"
    EXPERIMENT = "experiment"
    TASK = "task"


class Property(StrEnum):
    """What the contract tests expect of a plug-in unless it declares that it lacks it."""

    STEP_DEPENDENCE = "step-dependence"  # the output changes with the diffusion step
    ALL_GRADIENTS = "all-gradients"  # every trainable parameter receives a gradient
    SECOND_ORDER = "second-order"  # dz/ds = v holds in every block (continuous networks only)
    BATCH_INDEPENDENCE = "batch-independence"  # image i does not depend on its neighbours
    PSNR_GAIN = "psnr-gain"  # a denoiser's output is closer to the clean image than its input


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered plug-in."""

    kind: Kind
    name: str
    build: Callable[..., Any]
    source: str
    needs: tuple[str, ...] = ()
    lacks: frozenset[Property] = frozenset()
    note: str = ""
    where: str = ""


ENTRIES: dict[tuple[Kind, str], Entry] = {}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*:?")
"""A plug-in's name, as it stands in lists of names with options (`ddim+eta=1,dpmpp-2m`)."""


def register(
    kind: Kind,
    name: str,
    *,
    source: str,
    needs: Iterable[str] = (),
    lacks: Iterable[Property] = (),
    note: str = "",
) -> Callable[[T], T]:
    """Return a decorator that makes a builder known under `name` and leaves it unchanged.

    Args:
        kind: What it is.
        name: What a person types; kebab-case, unique within its kind.
        source: Equation, table, paper or code that it implements.
        needs: Optional distributions it imports; when one is absent the plug-in is
            "unavailable" instead of an error.
        lacks: Expected properties that it does not have by nature.
        note: A one-line finding about it that the report repeats.

    Raises:
        BenchError: If the name is taken or cannot be typed, if the source is empty, or if what is
            registered is neither a class nor a function.
    """

    def keep(build: T) -> T:
        if not (inspect.isclass(build) or inspect.isfunction(build)):
            raise BenchError(
                f"{kind} '{name}' is a {type(build).__name__}, expected a class or a function; "
                "write a function that calls it"
            )
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise BenchError(f"{kind} has the name {name!r}, expected kebab-case")
        where = f"{inspect.getsourcefile(build)}:{inspect.getsourcelines(build)[1]}"
        claimed = ENTRIES.get((kind, name))
        if claimed is not None and claimed.where != where:
            raise BenchError(
                f"two plug-ins claim the {kind} name '{name}': {claimed.where} and {where}; "
                "names are unique, rename one of them"
            )
        if not source.strip():
            raise BenchError(f"{kind} '{name}' at {where} names no source; say what it implements")
        ENTRIES[kind, name] = Entry(
            kind, name, build, source, tuple(needs), frozenset(lacks), note, where
        )
        return build

    return keep


# ------------------------------------------------------------------ what plug-ins look like


class Backbone(Protocol):
    """A network that predicts noise, x0 or v from a noised image; a `torch.nn.Module`.

    Built as `build(channels=3, image_size=64, scale=1.0)`; `scale` multiplies every width, and 1.0
    is the network of the paper. It may add keyword parameters of its own.
    """

    def __call__(self, x_t: "torch.Tensor", step: "torch.Tensor") -> "torch.Tensor":
        """Map x_t [B,C,H,W] (in [-1,1] plus noise) and step [B] (float, 0..T-1) to [B,C,H,W]."""
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """What an ODE solver (or a backbone's `trace`) returns."""

    y: Any
    """Final state, a tensor."""
    nfe: int
    """Number of evaluations of the field that it took."""


@dataclass(frozen=True, slots=True)
class Level:
    """One noise level: y = x + sigma * eps for images x in [0, 1], never clipped."""

    sigma: float
    """Standard deviation in [0, 1] units: 0.5 * sqrt(1 / alpha_bar - 1)."""
    t: int | None = None
    """The noising step that it came from, where it came from one."""
    schedule: str | None = None
    """The schedule of that step."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One state of a step-by-step restoration, on the [0, 1] scale, not clipped."""

    calls: int
    """Network calls made so far; 0 is the noisy image."""
    t: float
    """The diffusion step that the current state belongs to."""
    current: Any
    """Current state x_t / sqrt(alpha_bar_t), [B,C,H,W]."""
    x0: Any
    """The network's current prediction of the clean image, [B,C,H,W] (the input for calls = 0)."""


Noise = Callable[["torch.Tensor"], "torch.Tensor"]
"""Standard normal noise like its argument; image i's noise depends on image i's seed alone."""


class Trainer(Protocol):
    """The one training loop, handed to `Denoiser.fit` by the harness."""

    def train(self, module: Any, clean: "torch.Tensor", seed: int) -> None:
        """Minimise `module.loss(batch, rng)` over batches of `clean`; leaves EMA weights in it."""
        ...


@runtime_checkable
class Denoiser(Protocol):
    """Restores images; built as `build(channels=3, image_size=64, scale=1.0)`.

    A trainable one is a `torch.nn.Module` with `loss(batch, rng) -> Tensor`, where batch is
    [B,C,H,W] in [0,1] and rng a `torch.Generator`; its `fit` calls `trainer.train(self, ...)`.
    """

    def fit(
        self, clean: "torch.Tensor", levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Learn from clean images [N,C,H,W] in [0,1]; does nothing where nothing is learnt."""
        ...

    def denoise(self, y: "torch.Tensor", level: Level, noise: Noise) -> "torch.Tensor":
        """Return the restored images [B,C,H,W] of noisy, unclipped y [B,C,H,W]."""
        ...


@runtime_checkable
class Restorer(Protocol):
    """A denoiser that works step by step and shows every intermediate estimate."""

    def restore(
        self, y: "torch.Tensor", level: Level, noise: Noise, stride: int = 1
    ) -> Iterator[Estimate]:
        """Yield the state before the first and after every network call."""
        ...


@runtime_checkable
class Generator(Protocol):
    """Makes rough images cheaply, for sampling to start from (ES-DDPM, Lyu et al. 2022).

    Built as `build(channels=3, image_size=64, scale=1.0)`; a trainable one has `loss`, as a
    `Denoiser` has.
    """

    leaks: bool
    """Whether its images are made of training images: a control, never a result."""

    def fit(
        self, clean: "torch.Tensor", levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Learn from clean images [N,C,H,W] in [0,1]; `levels` is empty."""
        ...

    def draw(self, noise: Noise, count: int) -> "torch.Tensor":
        """Return images [count,C,H,W] in [0,1]; image i depends on noise stream i alone."""
        ...


class Dataset(Protocol):
    """Images of one kind; built as `build(image_size=64)`; must not import torch."""

    name: str
    channels: int
    image_size: int
    licence: str
    paper_name: str | None
    """The paper's column that it stands for ("MNIST", "CelebA", "LSUN Church"), else None."""
    same_data: bool
    """Whether it is that data set itself (else a stand-in)."""
    mirrors: bool
    """Whether a mirrored image is still one of its kind (training may flip it): no for digits."""

    def images(self, split: str) -> "np.ndarray":
        """Return uint8 [N,C,H,W] of split "train" or "test" (disjoint, fixed order)."""
        ...

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the data: file names with sha256, counts, split rule, resize."""
        ...


class FeatureExtractor(Protocol):
    """Maps images to feature vectors for distances between sets; a `torch.nn.Module`."""

    name: str
    dimension: int
    weights_sha: str
    resize: str
    """How images reach the input size, e.g. "bilinear-64"; part of every distance's protocol."""

    def __call__(self, images: "torch.Tensor") -> "torch.Tensor":
        """Map images [B,1|3,H,W] in [0,1] to features [B, dimension]."""
        ...
