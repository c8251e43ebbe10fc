"""What a budget asks for, tried without data or memory: what cannot be is said at once."""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

from bench.api import BenchError, Entry, Kind, Missing
from bench.assets import remembered
from bench.blamed import FAULTS, told
from bench.budget import Budget
from bench.cell import UNIFORM as UNIFORM
from bench.code import digest, source_of
from bench.named_options import named, options_of
from bench.registry import DIFFUSION, build, find, sampler, sampler_options
from bench.strangers import quiet

SPACING = "spacing"
"""The option after a sampler's name that chooses its steps and is not handed to it."""


def spaced(text: str) -> tuple[str, str]:
    """Return a sampler's name with its options in one form, and how its steps are spaced.

    Raises:
        BenchError: If what follows the name are no options.
    """
    name, options = options_of(text)
    spacing = str(options.pop(SPACING, UNIFORM))
    return named(name, sampler_options(named(name, options))), spacing


def refuse_unknown_samplers(budget: Budget) -> None:
    """Begin to sample without a network, so that a wrong word or number is named at once.

    Raises:
        BenchError: If a sampler, an option, or a spacing is not known, there are not so many
            levels as steps, or a sampler does not begin with the state that it is given.
    """
    import torch

    generation, samplers = budget.generation, budget.samplers
    asked = [(generation.sampler, generation.steps, None)]
    asked += [(name, samplers.steps, None) for name in samplers.names]
    if samplers.generators:
        asked.append((samplers.early_sampler, samplers.steps, samplers.early_stop))
    diffusion = find(Kind.DENOISER, DIFFUSION.rstrip(":")).build
    denoiser = diffusion(torch.nn.Identity(), recipe=budget.recipe)
    x = torch.zeros(1, 1, 1, 1)
    for text, counts, start in asked:
        name, spacing = spaced(text)
        how = {"sampler": sampler(name), "spacing": spacing, "start": start}
        for steps in counts:
            try:
                next(denoiser.generate(x, torch.zeros_like, steps=steps, **how))
            except Missing:  # what is estimated is not there yet
                continue
            except (*FAULTS, StopIteration) as error:
                raise BenchError(
                    f"sampler '{name}' cannot begin with {steps} steps: {told(error)}; expected a "
                    "generator that first yields the state that it is given, before any call of "
                    "the network"
                ) from error


def refuse_impossible(backbone: str, budget: Budget, channels: int) -> None:
    """Call a backbone once without memory, so that a size it cannot take is named at once.

    Only what a backbone itself refuses counts. Other faults may be those of calling it without
    memory, as when it looks at its numbers: its cells will show them. A size that was taken is
    remembered: such a call has PyTorch import its compiler, for longer than a plan takes.

    Raises:
        BenchError: If it refuses the size.
    """
    entry = find(Kind.BACKBONE, backbone)
    _taken(entry, backbone, channels, budget.image_size, budget.scale)


@lru_cache
def _taken(entry: Entry, backbone: str, channels: int, size: int, scale: float) -> bool:
    options = {"channels": channels, "image_size": size, "scale": scale}
    module = entry.build.__module__
    if source_of(module) is None:  # of a session: its text is nowhere
        return _call(backbone, options)
    question = {
        "takes": options,
        "backbone": backbone,
        "code": digest(module),
        "torch": version("torch"),
    }
    return remembered(question, lambda: _call(backbone, options), lambda kept: kept is True)


def _call(backbone: str, options: dict[str, Any]) -> bool:
    """Return True, unless the backbone refuses what it is built with or called on."""
    import torch

    channels, size = options["channels"], options["image_size"]
    try:
        with quiet(), torch.device("meta"), torch.inference_mode():
            network = build(Kind.BACKBONE, backbone, **options)
            network.eval()(torch.empty(1, channels, size, size), torch.empty(1))
    except BenchError:
        raise
    except (Exception, SystemExit):  # a cell's own affair, which its record will tell
        pass
    return True
