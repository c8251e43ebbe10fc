"""A network as named parts: which part a module, and with it a parameter or a call, belongs to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

FUNCTIONAL = "functional"
"""The part that stands for what runs outside all modules, such as resizing and concatenation."""

CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
"""Opened once, so that their elements are parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a network."""

    name: str
    """As in `named_modules`: "stem", "blocks.3"."""
    group: str
    """What it is an element of, else its name: "blocks"."""


REST = Part(FUNCTIONAL, FUNCTIONAL)


def parts(module: nn.Module) -> dict[int, Part]:
    """Return the part of every module of a network by the module's id.

    A part is a child of the network, or an element of a child that is a list, a dictionary or a
    sequence. A module in several parts belongs to the first. The network itself and the lists are
    `REST`, unless the network has no children: then it is the only part.
    """
    if not any(True for _ in module.children()):
        name = type(module).__name__
        return {id(module): Part(name, name)}
    found = {id(module): REST}
    for name, child in module.named_children():
        elements = [(Part(name, name), child)]
        if isinstance(child, CONTAINERS):
            found[id(child)] = REST
            elements = [(Part(f"{name}.{n}", name), each) for n, each in child.named_children()]
        for part, element in elements:
            for inner in element.modules():
                found.setdefault(id(inner), part)
    return found


def part_of_parameters(module: nn.Module, owners: dict[int, Part]) -> Iterator[tuple[Part, Tensor]]:
    """Yield every parameter once, with the part that holds it first."""
    seen: set[int] = set()
    for inner in module.modules():
        for parameter in inner.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield owners[id(inner)], parameter


@contextmanager
def following(module: nn.Module, stack: list[nn.Module]) -> Iterator[None]:
    """Keep, while the body runs, the modules whose calls are under way on a stack."""

    def enter(inner: nn.Module, args: object) -> None:
        stack.append(inner)

    def leave(inner: nn.Module, args: object, output: object) -> None:
        stack.pop()

    hooks = []
    for inner in module.modules():
        hooks.append(inner.register_forward_pre_hook(enter))
        hooks.append(inner.register_forward_hook(leave))
    try:
        yield
    finally:
        stack.clear()
        for hook in hooks:
            hook.remove()
