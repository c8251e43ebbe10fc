"""What benchmarks a folder holds, by asv's conventions. Standard library alone: children load it.

Of a module's functions and of its classes' methods: `time_*` is timed, `timeraw_*` returns code
that is timed in a fresh process, `peakmem_*` has its memory measured, `track_*` returns a number.
`params` of a class (a list, or a list of lists) make one benchmark of each combination, handed to
`setup`, the method and `teardown`. NotImplementedError from `setup` means: not here.

Source: the conventions of https://asv.readthedocs.io/en/stable/writing_benchmarks.html
Differs: `setup_cache`, setups of whole modules and attributes such as `number` are not known.
"""

import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

PREFIXES = {"timeraw_": "timeraw", "time_": "time", "peakmem_": "peakmem", "track_": "track"}
UNITS = {"timeraw": "s", "time": "s", "peakmem": "MiB", "track": ""}
LONGEST = 300


@dataclass(frozen=True)
class Benchmark:
    """One function or method with one combination of parameters."""

    name: str
    kind: str
    unit: str
    make: Callable[[], Any]
    """Returns what `setup`, `teardown` and the method are looked up on."""
    method: str
    params: tuple[Any, ...]

    def ready(self) -> "Ready":
        """Set it up.

        Raises:
            NotImplementedError: If it says that it cannot be measured here.
        """
        owner = self.make()
        _call(owner, "setup", self.params)
        return Ready(owner, self)


@dataclass(frozen=True)
class Ready:
    """A benchmark that was set up."""

    owner: Any
    benchmark: Benchmark

    def call(self) -> Any:
        """Run what is measured, once."""
        return getattr(self.owner, self.benchmark.method)(*self.benchmark.params)

    def end(self) -> None:
        """Tear it down."""
        _call(self.owner, "teardown", self.benchmark.params)


def _call(owner: Any, name: str, params: tuple[Any, ...]) -> None:
    if hasattr(owner, name):
        getattr(owner, name)(*params)


def load(folder: Path) -> tuple[list[Benchmark], dict[str, str]]:
    """Return the benchmarks of a folder, and why modules of it cannot be imported, by name.

    It becomes a package of its own name, wherever it lies; `sys.path` is not asked.
    """
    package = ModuleType(folder.name)
    package.__path__ = [str(folder)]
    sys.modules[folder.name] = package
    found: list[Benchmark] = []
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules([str(folder)]):
        try:
            module = importlib.import_module(f"{folder.name}.{info.name}")
            found.extend(benchmarks(module, info.name))
        except (Exception, SystemExit) as error:
            broken[info.name] = told(error)
    return found, broken


def benchmarks(module: ModuleType, name: str) -> Iterator[Benchmark]:
    """Yield the benchmarks that a module defines."""
    for key, thing in sorted(vars(module).items()):
        if key.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            for method in sorted(dir(thing)):
                yield from _of(thing, method, getattr(thing, method), f"{name}.{key}.{method}")
        elif inspect.isfunction(thing):
            yield from _of(lambda: module, key, thing, f"{name}.{key}")


def _of(make: Callable[[], Any], method: str, function: Any, name: str) -> Iterator[Benchmark]:
    kind = next((kind for start, kind in PREFIXES.items() if method.startswith(start)), "")
    if not kind or not callable(function):
        return
    unit = getattr(function, "unit", UNITS[kind])
    given = list(getattr(make, "params", ()))
    lists = given if given and isinstance(given[0], list | tuple) else [given] if given else []
    for params in itertools.product(*lists):
        told_params = ", ".join(map(str, params))
        full = f"{name}({told_params})" if params else name
        yield Benchmark(full, kind, unit, make, method, params)


def told(error: BaseException) -> str:
    """Return a fault in one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:LONGEST]
