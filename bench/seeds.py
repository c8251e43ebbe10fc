"""Seeds by name: what shares a seed is explicit, and nothing depends on order or batch size."""

import contextlib
import functools
import hashlib
import importlib.abc
import importlib.util
import random
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part and on their order.

    Example: `seed_of("noise", "digits", 17, 150, 0)` is the noise on image 17 at level 150,
    repeat 0, for whichever denoiser asks.
    """
    text = "\x1f".join(repr(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: object) -> "torch.Generator":
    """Return a CPU random generator seeded by `seed_of(*parts)`."""
    import torch

    return torch.Generator().manual_seed(seed_of(*parts))


class ImageNoise:
    """Standard normal noise per image: image i's stream depends on its own seed alone.

    So an image's noise does not change with the batch it is in, and every method that starts from
    the same seeds sees the same noise. Drawn on the CPU in float32 and moved, hence the same on
    every device. Satisfies `bench.api.Noise`.
    """

    def __init__(self, *parts: object, images: Sequence[int]):
        self._generators = [generator(*parts, image) for image in images]

    def __call__(self, like: "torch.Tensor") -> "torch.Tensor":
        """Return noise of the shape, dtype and device of `like` [B,C,H,W]; B as constructed."""
        import torch

        if len(like) != len(self._generators):
            raise ValueError(f"{len(self._generators)} noise streams for {len(like)} images")
        drawn = [torch.randn(like.shape[1:], generator=g) for g in self._generators]
        return torch.stack(drawn).to(like)


_last: list[int] = []
"""The seed that the global generators were last given; empty before."""


def seed_globals(*parts: object) -> None:
    """Seed the generators that Python, numpy and torch share, by `seed_of(*parts)`.

    Nothing here draws from them; a plug-in that does is made repeatable.
    """
    seed = seed_of(*parts)
    _last[:] = [seed]
    random.seed(seed)
    if "numpy" in sys.modules:  # a library that nobody has imported is not worth its start-up
        import numpy as np

        np.random.seed(seed % 2**32)
    if sys.modules.get("torch") is not None:
        _seed_torch(seed)


def _seed_torch(seed: int) -> None:
    import torch

    # What torch.manual_seed does, without the milliseconds that it takes where there is no GPU.
    torch.default_generator.manual_seed(seed)
    if _has_gpu():
        torch.cuda.manual_seed_all(seed)  # not initialised yet: kept until it is


@functools.cache
def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def follow_imports() -> None:
    """Have torch, where it is imported only later, begin with the seed of the last `seed_globals`.

    Otherwise what a plug-in draws would depend on whether an earlier cell had imported torch.
    """
    if sys.modules.get("torch") is None and not any(
        isinstance(finder, _SeedsTorch) for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, _SeedsTorch())


class _SeedsTorch(importlib.abc.MetaPathFinder):
    """Finds nothing itself; has torch, found by the others, seeded as soon as it is there."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return torch's spec with a loader that also seeds; None for every other module."""
        if name != "torch" or path is not None:
            return None
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            seeded = _then_seeded(spec.loader.exec_module)
            setattr(spec.loader, "exec_module", seeded)  # noqa: B010  a method, to type checkers
        return spec


def _then_seeded(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def run(module: ModuleType) -> None:
        execute(module)
        if _last:
            _seed_torch(_last[0])

    return run
