"""What a plug-in is built with, and what its builder must return."""

import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from bench.api import BenchError, Entry, Kind
from bench.errors import unknown
from bench.promised import Promised

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
SIZE = ("channels", "image_size", "scale")
"""What the harness says when it builds one of these; no options."""
SIZED = (Kind.BACKBONE, Kind.DENOISER, Kind.GENERATOR)
FIT = ("clean", "levels", "trainer", "seed")
CALLS: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    Kind.BACKBONE: {"forward": ("x_t", "step"), "parameters": ()},
    Kind.DENOISER: {"fit": FIT, "denoise": ("y", "level", "noise")},
    Kind.GENERATOR: {"fit": FIT, "draw": ("noise", "count")},
    Kind.ENGINE: {"prepare": ("network", "x_t", "step")},
    Kind.DATASET: {"images": ("split",), "manifest": ()},
}
"""The methods that are called on what was built, and with what."""
PARTS: Mapping[Kind, tuple[str, ...]] = {
    Kind.DATASET: ("channels", "image_size", "licence", "paper_name", "same_data", "mirrors"),
    Kind.RECIPE: ("prediction", "schedule", "weighting", "sampler", "levels"),
}
"""What else is read from it."""


def refuse_unlike(
    entry: Entry, name: str, takes: Mapping[str, inspect.Parameter], parameters: Mapping[str, Any]
) -> None:
    """Refuse parameters that a plug-in does not take, and the lack of those that it needs.

    Raises:
        BenchError: If there are any.
    """
    for parameter in parameters:
        if parameter not in takes and entry.kind in SIZED and parameter in SIZE:
            raise BenchError(
                f"{entry.kind} '{name}' takes {', '.join(takes) or 'nothing'}; expected "
                f"{', '.join(SIZE)}: every {entry.kind} is built with them"
            )
        if parameter not in takes:
            raise unknown(f"parameter of {entry.kind} '{name}'", parameter, list(takes))
    needed = [p for p in takes.values() if p.default is p.empty and p.kind in NAMED]
    lacking = [p.name for p in needed if p.name not in parameters]
    if lacking and (entry.kind, entry.name) == (Kind.DATASET, "folder"):
        raise BenchError("data set 'folder' needs its place: folder:/path/to/pictures")
    if lacking:
        raise BenchError(f"{entry.kind} '{name}' needs {', '.join(lacking)}; found none")


def as_promised(entry: Entry, name: str, built: Any, parameters: Mapping[str, Any]) -> Any:
    """Return what was built, unchanged but for data sets: those look at their images.

    Raises:
        BenchError: If a part that its kind is asked for is not there, a method takes other
            arguments, layers are where torch does not see them, or images are of another size than
            the parameters ask for.
    """
    for part in PARTS.get(entry.kind, ()):
        if not hasattr(built, part):
            raise BenchError(
                f"{entry.kind} '{name}': its builder returned {type(built).__name__}, which has "
                f"no '{part}'; expected {', '.join(PARTS[entry.kind])}"
            )
    for method, arguments in CALLS.get(entry.kind, {}).items():
        call = getattr(built, method, None)
        article = "an" if entry.kind is Kind.ENGINE else "a"
        expected = f"expected {article} {entry.kind} with {method}({', '.join(arguments)})"
        if not callable(call):
            raise BenchError(
                f"{entry.kind} '{name}': its builder returned {type(built).__name__}, which has "
                f"no method '{method}'; {expected}"
            )
        try:
            signature = inspect.signature(call)
            signature.bind(*arguments)
        except ValueError:  # compiled code says nothing of itself
            continue
        except TypeError:
            raise BenchError(f"{entry.kind} '{name}' has {method}{signature}; {expected}") from None
    for place in _unseen(built):
        raise BenchError(
            f"{entry.kind} '{name}' keeps layers in {place}, where torch neither counts nor trains "
            "them; expected nn.ModuleList, nn.ModuleDict or nn.ParameterList"
        )
    if entry.kind is not Kind.DATASET:
        return built
    if built.image_size != (side := parameters.get("image_size", built.image_size)):
        raise BenchError(
            f"dataset '{name}' was asked for images of {side}x{side} and has an image_size of "
            f"{built.image_size}; expected the one that it is asked for"
        )
    return Promised(name, built)


def _unseen(built: Any) -> Iterator[str]:
    """Yield where a network has parameters that learn in a Python list, tuple or dict."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(built, torch.nn.Module):
        return
    seen = {id(parameter) for parameter in built.parameters()}
    for module in built.modules():
        for name, value in vars(module).items():
            if not isinstance(value, dict | list | tuple):
                continue
            for one in value.values() if isinstance(value, dict) else value:
                inside = one.parameters() if isinstance(one, torch.nn.Module) else [one]
                if any(_learns(torch, part) and id(part) not in seen for part in inside):
                    yield f"the {type(value).__name__} {type(module).__name__}.{name}"


def _learns(torch: Any, part: object) -> bool:
    return isinstance(part, torch.nn.Parameter) and part.requires_grad
