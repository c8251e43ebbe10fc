"""How many images a cell puts through its denoiser, read off its specification."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from bench.api import Kind, Level, Missing
from bench.cell import UNIFORM
from bench.plan import Planned
from bench.registry import DIFFUSION, build, find, sampler
from bench.tasks.convergence import snapshots_of
from bench.tasks.train import HELD_OUT, REPEATS
from bench.training import TrainSettings
from bench.validation import IMAGES, THIRDS, points

READINGS = 2
"""Estimates that a restoration shows after every call."""
TEACHER = 2
"""Calls of the teacher in a distillation, for each image of an update."""


@dataclass(frozen=True)
class Work:
    """Images that go through the denoiser of a cell."""

    forward: int = 0
    """Without gradients, one call each."""
    updates: int = 0
    """Images that go through it forwards and backwards."""
    scored: int = 0
    """Estimates that are scored."""


def work_of(planned: Planned) -> Work | None:
    """Return what a cell has to do with its denoiser; None for cells without one."""
    spec = planned.cell.spec
    if planned.unavailable or "denoiser" not in spec:
        return None
    match planned.cell.task:
        case "train":
            return _training(spec["training"], planned.basis["data"]["counts"])
        case "convergence":
            return _looked_at(spec, planned.basis["data"]["counts"])
        case "distil":
            learnt = _training(spec["training"], planned.basis["data"]["counts"])
            return replace(learnt, forward=learnt.forward + TEACHER * learnt.updates)
        case "sample":
            return Work(forward=_padded(spec) * calls_of_sampling(spec))
        case "restore":
            states = calls_of_restoring(spec)
            return Work(
                forward=_padded(spec) * states, scored=READINGS * _padded(spec) * (states + 1)
            )
        case "denoise":
            return Work(forward=_padded(spec), scored=_padded(spec))
        case _:
            return None


def _training(training: Mapping[str, Any], counts: Mapping[str, int]) -> Work:
    settings = TrainSettings(**training)
    held_out = REPEATS * min(HELD_OUT, counts["test"])
    watched = settings.validations * len(THIRDS) * min(IMAGES, counts["test"])
    return Work(
        forward=held_out + watched, updates=settings.batch * settings.total(counts["train"])
    )


def _looked_at(spec: Mapping[str, Any], counts: Mapping[str, int]) -> Work:
    """Return the work of a training whose averaged weights are looked at on the way."""
    settings = TrainSettings(**spec["training"])
    snapshots = snapshots_of(settings.updates, spec["fractions"])
    looks = points(settings.updates, settings.validations).union(snapshots)
    images = _padded({**spec, "n": spec["n_generated"]})
    calls = sum(calls_of_sampling({**spec, "steps": steps}) for steps in spec["sampling_steps"])
    watched = len(looks) * len(THIRDS) * min(spec["n"], counts["test"])
    return Work(
        forward=len(snapshots) * images * calls + watched,
        updates=settings.batch * settings.updates,
    )


def calls_of_sampling(spec: Mapping[str, Any]) -> int:
    """Return the network calls for one image of a `sample` cell, counted on a network of none."""
    start = spec.get("start")
    asked = (spec["sampler"]["name"], spec["denoiser"]["recipe"], spec["steps"], start)
    return _calls_of_sampling(*asked, spec.get("spacing", UNIFORM))


@lru_cache
def _calls_of_sampling(
    name: str, recipe: str, steps: int, start: float | None, spacing: str
) -> int:
    calls = steps  # of samplers that cannot begin without what is measured beforehand
    with contextlib.suppress(Missing):
        states = _empty_diffusion(recipe).generate(
            torch.zeros(1, 1, 1, 1),
            torch.zeros_like,
            steps=steps,
            sampler=sampler(name),
            spacing=spacing,
            start=start,
        )
        for state in states:
            calls = state.calls
    return calls


def calls_of_restoring(spec: Mapping[str, Any]) -> int:
    """Return the network calls for one image of a `restore` cell."""
    level = build(Kind.SCHEDULE, spec["schedule"]["name"]).level(spec["t"])
    return _calls_of_restoring(spec["denoiser"]["recipe"], level, spec["stride"])


@lru_cache
def _calls_of_restoring(recipe: str, level: Level, stride: int) -> int:
    states = _empty_diffusion(recipe).restore(
        torch.zeros(1, 1, 1, 1), level, torch.zeros_like, stride=stride
    )
    return max(state.calls for state in states)


def _empty_diffusion(recipe: str) -> Any:
    return find(Kind.DENOISER, DIFFUSION.rstrip(":")).build(_Still(), recipe=recipe)


class _Still(torch.nn.Module):
    """A backbone without layers."""

    def forward(self, x_t: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        return x_t


def _padded(spec: Mapping[str, Any]) -> int:
    size = spec["micro_batch"]
    return -(-spec["n"] // size) * size
