"""How often a cell calls its network for one image: counted, on a network of no layers."""

import contextlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch

from bench.api import Kind, Level, Missing
from bench.cell import UNIFORM
from bench.registry import DIFFUSION, build, find, sampler


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


def calls_of_estimating(spec: Mapping[str, Any]) -> int:
    """Return the network calls for one image of an `estimate` cell."""
    return _calls_of_estimating(spec["sampler"]["name"], spec["denoiser"]["recipe"])


@lru_cache
def _calls_of_estimating(name: str, recipe: str) -> int:
    chosen, still = sampler(name), _Still()
    network = find(Kind.DENOISER, DIFFUSION.rstrip(":")).build(still, recipe=recipe)
    measure = getattr(getattr(chosen, "func", chosen), "estimate", None)
    if measure is not None:
        measure(network.diffusion, torch.zeros(1, 1, 1, 1), torch.Generator().manual_seed(0))
    return still.calls


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
    """A backbone without layers, which counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x_t: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x_t
