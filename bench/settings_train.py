"""The settings of a training."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from bench.settings import Count, Fraction, Positive, Settings, Word


class Train(Settings):
    """One training, for every trainable plug-in; defaults are the authors' (`train.py`)."""

    updates: Count = 500_000
    """Parameter updates of a diffusion network."""
    classic_updates: Count = 50_000
    """Parameter updates of the autoencoder and of generators."""
    classic_batch: Count = 128
    """Images per update of those."""
    classic_learning_rate: Positive = 1e-3
    """Adam's, of those."""
    dncnn_updates: Count = 50_000
    """Parameter updates of DnCNN, of which one costs eight of the autoencoder's."""
    dncnn_batch: Count = 128
    """Images per update of DnCNN."""
    dncnn_learning_rate: Positive = 1e-3
    """Adam's, of DnCNN."""
    batch: Count = 128
    """Images per update of a diffusion network."""
    learning_rate: Positive = 2e-4
    """Adam's, of a diffusion network, before `decay` and `warmup`."""
    beta1: Fraction = 0.9
    """Decay of Adam's mean of gradients."""
    beta2: Fraction = 0.99
    """Decay of Adam's mean of squared gradients."""
    ema: Fraction = 0.9999
    """Ceiling of the moving average's decay; it warms up as (1 + n) / (10 + n)."""
    clip: Positive = 1.0
    """Ceiling of the gradient's norm."""
    precision: Annotated[str, Field(pattern="^(float32|bfloat16)$")] = "float32"
    """Of the network's calls, `float32` or `bfloat16`; weights and updates are in float32."""
    decay: Annotated[str, Field(pattern="^(none|cosine)$")] = "none"
    """How the learning rate falls to 0 by the last update: `cosine`, or not: `none`."""
    warmup: Annotated[int, Field(ge=0, le=10**12)] = 0
    """Updates over which the learning rate first rises from 0, in equal steps."""
    accumulate: Count = 1
    """Parts that a process takes its share of a batch in, where memory has no room for it."""
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that share every batch: one a GPU, or several on the CPU."""
    validations: Annotated[int, Field(ge=0, le=10**6)] = 50
    """How often in a training the averaged weights denoise held-out images, evenly spaced."""
    passes: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    """At least so many passes over the training images, where `updates` make fewer."""
    begin: Word = ""
    """Like `checkpoints`, before which it comes, to go on from for `updates` more, at any size."""

    @model_validator(mode="after")
    def _an_image_for_each_part(self) -> Self:
        fewest = min(self.batch, self.classic_batch, self.dncnn_batch)
        parts = self.accumulate * self.processes
        if parts > fewest:
            raise ValueError(f"{parts} parts of a batch of {fewest}, expected an image in each")
        return self
