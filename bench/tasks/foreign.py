"""Restore noised images with a network that somebody brought, as Table 4 does with ours."""

import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bench import assets, registry
from bench.api import (
    BenchError,
    Cell,
    Context,
    Invalid,
    Kind,
    Level,
    Missing,
    Noise,
    Outcome,
    Trainer,
    register,
)
from bench.checkpoint import load_weights
from bench.score.samples import place_of
from bench.tasks.denoise import denoise
from bench.torchvision_compat import import_torchvision

OURS = ("diffusion.backbone.",)
"""Where the backbone stands in the weights of a training of this project."""


class Adapted(nn.Module):
    """A network of whatever interface as a backbone: x_t [B,C,H,W], step [B] -> [B,C,H,W]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_t: Tensor, step: Tensor) -> Tensor:
        """Return the network's output, taken out of what it is wrapped in.

        Raises:
            Invalid: If it is no tensor of the input's shape.
        """
        out = self.network(x_t, step)
        out = getattr(out, "sample", out)
        out = out[0] if isinstance(out, tuple | list) and out else out
        if not isinstance(out, Tensor) or out.shape != x_t.shape:
            found = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise Invalid(f"the network returned {found}, expected a tensor {list(x_t.shape)}")
        return out


class Foreign(nn.Module):
    """A foreign network as a denoiser that needs no training."""

    def __init__(self, network: nn.Module, *, prediction: str, schedule: str, low: float) -> None:
        super().__init__()
        plain = registry.build(Kind.RECIPE, "authors")
        recipe = dataclasses.replace(
            plain, prediction=prediction, schedule=schedule, weighting="uniform"
        )
        self.inner = registry.build(
            Kind.DENOISER, "diffusion", backbone=Adapted(network), recipe=recipe
        )
        self.low = low

    def fit(self, clean: Tensor, levels: Sequence[Level], trainer: Trainer, seed: int) -> None:
        """Learn nothing: the weights came with the network."""

    def denoise(self, y: Tensor, level: Level, noise: Noise) -> Tensor:
        """Return the estimate of the clean images [B,C,H,W] in one call.

        The diffusion works on 2 y - 1. A network that was trained on [0, 1] is to see y, so it is
        given (y + 1) / 2, whose noise is half of y's, and what comes back is taken back likewise.
        """
        if self.low < 0:
            return self.inner.denoise(y, level, noise)
        half = dataclasses.replace(level, sigma=level.sigma / 2)
        return 2 * self.inner.denoise((y + 1) / 2, half, noise) - 1


@dataclass(frozen=True)
class _Exchanged:
    """A task's context in which one denoiser stands for whatever is asked for."""

    inner: Context
    denoiser: nn.Module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def build(self, kind: Kind, spec: Mapping[str, Any] | None = None) -> Any:
        """Build the plug-in, or return the foreign denoiser."""
        return self.denoiser if kind is Kind.DENOISER else self.inner.build(kind, spec)


@register(Kind.TASK, "foreign-denoise", source="protocol, Table 4; the network of whoever runs it")
def foreign_denoise(cell: Cell, context: Context) -> Outcome:
    """Score a foreign network at one level."""
    about = cell.spec["network"]
    dataset = context.build(Kind.DATASET)
    network = built(about, channels=dataset.channels, image_size=dataset.image_size)
    conventions = {name: about[name] for name in ("prediction", "schedule", "low")}
    denoiser = Foreign(network, **conventions).eval()
    named = dataclasses.replace(cell, spec={**cell.spec, "denoiser": {"name": about["name"]}})
    outcome = denoise(named, _Exchanged(context, denoiser))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    rows = [{**row, "parameters": parameters, "trained": "elsewhere"} for row in outcome.rows]
    return Outcome(rows, outcome.files)


def built(about: Mapping[str, Any], *, channels: int, image_size: int) -> nn.Module:
    """Return the network with its weights.

    Raises:
        BenchError: If its code is not what was looked at, or makes no network.
    """
    if about["form"] == "diffusers":
        network = _of_diffusers(_unchanged(about["sha256"]), channels)
    else:
        given = {"channels": channels, "image_size": image_size}
        factory = _factory(about)
        accepted = inspect.signature(factory).parameters
        network = factory(**{name: value for name, value in given.items() if name in accepted})
    if not isinstance(network, nn.Module):
        raise BenchError(f"'{about['entry']}' made a {type(network).__name__}, expected nn.Module")
    if about["checkpoint"]:
        load_weights(_unchanged(about["checkpoint"]), network, places=OURS)
    return network


def _factory(about: Mapping[str, Any]) -> Any:
    module_name, _, name = about["entry"].rpartition(":")
    if about["form"] == "module":
        module = importlib.import_module(module_name)
    else:
        path = _unchanged(about["sha256"])
        spec = importlib.util.spec_from_file_location(f"foreign_{about['sha256'][:16]}", path)
        if spec is None or spec.loader is None:
            raise BenchError(f"{path.name} cannot be imported; expected a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    if not callable(getattr(module, name, None)):
        raise BenchError(f"there is no factory '{name}' in {module_name or 'the file'}")
    return getattr(module, name)


def _of_diffusers(config: Path, channels: int) -> nn.Module:
    with contextlib.suppress(Missing):  # diffusers imports it where it is installed
        import_torchvision()
    from diffusers import UNet2DModel

    about = json.loads(config.read_bytes())
    found = about.get("in_channels"), about.get("out_channels")
    if found != (channels, channels):
        raise BenchError(f"the network is for {found[0]} channels, the data set has {channels}")
    network: nn.Module = UNet2DModel.from_config(about)
    return network


def _unchanged(sha256: str) -> Path:
    path = place_of(sha256)
    if not path.is_file() or assets.sha256(path) != sha256:
        raise BenchError(f"{path.name} is gone or has changed since it was looked at; run again")
    return path
