"""Plug-ins that stand on what others published: sets of whole pictures, denoisers with weights.

Part of the seam: `bench.api` has both names.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch

    from bench.api import Level


class PictureSet(Protocol):
    """Whole pictures of any sizes, on which published values exist; must not import torch.

    Built as `build()`, of the kind `testset`. A `Dataset` is another thing: many images of one
    size, of which some are for training.
    """

    name: str
    channels: int
    licence: str
    same_data: bool
    """Whether these are, pixel for pixel, the pictures that published values are about."""

    def pictures(self) -> "Sequence[np.ndarray]":
        """Return the pictures, uint8 [C,H,W] each, in a fixed order."""
        ...

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the set: sha256 of the files, how many, of which sizes."""
        ...


@runtime_checkable
class Pretrained(Protocol):
    """A denoiser with published weights, which the harness finds, compares and hands over.

    `weights`, `channels` and `levels` are told by the class, so that a plan leaves out what it is
    not for.
    """

    weights: str
    """Their name in the table of weights."""
    channels: int
    """Of the images that they were trained on."""
    levels: "tuple[Level, ...]"
    """What they were trained at."""

    def take(self, tensors: "Mapping[str, torch.Tensor]") -> None:
        """Load the published tensors; called once, before the first image."""
        ...
