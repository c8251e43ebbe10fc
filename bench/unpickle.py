"""Reads the pickles in which others publish arrays, and runs nothing: no unpickler is involved.

A pickle is a program for a small stack machine, and the usual machine calls whatever function the
program names. This one knows numbers, texts, bytes, the plain containers and numpy arrays; the
three names that such arrays need stand for marks of our own and are never imported.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.inputs import printable

LARGEST_PROGRAM = 100_000
"""Operations; VGG16's weights take 1,100."""
DEEPEST = 16
"""Containers within containers."""
KINDS = "biuf"
"""Of numbers in arrays; there are no arrays of objects."""
RECONSTRUCT, ARRAY, DTYPE = "reconstruct", "ndarray", "dtype"
KNOWN = {
    "numpy.core.multiarray _reconstruct": RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": RECONSTRUCT,
    "numpy ndarray": ARRAY,
    "numpy dtype": DTYPE,
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
FRESH: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
PLAIN = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
STORE, LOAD = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
SILENT = {"PROTO", "FRAME", "STOP"}


class Refused(BenchError):
    """A pickle that asks for more than arrays."""


@dataclass(frozen=True, slots=True)
class _Name:
    """What a known name stands for; it cannot be called."""

    meaning: str


@dataclass(slots=True)
class _Type:
    """A number type in the making."""

    code: str
    order: str = "="

    def fill(self, state: Any) -> None:
        self.order = {"<": "<", ">": ">", "=": "=", "|": "|"}[state[1]]
        if any(part is not None for part in state[2:5]):
            raise Refused("it holds arrays of structures, expected plain numbers")

    def made(self) -> np.dtype:
        if self.code[:1] not in KINDS:
            raise Refused(f"it holds arrays of type {printable(self.code, 20)}, expected numbers")
        return np.dtype(self.code).newbyteorder(self.order)


@dataclass(slots=True)
class _Array:
    """An array in the making."""

    made: np.ndarray | None = None

    def fill(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(data, bytes) or not isinstance(kind, _Type):
            raise Refused("it holds an array without its bytes")
        flat = np.frombuffer(data, kind.made())
        self.made = flat.reshape(shape, order="F" if fortran else "C").copy()


@dataclass(slots=True)
class _Machine:
    """Stack, marks and memory."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memory: dict[int, Any] = field(default_factory=dict)

    def step(self, name: str, given: Any) -> None:
        """Carry out one operation."""
        if name in PLAIN:
            self.stack.append(given)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in FRESH:
            self.stack.append(FRESH[name]())
        elif name in TUPLES:
            self.stack.append(tuple(self._pop(TUPLES[name])))
        elif name in STORE:
            self.memory[given] = self.stack[-1]
        elif name in LOAD:
            self.stack.append(self.memory[given])
        elif name not in SILENT:
            self._other(name, given)

    def _other(self, name: str, given: Any) -> None:
        known = {
            "MARK": lambda: self.marks.append(len(self.stack)),
            "MEMOIZE": lambda: self.memory.update({len(self.memory): self.stack[-1]}),
            "TUPLE": lambda: self.stack.append(tuple(self._since_mark())),
            "SETITEM": lambda: self._put(self._pop(2)),
            "SETITEMS": lambda: self._put(self._since_mark()),
            "APPEND": lambda: self._extend(self._pop(1)),
            "APPENDS": lambda: self._extend(self._since_mark()),
            "GLOBAL": lambda: self._name(given),
            "STACK_GLOBAL": lambda: self._name(" ".join(self._pop(2))),
            "REDUCE": self._make,
            "BUILD": self._fill,
        }
        if name not in known:
            raise Refused(f"it holds the operation {name}, which arrays do not need")
        known[name]()

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("empty stack")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _put(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or not all(isinstance(k, str) for k in items[::2]):
            raise Refused("it fills something that is no table of named parts")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise Refused("it extends something that is no list")
        self.stack[-1].extend(items)

    def _name(self, name: str) -> None:
        if name not in KNOWN:
            raise Refused(f"it names {printable(name.replace(' ', '.'), 100)}, which is never run")
        self.stack.append(_Name(KNOWN[name]))

    def _make(self) -> None:
        what, given = self._pop(2)
        if what == _Name(RECONSTRUCT) and given[0] == _Name(ARRAY):
            self.stack.append(_Array())
        elif what == _Name(DTYPE) and isinstance(given[0], str):
            self.stack.append(_Type(given[0]))
        else:
            raise Refused("it calls something (REDUCE) that makes no array")

    def _fill(self) -> None:
        (state,) = self._pop(1)
        if not isinstance(self.stack[-1], _Array | _Type):
            raise Refused("it sets the state (BUILD) of something that is no array")
        self.stack[-1].fill(state)


def arrays(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a pickled table of tables, by path: "Conv_0/kernel".

    Raises:
        Refused: If the pickle asks for anything else, or is damaged; the message names what.
    """
    machine, last = _Machine(), ""
    try:
        for count, (operation, given, _) in enumerate(pickletools.genops(data)):
            if count >= LARGEST_PROGRAM:
                raise Refused(f"it holds more than {LARGEST_PROGRAM} operations")
            last = operation.name
            machine.step(last, given)
        (whole,) = machine.stack
    except Refused:
        raise
    except Exception as error:  # a damaged program: anything can come out
        reason = printable(error, 100)
        raise Refused(f"it is damaged at the operation {last} ({reason})") from error
    found: dict[str, np.ndarray] = {}
    _collect(whole, (), found, set())
    return found


def _collect(
    part: Any, path: tuple[str, ...], found: dict[str, np.ndarray], seen: set[int]
) -> None:
    """Put the arrays of a part into `found`; a table is visited once, or it would never end."""
    fault = ""
    if isinstance(part, _Array) and part.made is not None:
        found["/".join(path)] = part.made
    elif not isinstance(part, Mapping):
        fault = f"is a {type(part).__name__.strip('_').lower()}, expected an array"
    elif id(part) in seen or len(path) >= DEEPEST:
        fault = "is a table that holds itself, is held twice or lies too deep"
    else:
        seen.add(id(part))
        for name, inner in part.items():
            _collect(inner, (*path, name), found, seen)
    if fault:
        raise Refused(f"its part '{printable('/'.join(path), 100)}' {fault}")
