"""What a training keeps: its state, from which it goes on bit for bit, and the weights it leaves.

Both are safetensors files, of which nothing is run. A state that does not fit is not used, weights
that do not fit are refused; neither holds NaN or infinity.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.api import BenchError, Invalid
from bench.parts import read_tensors, write_tensors

ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam remembers of a parameter."""


@dataclass(frozen=True)
class TrainingState:
    """All that a training changes."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    trained: Mapping[str, Tensor]
    average: dict[str, Tensor]

    @classmethod
    def of(
        cls, module: nn.Module, *, learning_rate: float, betas: tuple[float, float]
    ) -> "TrainingState":
        """Return the state at the start.

        Raises:
            Invalid: If the module has nothing to train.
        """
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not trained:
            count = sum(1 for _ in module.parameters())
            what = f"none of {count} requires a gradient" if count else "there are none"
            raise Invalid(
                f"{type(module).__name__} has no parameters to train ({what}), expected some; a "
                "denoiser without a `loss` is not trained"
            )
        optimiser = torch.optim.Adam(trained.values(), lr=learning_rate, betas=betas)
        average = {name: value.detach().clone() for name, value in module.state_dict().items()}
        return cls(module, optimiser, trained, average)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the average towards the module; counters and other integers are copied."""
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """Have the module hold the average, for evaluation; afterwards it is what it was."""
        modes = {part: part.training for part in self.module.modules()}
        latest = {name: value.clone() for name, value in self.module.state_dict().items()}
        try:
            self.module.load_state_dict(self.average)
            yield self.module.eval()
        finally:
            self.module.load_state_dict(latest)
            for part, training in modes.items():
                part.training = training

    def tensors(self) -> dict[str, Tensor]:
        """Return the state, name by name."""
        tensors = {f"model/{name}": value for name, value in self.module.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for name, parameter in self.trained.items():
            for part, value in self.optimiser.state[parameter].items():
                tensors[f"adam/{part}/{name}"] = value
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> bool:
        """Take over what `tensors` returned; return False and change nothing if it does not fit.

        A parameter that has had no gradient yet has no memory in Adam.
        """
        like = {f"model/{name}": value for name, value in self.module.state_dict().items()}
        like |= {f"average/{name}": value for name, value in self.average.items()}
        remembered = [name for name in self.trained if f"adam/step/{name}" in tensors]
        for name in remembered:
            shapes = (torch.zeros(()), self.trained[name], self.trained[name])
            like |= {f"adam/{part}/{name}": v for part, v in zip(ADAM, shapes, strict=True)}
        steps = [tensors[f"adam/step/{name}"] for name in remembered]
        if _mismatch(tensors, like) or not_finite(tensors) or any(step < 1 for step in steps):
            return False
        self.module.load_state_dict(_below("model/", tensors))
        for name, value in _below("average/", tensors).items():
            self.average[name].copy_(value)
        for name in remembered:
            parameter = self.trained[name]
            # Adam counts on the CPU; its moments lie where their parameter does.
            kept = {part: tensors[f"adam/{part}/{name}"].clone() for part in ADAM}
            self.optimiser.state[parameter] = {
                part: value.to("cpu" if part == "step" else parameter.device)
                for part, value in kept.items()
            }
        return True

    def settle(self) -> None:
        """Leave the average in the module, ready for use.

        Raises:
            Invalid: If it holds NaN or infinity.
        """
        self.module.load_state_dict(self.average)
        if bad := not_finite(self.module.state_dict()):
            raise Invalid(f"the trained '{bad}' holds NaN or infinity; lower train.learning_rate")
        self.module.eval()


def not_finite(tensors: Mapping[str, Tensor]) -> str:
    """Return the first name of a tensor with a NaN or an infinity, or ""."""
    return next((k for k in sorted(tensors) if not torch.isfinite(tensors[k]).all()), "")


def _mismatch(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return how tensors differ from the wanted ones in name, shape or type; "" if they do not."""
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            return f"it lacks tensor '{name}'"
        if name not in wanted:
            return f"it has the unknown tensor '{name}'"
        got, expected = tensors[name], wanted[name]
        if got.shape != expected.shape:
            return f"'{name}' has shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
        if got.dtype != expected.dtype:
            return f"'{name}' is {got.dtype}, expected {expected.dtype}"
    return ""


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


# ------------------------------------------------------------------ weights


def save_weights(path: Path, module: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a module's weights as safetensors with a JSON description in the header.

    Raises:
        StorageError: If it cannot be written.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    write_tensors(path, tensors, {"about": json.dumps(about, sort_keys=True)})


def load_weights(path: Path, module: nn.Module, *, places: Sequence[str] = ()) -> None:
    """Load weights that `save_weights` wrote; nothing in the file is run.

    Args:
        path: Of the file.
        module: Gets them.
        places: Where else in the file's module this one may stand ("diffusion.backbone."): taken
            if all its tensors lie there.

    Raises:
        BenchError: If the file is not one, is of another network or holds NaN or infinity; the
            module is unchanged then.
    """
    try:
        tensors, _ = read_tensors(path)
    except ValueError as error:
        raise BenchError(f"{path} is not a safetensors file ({error}); train again") from None
    for place in places:
        if tensors and all(name.startswith(place) for name in tensors):
            tensors = _below(place, tensors)
    load_tensors(tensors, module, of=path)


def load_tensors(tensors: Mapping[str, Tensor], module: nn.Module, *, of: Path) -> None:
    """Load tensors that the file `of` held.

    Raises:
        BenchError: If they are of another network or hold NaN or infinity; the module is unchanged
            then.
    """
    if mismatch := _mismatch(tensors, module.state_dict()):
        raise BenchError(f"{of} is of another network: {mismatch}")
    if bad := not_finite(tensors):
        raise BenchError(f"{of} holds NaN or infinity in '{bad}'; train again")
    module.load_state_dict(tensors)
