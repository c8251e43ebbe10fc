"""The blocks that a network repeats, found without knowing it, and what they are really given.

A network that solves ODEs says so by a method `fields()` (as `models.continuous` has): it yields
the right-hand sides. Of any other one the blocks are the modules of a type of its own that it
repeats; without such a type the whole network is its only block.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

LIBRARY = "torch."
"""Modules of these packages are layers, and no blocks."""
SHARE = 0.5
"""Of a network's parameters, that its blocks hold together at least."""


@dataclass(frozen=True)
class Block:
    """A part of a network that occurs again and again."""

    name: str
    """As in `named_modules`; empty for the network itself."""
    module: nn.Module
    field: nn.Module | None = None
    """What it solves an ODE of, where it does."""

    @property
    def type(self) -> str:
        """The name of its class."""
        return type(self.module).__name__


@dataclass(frozen=True)
class Call:
    """One call of a module: a map of the state that it got, all else held as it was."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    at: int
    """Which of `args` is the state."""

    @property
    def state(self) -> Tensor:
        """What it got, [B,...]."""
        return self.args[self.at]

    def __call__(self, state: Tensor) -> Tensor:
        """Return what the module makes of another state."""
        args = (*self.args[: self.at], state, *self.args[self.at + 1 :])
        return first_tensor(self.module(*args, **self.kwargs))


@dataclass
class Seen:
    """What a block was given while its network ran once."""

    block: Block
    call: Call | None = None
    """Its first call; None if it had none."""
    field_calls: list[Call] = field(default_factory=list)
    """Of its field: the stages of the solver."""


def blocks(network: nn.Module) -> list[Block]:
    """Return a network's blocks.

    The modules that hold a field, where it has any; else the type with most instances among its
    own types that occur more than once and hold half of the parameters; else the network.
    """
    fields = getattr(network, "fields", None)
    if callable(fields):
        held = [one[0] if isinstance(one, tuple) else one for one in fields()]
        found = [block for one in held if (block := _holder(network, one)) is not None]
        if found and len(found) == len(held):
            return found
    return _repeated(network) or [Block("", network)]


def _holder(network: nn.Module, held: Any) -> Block | None:
    """Return the module that a field is a child of."""
    for name, module in network.named_modules():
        if any(child is held for child in module.children()):
            # A list holds a field and solves nothing.
            solves = type(module).forward is not nn.Module.forward and module is not network
            return Block(name, module, held) if solves else None
    return None


def _repeated(network: nn.Module) -> list[Block]:
    of_type: dict[type, list[Block]] = defaultdict(list)
    for name, module in network.named_modules():
        if module is not network and not type(module).__module__.startswith(LIBRARY):
            of_type[type(module)].append(Block(name, module))
    whole = _parameters([network])
    large = [
        found
        for found in of_type.values()
        if len(found) > 1 and _parameters(one.module for one in found) >= SHARE * whole > 0
    ]
    return max(large, key=len, default=[])


def _parameters(modules: Any) -> int:
    """Return how many parameters some modules have together, each counted once."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def watched(found: list[Block], run: Callable[[], object]) -> list[Seen]:
    """Run a network once; return what its blocks were given, in the order of their first calls."""
    seen = {id(block.module): Seen(block) for block in found}
    order: list[Seen] = []
    inside: list[Seen] = []

    def enter(module: nn.Module, args: tuple, kwargs: dict) -> None:
        one = seen[id(module)]
        inside.append(one)
        if one.call is None:
            one.call = _call(module, args, kwargs)
            order.append(one)

    def leave(module: nn.Module, args: tuple, output: object) -> None:
        inside.pop()

    def evaluated(module: nn.Module, args: tuple, kwargs: dict) -> None:
        if inside and (call := _call(module, args, kwargs)) is not None:
            inside[-1].field_calls.append(call)

    with _hooks(found, enter, leave, evaluated):
        run()
    return [one for one in order if one.call is not None]


@contextmanager
def _hooks(found: list[Block], enter: Any, leave: Any, evaluated: Any) -> Iterator[None]:
    hooks = []
    for block in found:
        hooks.append(block.module.register_forward_pre_hook(enter, with_kwargs=True))
        hooks.append(block.module.register_forward_hook(leave))
        if block.field is not None:
            hooks.append(block.field.register_forward_pre_hook(evaluated, with_kwargs=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _call(module: nn.Module, args: tuple, kwargs: dict) -> Call | None:
    """Return a call with a copy of its state: the tensor with most dimensions; None without one."""
    sizes = [arg.dim() if _is_state(arg) else 0 for arg in args]
    if max(sizes, default=0) < 2:
        return None
    at = sizes.index(max(sizes))
    copied = tuple(arg.detach().clone() if isinstance(arg, Tensor) else arg for arg in args)
    return Call(module, copied, dict(kwargs), at)


def _is_state(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def first_tensor(output: Any) -> Any:
    """Return the tensor of what a module returned: itself, its `y`, or the first of several."""
    if isinstance(output, Tensor):
        return output
    if isinstance(getattr(output, "y", None), Tensor):
        return output.y
    if isinstance(output, tuple | list):
        return next((one for one in output if isinstance(one, Tensor)), None)
    return None
