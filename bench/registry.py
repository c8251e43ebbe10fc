"""Finds plug-ins, looks them up by name and builds them.

Plug-ins live in the packages below, which lie beside this file's package, and in installed
distributions that declare the entry point group `bench.plugins` (each entry names a module). A
fault in what anybody may add to is remembered (`broken`); one in the harness itself is raised.
"""

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import installation, strangers
from bench.api import ENTRIES, BenchError, Entry, Kind, Missing, options_of
from bench.blamed import FAULTS, told
from bench.built import as_promised, refuse_unlike
from bench.errors import unknown
from bench.named_options import as_declared
from bench.strangers import Broken

PACKAGES = {
    Kind.BACKBONE: ("models",),
    Kind.SAMPLER: ("models.samplers",),
    Kind.GENERATOR: ("baselines",),
    Kind.DISTILLATION: ("models",),
    Kind.SOLVER: ("models",),
    Kind.ENGINE: ("bench.engines",),
    Kind.SCHEDULE: ("models",),
    Kind.RECIPE: ("models",),
    Kind.DENOISER: ("models", "baselines"),
    Kind.DATASET: ("bench.data",),
    Kind.TESTSET: ("bench.testsets",),
    Kind.FEATURES: ("bench.metrics.features",),
    Kind.CHECK: ("models.theory",),
    Kind.EXPERIMENT: ("bench.experiments",),
    Kind.TASK: ("bench.tasks",),
}
"""Where each kind lives; only what is asked for is imported, so that a plan needs no torch."""

DIFFUSION = "diffusion:"
"""`diffusion:<backbone>` is a denoiser built from a backbone."""

ESTIMATED = "estimated"
"""The argument by which a sampler gets what its function `estimate` returned; not an option."""

PLANNED = (Kind.DATASET, Kind.SCHEDULE, Kind.RECIPE)
"""Built while a run is planned, where no worker answers for their faults."""

HOME = Path(__file__).resolve().parent.parent
OPEN = ("models", "baselines")
"""Packages that anybody may put a file into: one that cannot be imported leaves the others."""
_faulty: dict[str, Broken] = {}


def own_package(name: str) -> ModuleType:
    """Import a package of ours and refuse a stranger of the same name.

    Raises:
        BenchError: If `name` was found outside the folder that holds `bench`.
    """
    module = importlib.import_module(name)
    found = Path(module.__file__ or "").resolve()
    if not found.is_relative_to(HOME):
        raise BenchError(
            f"the package '{name}' was found at {found.parent}, expected it below {HOME}; "
            "a folder of that name shadows ours: run from another directory"
        )
    return module


@functools.cache
def _discover_package(name: str) -> None:
    with strangers.set_aside():
        package = own_package(name)
        for info in pkgutil.iter_modules(package.__path__, prefix=f"{name}."):
            if not info.ispkg or name in OPEN:  # a plug-in may be a folder of its own
                _import(info.name)


def _import(module: str) -> None:
    """Import a module of ours; one in an open package that cannot be is kept for `broken`."""
    try:
        if not module.rpartition(".")[2].isidentifier():  # its code would be in no cell's key
            raise BenchError("its file's name is none of Python's; use letters, digits and _")
        with strangers.quiet():
            importlib.import_module(module)
    except BaseException as error:  # SystemExit and the like included: anybody's file
        if isinstance(error, KeyboardInterrupt) or not module.startswith(OPEN):
            raise
        strangers.take_back(module)
        _faulty[module] = Broken(module, "", strangers.reason_of(error))


@functools.cache
def _discover_entry_points() -> None:
    strangers.import_all()


def discover(*kinds: Kind) -> None:
    """Import every module that may register a plug-in of these kinds (all kinds by default)."""
    for kind in kinds or tuple(Kind):
        for package in PACKAGES[kind]:
            _discover_package(package)
    _discover_entry_points()


@functools.cache
def _is_written(kind: Kind, name: str) -> bool:
    """Return whether a name is written in our packages that hold a kind.

    Looking at the text is quick; importing it may need torch, which a stranger's plug-in may not.
    """
    word = f'"{name}"'
    folders = [HOME.joinpath(*package.split(".")) for package in PACKAGES[kind]]
    return any(word in path.read_text("utf-8") for f in folders for path in f.glob("*.py"))


def broken() -> list[Broken]:
    """Return the plug-in modules, of ours and of other distributions, that cannot be used."""
    _discover_entry_points()
    return [*_faulty.values(), *strangers.broken()]


def entries(kind: Kind | str) -> list[Entry]:
    """Return the plug-ins of a kind, sorted by name."""
    kind = as_kind(kind)
    discover(kind)
    return sorted((e for (k, _), e in ENTRIES.items() if k == kind), key=lambda e: e.name)


def names(kind: Kind | str) -> list[str]:
    """Return the names that a person can type for a kind, sorted.

    A denoiser can be made of every backbone, so those names are `diffusion:<backbone>`.
    """
    kind = as_kind(kind)
    known = [entry.name for entry in entries(kind)]
    if kind is Kind.DENOISER:
        known.remove(DIFFUSION.rstrip(":"))
        known += [f"{DIFFUSION}{backbone}" for backbone in names(Kind.BACKBONE)]
    return known


