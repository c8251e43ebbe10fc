"""One way to write a value as JSON, so that equal values have equal bytes and equal hashes."""

import hashlib
import json
import math
from typing import Any

FLOAT = "$float"
"""Marks the floats that JSON has no word for: {"$float": "inf"}."""


def dumps(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, shortest floats, non-finite ones marked."""
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def loads(text: str | bytes) -> Any:
    """Return the value of canonical JSON."""
    return json.loads(text, object_hook=_revive)


def digest(value: Any) -> str:
    """Return the sha256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: repr(float(value))}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "item"):  # a numpy or torch scalar
        return _plain(value.item())
    if hasattr(value, "items"):
        return _plain(dict(value))
    raise TypeError(f"{type(value).__name__} has no canonical form; use plain values")


def _revive(mapping: dict[str, Any]) -> Any:
    return float(mapping[FLOAT]) if set(mapping) == {FLOAT} else mapping
