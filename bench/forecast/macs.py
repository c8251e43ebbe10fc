"""What networks compute: multiply-adds of one image, counted while they run once."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench import canonical
from bench.api import Kind
from bench.forecast.pace import (
    LEVEL,
    Shape,
    built_of,
    one_call,
    one_thread,
    pictures,
    taught,
)
from bench.metrics.classifier import Classifier
from bench.registry import build
from bench.tasks.against import Against
from bench.tasks.scoring import Scorer

IMAGES = 2
"""Images that are counted: one alone has no spread, which some generators are fitted to."""


@dataclass(frozen=True)
class Counted:
    """Of one image; nothing where it goes through no network."""

    call: float = 0.0
    """Multiply-adds of one call without gradients."""
    update: float = 0.0
    """Of its share of an update, forwards and backwards; 0 where nothing is trained."""
    numbers: int = 0
    """Parameters and buffers."""
    dimension: int = 0
    """Numbers in a feature vector."""


@dataclass
class Macs:
    """Counts each network once, on the CPU: two floating point operations are one."""

    _known: dict[str, Counted | None] = field(default_factory=dict)

    def of_denoiser(self, kind: Kind, spec: Mapping[str, Any], shape: Shape) -> Counted | None:
        """Return the cost of a denoiser or a generator; None where it fails."""

        def count() -> Counted:
            built, images, training = built_of(kind, spec, shape), _images(shape), _Training()
            built.fit(images, [LEVEL], training, 0)
            numbers = _numbers(built)
            if not numbers:
                return Counted()
            call = _macs(one_call(built, images))
            return Counted(call / IMAGES, training.macs / IMAGES, numbers)

        return self._once({"spec": spec, "shape": shape, "kind": kind}, count)

    def of_scoring(self, shape: Shape) -> Counted | None:
        """Return the cost of scoring an estimate, whose original was looked at before."""

        def count() -> Counted:
            images = _images(shape)
            against = Against.of(Scorer.on("cpu"), images)
            return Counted(_macs(lambda: against(images.flip(0))) / IMAGES)

        return self._once({"scoring": shape}, count)

    def of_features(self, name: str, shape: Shape) -> Counted | None:
        """Return the cost of a feature extractor; None where its weights are not here."""

        def count() -> Counted:
            extractor, images = build(Kind.FEATURES, name).eval(), _images(shape)
            macs = _macs(lambda: extractor(images)) / IMAGES
            return Counted(macs, numbers=_numbers(extractor), dimension=extractor.dimension)

        return self._once({"features": name, "shape": shape}, count)

    def of_judge(self, shape: Shape) -> Counted | None:
        """Return the cost of a classifier of generated images."""

        def count() -> Counted:
            network, (images, labels) = Classifier(shape[0]).eval(), pictures(shape, IMAGES)
            call = _macs(lambda: network(images)) / IMAGES
            update = _macs(lambda: taught(network, images, labels), gradients=True) / IMAGES
            return Counted(call, update, _numbers(network))

        return self._once({"judge": shape}, count)

    def _once(self, key: Mapping[str, Any], count: Callable[[], Counted]) -> Counted | None:
        name = canonical.digest(key)
        if name not in self._known:
            self._known[name] = None  # what is wrong with it, its cell will say
            with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(sys.stderr):
                with one_thread():
                    self._known[name] = count()
        return self._known[name]


@dataclass
class _Training:
    """A trainer that counts one update and leaves the denoiser untrained."""

    macs: float = 0.0

    def train(self, module: Any, clean: Tensor, seed: int) -> None:
        """Count it; of several networks, all of them."""

        def update() -> None:
            module.loss(clean, torch.Generator().manual_seed(seed)).backward()

        self.macs += _macs(update, gradients=True)
        module.zero_grad(set_to_none=True)


def _macs(call: Callable[[], object], *, gradients: bool = False) -> float:
    """Return the multiply-adds of convolutions and matrix products; attention is made of these."""
    with (
        torch.set_grad_enabled(gradients),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        call()
    return counter.get_total_flops() / 2


def _numbers(built: Any) -> int:
    if not isinstance(built, nn.Module):
        return 0
    return sum(value.numel() for value in built.state_dict().values())


def _images(shape: Shape) -> Tensor:
    channels, size = shape
    return torch.rand(IMAGES, channels, size, size, generator=torch.Generator().manual_seed(0))
