"""Options that a person writes after a plug-in's name: `ddim+eta=0.5+clip=false`."""

import inspect
import math
from typing import Any, get_args

from bench.errors import BenchError

Option = bool | int | float | str


def options_of(text: str) -> tuple[str, dict[str, Option]]:
    """Return name and options of `name+option=value+...`.

    Values that read as such are booleans (`true`, `false`) and numbers. A name with a colon
    (`folder:a+b`) has no options: what follows is a place or another name.

    Raises:
        BenchError: If a part is not of the form option=value, or an option comes twice.
    """
    if ":" in text:
        return text, {}
    name, *parts = text.split("+")
    options: dict[str, Option] = {}
    for part in parts:
        option, equals, value = part.partition("=")
        if not equals or not option.isidentifier() or not value or option in options:
            raise BenchError(
                f"'{text}': expected name+option=value, each option once, such as ddim+eta=0.5"
            )
        options[option] = _value(value)
    return name, options


def named(name: str, options: dict[str, Option]) -> str:
    """Return the text of a name and its options, in one form: the inverse of `options_of`."""
    return "+".join([name, *(f"{key}={_text(options[key])}" for key in sorted(options))])


def as_declared(value: Option, declared: Any) -> Option | None:
    """Return a value in the type that a parameter's annotation names; None where it is of another.

    A whole number is a float, but a truth value is no number. Where nothing is declared, or only as
    a text, any value will do.
    """
    kinds = get_args(declared) or (declared,)
    if declared is inspect.Parameter.empty or isinstance(declared, str):
        return value
    if isinstance(value, bool):
        return value if bool in kinds else None
    if float in kinds and isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    return value if type(value) in kinds else None


def _value(text: str) -> Option:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _text(value: Option) -> str:
    # 1e+16 would be cut at its plus.
    return str(value).lower() if isinstance(value, bool) else str(value).replace("e+", "e")