def catalogue(kind: str | None = None) -> list[dict[str, Any]]:
    """Return what a person may select, of one kind or of all, as plain values."""
    kinds = [as_kind(kind)] if kind else [k for k in Kind if k is not Kind.TASK]
    return [
        {
            "kind": entry.kind.value,
            "name": entry.name,
            "source": entry.source,
            "lacks": sorted(entry.lacks),
            "missing": missing_needs(entry),
        }
        for each in kinds
        for entry in entries(each)
    ]


def as_kind(text: Kind | str) -> Kind:
    """Return the kind of that name.

    Raises:
        BenchError: If there is none.
    """
    try:
        return Kind(text)
    except ValueError:
        raise unknown("kind", str(text), [k.value for k in Kind]) from None


def _unknown_plugin(kind: Kind, name: str) -> BenchError:
    """Return the error for a plug-in that is not known, which a broken module may have held.

    One whose name is like it comes first, for there lies the cause.
    """
    error = unknown(kind.value, name, names(kind))
    causes, notes = "", ""
    for one in broken():
        if difflib.get_close_matches(name, [one.module.rpartition(".")[2].replace("_", "-")]):
            causes += f"{one}; "
        else:
            notes += f"; note: {one}"
    return BenchError(f"{causes}{error}{notes}")


def find(kind: Kind | str, name: str) -> Entry:
    """Return the entry of a plug-in; `diffusion:<backbone>` and `folder:<path>` included.

    Options after the name (`ddim+eta=0.5`) are not looked at.

    Raises:
        BenchError: If there is no such plug-in.
    """
    kind = as_kind(kind)
    name, _ = options_of(name)
    if (kind, name) not in ENTRIES and not _is_written(kind, name):
        _discover_entry_points()
    if (kind, name) not in ENTRIES or (
        strangers.owns((kind, name)) and _is_written(kind, name)  # then it may be ours
    ):
        discover(kind)
    if kind is Kind.DENOISER and name.startswith(DIFFUSION):
        find(Kind.BACKBONE, name.removeprefix(DIFFUSION))
        return ENTRIES[kind, "diffusion"]
    if kind is Kind.DATASET and name.startswith("folder:"):
        return ENTRIES[kind, "folder"]
    if (kind, name) not in ENTRIES:
        raise _unknown_plugin(kind, name)
    return ENTRIES[kind, name]


def sampler(name: str) -> Callable[..., Any]:
    """Return a sampler, which is used and not built, with the options after its name.

    Raises:
        BenchError: If there is no such sampler, or an option is not one of its own.
    """
    return functools.partial(find(Kind.SAMPLER, name).build, **sampler_options(name))


def sampler_options(text: str) -> dict[str, Any]:
    """Return the options after a sampler's name, in the types that it declares, but no defaults.

    Raises:
        BenchError: If there is no such sampler, or an option or the kind of its value is unknown.
    """
    parameters = inspect.signature(find(Kind.SAMPLER, text).build).parameters
    name, options = options_of(text)
    known = [n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY and n != ESTIMATED]
    typed = {}
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of sampler '{name}'", option, known)
        typed[option] = as_declared(value, parameters[option].annotation)
        if typed[option] is None:
            raise BenchError(f"sampler '{name}': {option}={value} is none of its values")
    return {key: value for key, value in typed.items() if value != parameters[key].default}


def missing_needs(entry: Entry) -> list[str]:
    """Return the distributions that a plug-in needs and this environment lacks."""
    return [need for need in entry.needs if not installation.is_installed(need)]


def build(kind: Kind | str, name: str, /, **parameters: Any) -> Any:
    """Build a plug-in by name, for example `build("backbone", "unet", channels=3, image_size=64)`.

    Of `diffusion:<backbone>`, the parameters that the denoiser does not know are the backbone's.
    Options after the name (`authors+weighting=uniform`) are parameters, too.

    Raises:
        BenchError: If the name or a parameter is unknown, or what is built is not of its kind.
        Missing: If a distribution that it needs is not installed.
    """
    entry = find(kind, name)
    lacking = missing_needs(entry)
    if lacking:
        raise Missing(
            f"{entry.kind} '{name}' is unavailable: needs {', '.join(lacking)}; "
            f"install with: pip install {' '.join(lacking)}"
        )
    takes = inspect.signature(entry.build).parameters
    said = options_of(name)[1]
    if both := sorted(said.keys() & parameters.keys()):
        raise BenchError(f"{entry.kind} '{name}': '{both[0]}' is set by the run; leave it out here")
    parameters |= said
    if entry.kind is Kind.DENOISER and name.startswith(DIFFUSION):
        inner = {key: parameters.pop(key) for key in list(parameters) if key not in takes}
        backbone = build(Kind.BACKBONE, name.removeprefix(DIFFUSION), **inner)
        parameters = {**parameters, "backbone": backbone}
    elif entry.kind is Kind.DATASET and (path := name.removeprefix("folder:")) not in ("", name):
        parameters = {**parameters, "path": path}
    refuse_unlike(entry, name, takes, parameters)
    try:
        built = entry.build(**parameters)
    except FAULTS as error:
        if entry.kind not in PLANNED:
            raise
        raise BenchError(f"{entry.kind} '{name}' cannot be built: {told(error)}") from error
    return as_promised(entry, name, built, parameters)
