"""Whether this process computes with the code that a run was planned with.

A run's keys hold the digests of what lay on disk when it was planned; workers import it later, and
somebody may have edited it meanwhile. What a process has imported stays what it was, whatever
becomes of the file: so what a module says is taken down when it is imported, once per process.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench import code
from bench.errors import BenchError

CHANGED = "the code changed since the run was planned; run again"

_seen: set[str] = set()
_mixed: set[str] = set()
"""Modules that were edited between being taken down for another's sake and being imported."""


def take_down() -> None:
    """Take down what the modules say that were imported since the last time."""
    for module in set(sys.modules) - _seen:  # a copy: other threads import, too
        _seen.add(module)
        if _may_be_edited(module) and not code.is_as_taken_down(module):
            _mixed.add(module)


def _may_be_edited(module: str) -> bool:
    """Return whether a module's source counts in digests; a quick look, for thousands of them."""
    try:
        origin = getattr(getattr(sys.modules.get(module), "__spec__", None), "origin", None)
    except Exception:  # whatever a plug-in puts there in the place of a module
        return False
    if not isinstance(module, str) or not isinstance(origin, str) or not origin.endswith(".py"):
        return False
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return False
    return top in code.OURS or not code.is_installed(Path(origin))


def refuse_changed(modules: Sequence[str], planned: str) -> None:
    """Refuse to compute, or what was computed, with other code than was planned.

    Args:
        modules: Those that decide a cell's value.
        planned: What `bench.code.digest` said of them.

    Raises:
        BenchError: If they, or what they import, say something else.
    """
    take_down()
    if code.digest(*modules) != planned or not _mixed.isdisjoint(code.reach(modules)):
        raise BenchError(CHANGED)
