"""Which distributions are installed, and whether they are of the versions that are asked for."""

import functools
import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A distribution that another one asks for."""

    name: str
    found: str
    """The version here, an empty text where it is absent."""
    wanted: str
    """The range that is asked for, such as ">=1.26"; empty where every version will do."""
    extra: str
    """The optional part that asks for it; empty where it is always needed."""
    fits: bool

    def __str__(self) -> str:
        """Return it in words."""
        if not self.found:
            return f"{self.name} is not installed, needs {self.name}{self.wanted}"
        return f"{self.name} {self.found}, needs {self.wanted or 'any version'}"


def parts(requires: Iterable[str]) -> Iterator[Part]:
    """Yield what lines of metadata (`numpy>=1.26; extra == "test"`) ask for on this machine."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        extra = _extra(requirement)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        found = version(requirement.name)
        fits = bool(found) and requirement.specifier.contains(found, prereleases=True)
        yield Part(requirement.name, found, str(requirement.specifier), extra, fits)


def unmet(requires: Iterable[str]) -> list[Part]:
    """Return what is always needed and is installed in a version that does not fit."""
    return [part for part in parts(requires) if part.found and not part.fits and not part.extra]


def is_installed(need: str) -> bool:
    """Return whether a distribution is installed, in a version that fits where one is named."""
    found = list(parts([need]))
    return bool(found) and found[0].fits


@functools.cache
def version(distribution: str) -> str:
    """Return the version of a distribution, an empty text where it is not installed."""
    try:
        return importlib.metadata.version(distribution) or ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def _extra(requirement: object) -> str:
    """Return the extra that a requirement belongs to, by asking its marker."""
    marker = getattr(requirement, "marker", None)
    named = re.search(r"""extra\s*==\s*["']([^"']+)["']""", str(marker or ""))
    return named[1] if named else ""
