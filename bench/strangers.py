"""Plug-ins of other distributions: imported so that a broken one stops nobody but itself.

A module counts whole or not at all: where it fails half-way, registers something that cannot be
used, or claims a name that is taken, everything that it registered is taken back and the reason is
remembered.
"""

import contextlib
import dataclasses
import importlib
import importlib.metadata
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.api import ENTRIES, BenchError, Entry, Kind, Property
from bench.code import OURS
from bench.installation import unmet

GROUP = "bench.plugins"
"""The entry point group; each entry names a module."""
Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Broken:
    """A plug-in module that cannot be used."""

    module: str
    distribution: str
    """Nothing for one of our own packages, which anybody may put a file into."""
    reason: str

    def __str__(self) -> str:
        """Return it in one line."""
        owner = f" of '{self.distribution}'" if self.distribution else ""
        return f"the plug-in module '{self.module}'{owner} could not be imported: {self.reason}"

    @property
    def remedy(self) -> str:
        """What to do."""
        if self.distribution:
            return f"mend it, or remove it: pip uninstall {self.distribution}"
        return f"mend {self.module.replace('.', '/')}.py, or take it away"


_broken: list[Broken] = []
_owners: dict[Key, tuple[Entry, str, str]] = {}
"""What strangers registered: the entry, its module and its distribution."""


class _Unusable(Exception):
    """A module was imported, but what it registered cannot be used."""


def broken() -> list[Broken]:
    """Return the modules that could not be used when they were last imported."""
    return list(_broken)


def owns(key: Key) -> bool:
    """Return whether a name is a stranger's."""
    return key in _owners


def origin(entry: Entry) -> dict[str, str]:
    """Return the distribution, version and source of a stranger's plug-in; nothing for ours."""
    known, _, name = _owners.get((entry.kind, entry.name), (None, "", ""))
    if known is not entry:
        return {}
    found = importlib.metadata.distributions()
    owner = next((one for one in found if _name(one) == name), None)
    return {"distribution": name, "version": _version(owner), "source": entry.source}


def import_all() -> None:
    """Import every stranger's module, in an order that does not depend on the installation."""
    forget()
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions():
        if GROUP in (distribution.read_text("entry_points.txt") or ""):
            found.setdefault(_name(distribution), distribution)  # the first on the path counts
    for name, distribution in sorted(found.items()):
        for module in _modules(distribution, name):
            _import_one(module, name, distribution)


def _modules(distribution: importlib.metadata.Distribution, name: str) -> list[str]:
    try:
        points = distribution.entry_points.select(group=GROUP)
        return sorted({point.value.partition(":")[0].strip() for point in points})
    except Exception as error:
        _give_up("entry_points.txt", name, reason_of(error))
        return []


def _name(distribution: importlib.metadata.Distribution) -> str:
    try:
        return distribution.name or "an unknown distribution"
    except Exception:  # its metadata cannot be read
        return "an unknown distribution"


def _version(distribution: importlib.metadata.Distribution | None) -> str:
    try:
        return str(distribution.version) if distribution else "unknown"
    except Exception:  # as above
        return "unknown"


def forget() -> None:
    """Take back everything that strangers registered."""
    for key, (entry, _, _) in list(_owners.items()):
        if ENTRIES.get(key) is entry:
            del ENTRIES[key]
    _owners.clear()
    _broken.clear()


def take_back(module: str) -> None:
    """Take back what a module of our own packages registered before it failed."""
    for key, entry in list(ENTRIES.items()):
        if getattr(entry.build, "__module__", None) == module:
            del ENTRIES[key]


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Keep strangers' names free while ours are imported: whoever came first, ours win."""
    aside = {key: owner for key, owner in _owners.items() if ENTRIES.get(key) is owner[0]}
    for key in aside:
        del ENTRIES[key]
    try:
        yield
    finally:
        for key, (entry, module, distribution) in aside.items():
            if key in ENTRIES:
                _give_up(module, distribution, _claimed(entry, ENTRIES[key]))
            elif key in _owners:  # not taken back meanwhile
                ENTRIES[key] = entry


