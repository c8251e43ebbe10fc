"""One way to write a value as JSON, so that equal values have equal bytes and equal hashes."""

import hashlib
import json
import math
from typing import Any, NoReturn

FLOAT = "$float"
"""Marks the floats that JSON has no word for: {"$float": "inf"}."""
NON_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def dumps(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, shortest floats, non-finite ones marked.

    Raises:
        TypeError: If the value holds something that is not plain.
        ValueError: If a mapping looks like a marked float, or two of its keys are written alike.
    """
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def loads(text: str | bytes) -> Any:
    """Return the value of canonical JSON; bytes are UTF-8 and nothing else.

    Raises:
        ValueError: If it is not JSON, or not text.
        RecursionError: If it is nested deeper than Python can follow.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    decoder = _REVIVING if FLOAT in text else _PLAIN  # a hook per mapping costs half the time
    return decoder.decode(text)


def digest(value: Any) -> str:
    """Return the sha256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, dict):
        return _plain_mapping(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: repr(float(value))}
    if isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "item"):  # a numpy or torch scalar
        return _plain(value.item())
    if hasattr(value, "items"):
        return _plain_mapping(dict(value))
    raise TypeError(f"{type(value).__name__} has no canonical form; use plain values")


def _plain_mapping(mapping: dict[Any, Any]) -> dict[str, Any]:
    plain = {str(key): _plain(item) for key, item in mapping.items()}
    if len(plain) != len(mapping):
        raise ValueError(f"two keys of a mapping are written alike: {sorted(plain)}")
    if len(plain) == 1 and FLOAT in plain:
        raise ValueError(f"a mapping with '{FLOAT}' alone stands for a float; use another key")
    return plain


def _revive(mapping: dict[str, Any]) -> Any:
    if len(mapping) != 1 or FLOAT not in mapping:
        return mapping
    word = mapping[FLOAT]
    if not isinstance(word, str) or word not in NON_FINITE:
        raise ValueError(f"'{FLOAT}' stands for inf, -inf or nan, and for nothing else")
    return NON_FINITE[word]


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_PLAIN = json.JSONDecoder(parse_constant=_refuse)
_REVIVING = json.JSONDecoder(parse_constant=_refuse, object_hook=_revive)
