"""How fast this machine is at the moment: a few calls of each network, timed in one thread."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench import canonical
from bench.api import Kind, Level
from bench.metrics.classifier import SIDE, Classifier, moved
from bench.metrics.kernel import kid_jackknife
from bench.metrics.manifold import manifold
from bench.registry import build
from bench.tasks.against import Against
from bench.tasks.denoisers import without_assumed
from bench.tasks.scoring import Scorer

BATCH = 4
"""Images of a call that is timed."""
TURNS = 3
"""The fastest call counts: the first is a warm-up, and others may be disturbed."""
LONG_S = 0.5
"""Once so long was spent on a call, its warm-up no longer matters."""
LEVEL = Level(0.2)
Shape = tuple[int, int]
"""Channels of images, and pixels a side."""
JUDGED = 50
"""Images that a classifier of generated ones learns from, or looks at, together."""
PAIRED = 2048
"""Features of each of two sets whose distances are timed."""


@dataclass(frozen=True)
class Seconds:
    """Per image."""

    call: float
    """Of one call of a denoiser without gradients."""
    update: float = 0.0
    """Of one update of its training; 0 where it has none."""


@dataclass
class Pace:
    """Times each denoiser once."""

    device: str
    _known: dict[str, Seconds | None] = field(default_factory=dict)

    def of_denoiser(self, kind: Kind, spec: Mapping[str, Any], shape: Shape) -> Seconds | None:
        """Return how long a denoiser, or a generator, takes for images of a shape.

        None where it fails: what is wrong with it, its cell will say.
        """

        def measure() -> Seconds | None:
            with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(sys.stderr):
                return self._denoiser(kind, spec, shape)
            return None

        return self._once({"spec": spec, "shape": shape, "kind": kind}, measure)

    def of_scoring(self, shape: Shape) -> Seconds:
        """Return how long scoring an estimate takes, whose original was looked at before."""
        return self._once({"shape": shape}, lambda: self._scoring(shape))

    def of_features(self, name: str, shape: Shape) -> Seconds | None:
        """Return the seconds of an extractor for one image; None where it fails."""

        def measure() -> Seconds | None:
            with contextlib.suppress(Exception):
                extractor = build(Kind.FEATURES, name).to(self.device).eval()
                images = self._images(shape)
                with torch.inference_mode():
                    return Seconds(_least(lambda: extractor(images), self.device) / BATCH)
            return None

        return self._once({"features": name, "shape": shape}, measure)

    def of_judge(self, shape: Shape) -> Seconds:
        """Return the seconds of a classifier of generated images, which is on the CPU."""

        def measure() -> Seconds:
            network, (images, labels) = Classifier(shape[0]), pictures(shape, JUDGED)
            optimiser = torch.optim.Adam(network.parameters(), lr=0.0)

            def update() -> None:
                optimiser.zero_grad()
                taught(network, moved(images, torch.Generator().manual_seed(0)), labels)
                optimiser.step()

            learning = _least(update, "cpu")
            with torch.inference_mode():
                calling = _least(lambda: network(images), "cpu")
            return Seconds(calling / JUDGED, learning / JUDGED)

        return self._once({"judge": shape}, measure)

    def of_pair(self, dimension: int) -> float:
        """Return the seconds that distances take for a pair of features, which are on the CPU."""

        def measure() -> float:
            rng = torch.Generator().manual_seed(0)
            some, others = torch.randn(2, PAIRED, dimension, generator=rng)
            pairs = (2 + 3) * PAIRED**2

            def distances() -> None:
                kid_jackknife(some, others)
                manifold(real=some, generated=others)

            return _least(distances, "cpu") / pairs

        return self._once({"pairs of": dimension}, measure)

    def _once(self, key: Mapping[str, Any], measure: Callable[[], Seconds | None]) -> Any:
        name = canonical.digest(key)
        if name not in self._known:
            with one_thread():
                self._known[name] = measure()
        return self._known[name]

    def _denoiser(self, kind: Kind, spec: Mapping[str, Any], shape: Shape) -> Seconds:
        built = built_of(kind, spec, shape)
        if isinstance(built, nn.Module):
            built.to(self.device)
        images, training = self._images(shape), _Updates(self.device)
        built.fit(images, [LEVEL], training, 0)
        call = _least(one_call(built, images), self.device)
        return Seconds(call / BATCH, training.seconds / BATCH)

    def _scoring(self, shape: Shape) -> Seconds:
        images = self._images(shape)
        against = Against.of(Scorer.on(self.device), images)
        return Seconds(_least(lambda: against(images.flip(0)), self.device) / BATCH)

    def _images(self, shape: Shape) -> Tensor:
        channels, size = shape
        rng = torch.Generator().manual_seed(0)
        return torch.rand(BATCH, channels, size, size, generator=rng).to(self.device)


def pictures(shape: Shape, count: int) -> tuple[Tensor, Tensor]:
    """Return images [count,C,32,32] for a classifier, and a class for each."""
    rng = torch.Generator().manual_seed(0)
    return torch.rand(count, shape[0], SIDE, SIDE, generator=rng), torch.arange(count) % 10


def taught(network: Classifier, images: Tensor, labels: Tensor) -> None:
    """Compute the gradients of one update of a classifier."""
    nn.functional.cross_entropy(network(images), labels).backward()


def built_of(kind: Kind, spec: Mapping[str, Any], shape: Shape) -> Any:
    """Return a denoiser, or a generator, for images of so many channels and pixels a side."""
    spec, _ = without_assumed(spec)
    options = {key: value for key, value in spec.items() if key != "name"}
    return build(kind, spec["name"], channels=shape[0], image_size=shape[1], **options)


def one_call(built: Any, images: Tensor) -> Callable[[], Any]:
    """Return what restores images, or makes as many."""
    if hasattr(built, "denoise"):
        return lambda: built.denoise(images, LEVEL, torch.randn_like)
    return lambda: built.draw(torch.randn_like, len(images))


@dataclass
class _Updates:
    """A trainer that times an update and leaves the denoiser untrained."""

    device: str
    seconds: float = 0.0

    def train(self, module: Any, clean: Tensor, seed: int) -> None:
        """Time one update on all of the images."""
        optimiser = torch.optim.Adam(module.parameters(), lr=0.0)

        def update() -> None:
            optimiser.zero_grad(set_to_none=True)
            module.loss(clean, torch.Generator(clean.device).manual_seed(seed)).backward()
            optimiser.step()

        self.seconds = _least(update, self.device)


def _least(call: Callable[[], object], device: str) -> float:
    seconds: list[float] = []
    while len(seconds) < TURNS and sum(seconds) < LONG_S:
        started = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run as the cells do, whose threads are one each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
