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
from pathlib import Path

OURS = ("bench", "models", "baselines")


@functools.cache
def _spec_path(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


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
    path = _spec_path(module)
    text = _without_docstrings(_parsed(path)) if path else ""
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules of the same project that a module imports, anywhere in its text."""
    path = _spec_path(module)
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
        name for name in found if name.partition(".")[0] in roots and _spec_path(name) is not None
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
