"""A file of settings: TOML, known names only, checked before anything is made of it."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api import BenchError
from bench.errors import unknown
from bench.inputs import printable, read_whole, unreadable

LARGEST_FILE = 2**17
LONGEST_LINE = 1000
"""A key of thousands of parts would take the TOML reader minutes."""


@dataclass(frozen=True)
class FileSettings:
    """The settings of a file: dotted names and values, known names only."""

    path: Path
    values: Mapping[str, Any]


def read_file(path: Path, groups: Mapping[str, Any]) -> FileSettings:
    """Return the settings of a TOML file.

    Args:
        path: The file.
        groups: Every setting with its default; groups are mappings.

    Raises:
        BenchError: If it cannot be read, is no TOML, or names something that is no setting.
    """
    where = f"settings file {printable(path)}"
    try:
        text = read_whole(path, LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchError(f"{where} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise unreadable(path, error, "a TOML file of settings") from None
    longest = max(map(len, text.splitlines()), default=0)
    if longest > LONGEST_LINE:
        raise BenchError(f"{where} has a line of {longest} characters; break it up")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise BenchError(f"{where} is nested too deeply; expected lines: name = value") from None
    except ValueError as error:  # a number of too many digits included
        raise BenchError(f"{where} is not TOML: {printable(error, 200)}; mend it") from None
    try:
        return FileSettings(path, dict(_named(tables, groups, names(groups))))
    except BenchError as error:
        raise BenchError(f"{where}: {error}") from None


def _named(
    tables: Mapping[str, Any], group: Mapping[str, Any], known: list[str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of what a file sets; a group of settings is a table."""
    for key, value in tables.items():
        name = f"{prefix}{key}"
        if key not in group:
            raise unknown("setting", printable(name, 100), known)
        if isinstance(group[key], dict):
            if not isinstance(value, dict):
                raise BenchError(f"{name} is a group of settings, expected a table: [{name}]")
            yield from _named(value, group[key], known, f"{name}.")
        else:
            _check_type(name, value, group[key])
            yield name, value


def _check_type(name: str, value: Any, default: Any) -> None:
    """Raise a BenchError unless a value of a file is of the type of its setting."""
    if isinstance(default, tuple):
        right = isinstance(value, list) and not any(isinstance(v, bool | dict) for v in value)
        expected = "a list"
    elif isinstance(default, bool):
        right, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, str):
        right, expected = isinstance(value, str) or type(value) is int, "a text"  # "all", or 12
    else:
        right, expected = isinstance(value, int | float), "a number"
        right = right and not isinstance(value, bool)
    if not right:
        raise BenchError(f"{name} is {shown(value)}, expected {expected}")


def shown(value: Any) -> str:
    """Return a value for a message."""
    try:
        return printable(repr(value), 60)
    except ValueError:  # Python refuses to write out integers of thousands of digits
        return "a number of thousands of digits"


def names(groups: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all settings."""
    return sorted(name for name, _ in items(groups))


def items(groups: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield every setting with its dotted name."""
    for key, value in groups.items():
        if isinstance(value, Mapping):
            yield from items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
