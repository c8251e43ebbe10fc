"""What code decides a value: the sources that a plug-in reaches through its imports.

A cell's key holds the digest of its task's and plug-ins' sources, so that a changed line makes the
numbers that it may have changed be measured again. Comments, blank lines and docstrings do not
count.
"""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from importlib.machinery import all_suffixes
from pathlib import Path

OURS = ("bench", "models", "baselines")


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


@functools.cache
def _parsed(path: Path) -> ast.Module:
    """Return a source as a tree; an empty one where it cannot be read, as Python could not."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


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


@functools.cache
def module_digest(module: str) -> str:
    """Return the sha256 of one module's meaning; of an empty text where it has no source."""
    path = source_of(module)
    text = _without_docstrings(_parsed(path)) if path else ""
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules of the same project that a module imports, anywhere in its text."""
    path = source_of(module)
    if path is None:
        return frozenset()
    roots = {*OURS, module.partition(".")[0]}
    found: set[str] = set()
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, path, node)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return frozenset(
        name for name in found if name.partition(".")[0] in roots and source_of(name) is not None
    )


def _absolute(module: str, path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def reach(modules: Iterable[str]) -> list[str]:
    """Return the modules that these reach through imports within their projects, sorted."""
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo.extend(_imports(module))
    return sorted(seen)


@functools.cache
def digest(*modules: str) -> str:
    """Return one sha256 for everything that these modules reach."""
    lines = [f"{module} {module_digest(module)}" for module in reach(modules)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