def _import_one(module: str, name: str, distribution: importlib.metadata.Distribution) -> None:
    before = dict(ENTRIES)
    try:
        _refuse_versions(distribution)
        with quiet(), _in_this_folder():
            importlib.import_module(module)
        added = {key: entry for key, entry in ENTRIES.items() if before.get(key) is not entry}
        theirs = {key: entry for key, entry in added.items() if not _is_ours(entry)}
        for key, entry in theirs.items():
            _owners[key] = (_checked(key, entry, before), module, name)
            ENTRIES[key] = _owners[key][0]
    except KeyboardInterrupt:
        _roll_back(before)
        raise
    except BaseException as error:  # SystemExit and the like included: a stranger's module
        _roll_back(before)
        _give_up(module, name, reason_of(error))


def _roll_back(before: dict[Key, Entry]) -> None:
    """Undo a module's registrations; ours that it was the first to import stay."""
    kept = {key: entry for key, entry in ENTRIES.items() if key not in before and _is_ours(entry)}
    ENTRIES.clear()
    ENTRIES.update({**before, **kept})


def _give_up(module: str, distribution: str, reason: str) -> None:
    for key, (entry, owner, _) in list(_owners.items()):
        if owner == module:
            del _owners[key]
            if ENTRIES.get(key) is entry:
                del ENTRIES[key]
    fault = Broken(module, distribution, reason)
    if fault not in _broken:
        _broken.append(fault)


def _is_ours(entry: Entry) -> bool:
    module = getattr(entry.build, "__module__", None)
    return str(module).partition(".")[0] in OURS


def _checked(key: Key, entry: Entry, before: dict[Key, Entry]) -> Entry:
    """Return an entry in its proper types.

    Raises:
        _Unusable: If it is none that can be used.
    """
    if key in before:
        raise _Unusable(_claimed(entry, before[key]))
    faults = {
        f"no kind '{entry.kind}', expected one of {', '.join(Kind)}": entry.kind not in set(Kind),
        "a builder that cannot be called with named parameters": not _has_signature(entry.build),
        f"the needs {entry.needs!r}, expected a list of names of distributions": not all(
            isinstance(need, str) and len(need) > 1 for need in entry.needs
        ),
        f"the lacks {set(entry.lacks)}, expected some of {', '.join(Property)}": not (
            entry.lacks <= set(Property)
        ),
    }
    for fault, found in faults.items():
        if found:
            raise _Unusable(f"it registers {fault}; at {entry.where}")
    return dataclasses.replace(entry, kind=Kind(entry.kind))


def _has_signature(build: Callable[..., object]) -> bool:
    try:
        inspect.signature(build)
    except (TypeError, ValueError):
        return False
    return True


def _claimed(entry: Entry, other: Entry) -> str:
    return (
        f"two plug-ins claim the {entry.kind} name '{entry.name}': {other.where} and "
        f"{entry.where}; the first is used, rename the second"
    )


def reason_of(error: BaseException) -> str:
    """Return one line about an exception; our own words need no name before them."""
    text = " ".join(str(error).split())
    if isinstance(error, _Unusable | BenchError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _refuse_versions(distribution: importlib.metadata.Distribution) -> None:
    """Refuse a distribution for which an installed library is too old or too new.

    One that is absent is left to the import, for it may be needed for other things only.
    """
    wrong = [str(part) for part in unmet(distribution.requires or [])]
    if wrong:
        raise _Unusable("; ".join(wrong))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what is printed to standard error: standard output may be read by a program."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # no such stream: only Python's own needs care
        kept = None
    try:
        if kept is not None:
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


@contextlib.contextmanager
def _in_this_folder() -> Iterator[None]:
    """Return to the current directory: a person's relative paths are meant from there."""
    here = Path.cwd()
    try:
        yield
    finally:
        os.chdir(here)
