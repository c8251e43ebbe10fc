"""What code decides a value: the sources that a plug-in reaches through its imports.

A cell's key holds the digest of its task's and plug-ins' sources, so that a changed line makes the
numbers that it may have changed be measured again. Comments, blank lines and docstrings do not
count.
"""

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Any, NamedTuple

from bench import assets

OURS = ("bench", "models", "baselines")
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of what is installed: its versions say what it is, and records name those."""


@functools.cache
def source_of(module: str) -> Path | None:
    """Return the source of a module, which is never imported, nor are the packages around it.

    A record names modules too, and it may be a stranger's: only its first name is asked of Python's
    finders, which run no code for a name without a dot; below that, folders are looked through.
    """
    top, *inner = module.split(".")
    if not all(name.isidentifier() for name in (top, *inner)):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not inner:
        return _source(Path(spec.origin)) if spec.origin else None
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    for name in inner[:-1]:
        places = _package(places, name)
    return _module(places, inner[-1])


def _package(places: list[Path], name: str) -> list[Path]:
    """Return where the modules of a package lie: in one folder, unless no `__init__.py` says so."""
    for place in places:
        if (place / name / "__init__.py").is_file():
            return [place / name]
        if _is_module(place, name):
            return []
    return [place / name for place in places if (place / name).is_dir()]


def _module(places: list[Path], name: str) -> Path | None:
    """Return the source of a module or package, which the first place that has either decides."""
    for place in places:
        path = place / name / "__init__.py"
        if path.is_file():
            return path
        if _is_module(place, name):
            return _source(place / f"{name}.py")
    return None


def _is_module(place: Path, name: str) -> bool:
    return any((place / f"{name}{end}").is_file() for end in all_suffixes())


def _source(path: Path) -> Path | None:
    return path if path.suffix == ".py" and path.is_file() else None


class Said(NamedTuple):
    """What counts of a source."""

    digest: str
    """Hash of its meaning."""
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    """What it imports, anywhere in it: leading dots, module, and the names that it takes of it."""


@functools.cache
def _said(path: Path) -> Said:
    """Return what counts of a source; of an empty one where it cannot be read, as by Python.

    Taking a whole project apart takes a second or two, before anything else happens: what a text
    says is remembered, by the text and by the Python that would take it apart.
    """
    try:
        text = path.read_bytes()
    except OSError:
        text = b""
    known = hashlib.sha256(text).hexdigest()
    question = {"what a source says": known, "python": sys.version_info[:3]}
    told = assets.remembered(question, lambda: _taken_apart(text), _is_told)
    return Said(told[0], tuple((dots, base, tuple(names)) for dots, base, names in told[1]))


def _is_told(kept: Any) -> bool:
    match kept:
        case [str(), list(imports)]:
            return all(_is_import(each) for each in imports)
    return False


def _is_import(kept: Any) -> bool:
    match kept:
        case [int(), str(), list(names)]:
            return all(isinstance(name, str) for name in names)
    return False


def _taken_apart(text: bytes) -> list[Any]:
    """Return the hash of a source's meaning, and its imports."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = ast.Module(body=[], type_ignores=[])
    imports: list[tuple[int, str, list[str]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.extend((0, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            imports.append((node.level, node.module or "", names))
    return [hashlib.sha256(_without_docstrings(tree).encode()).hexdigest(), imports]


def _without_docstrings(tree: ast.Module) -> str:
    """Return the tree as text, without positions and docstrings."""
    parts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                parts.append(ast.dump(first))
    text = ast.dump(tree)
    for docstring in parts:
        text = text.replace(docstring, "", 1)
    return text


def module_digest(module: str) -> str:
    """Return the sha256 of one module's meaning; of an empty text where it has no source."""
    path = source_of(module)
    return _said(path).digest if path else hashlib.sha256(b"").hexdigest()


def is_as_taken_down(module: str) -> bool:
    """Return whether a module's source still says what this process first found in it."""
    path = source_of(module)
    if path is None:
        return True
    read = _said.cache_info().misses
    known = _said(path)
    first = _said.cache_info().misses > read
    return first or known.digest == _said.__wrapped__(path).digest


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules that a module imports, anywhere in its text, and that may be edited.

    These are those of its own project and of any other that is not installed: a network in a
    laboratory's own folder is as much a plug-in's code as what wraps it.
    """
    path = source_of(module)
    return frozenset() if path is None else _edited(path, module)


def _edited(path: Path, module: str = "") -> frozenset[str]:
    """Return what a source imports that may be edited; without a name it is no module."""
    roots = {*OURS, module.partition(".")[0]}
    found: set[str] = set()
    for dots, named, names in _said(path).imports:
        base = _absolute(module, path, dots, named)
        found.update([base, *(f"{base}.{name}" for name in names)])
    return frozenset(name for name in found if _is_read(name, roots))


def _is_read(module: str, roots: set[str]) -> bool:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return False
    path = source_of(module)
    return path is not None and (top in roots or not is_installed(path))


def is_installed(path: Path) -> bool:
    """Return whether a source lies where installed distributions do."""
    return not INSTALLED.isdisjoint(path.parts)


def _absolute(module: str, path: Path, dots: int, named: str) -> str:
    if not dots:
        return named
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    base = package[: len(package) - dots + 1]
    return ".".join([*base, named] if named else base)


def reach(modules: Iterable[str]) -> list[str]:
    """Return the modules that these reach through imports of what may be edited, sorted."""
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo.extend(_imports(module))
    return sorted(seen)


def digest_of_imports(path: Path) -> str:
    """Return one sha256 for all that a file reaches through its imports, or nothing if it is none.

    Of a file that is run by its path. What lies beside it counts, too: many such files put their
    own folder on Python's path.
    """
    sys.path.append(str(path.parent))
    try:
        found = sorted(_edited(path))
        return digest(*found) if found else ""
    finally:
        sys.path.pop()


@functools.cache
def digest(*modules: str) -> str:
    """Return one sha256 for everything that these modules reach."""
    lines = [f"{module} {module_digest(module)}" for module in reach(modules)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
