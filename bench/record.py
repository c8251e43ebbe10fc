"""What a record must look like before anything in it is believed: a shared store is untrusted.

A record is one canonical JSON mapping with its own checksum in it: the sha256 of the file's bytes
without the checksum's entry and the last line's end. That is the digest of the rest of the record,
and takes no second encoding to check.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from bench import canonical
from bench.inputs import escaped

FORMAT = 1
STATUSES = ("ok", "skipped", "failed", "timeout", "oom", "crashed", "invalid")
FAULTY = STATUSES[2:]
"""Statuses of a cell that should have been measured and was not."""
LARGEST = 64 * 2**20
"""Bytes of a record, at most."""
DEEPEST = 32
"""Levels of lists and mappings in a record, at most."""
LARGEST_INTEGER = 2**64
LONGEST_NAME = 200
FIELDS: dict[str, type] = {
    "task": str, "label": str, "status": str, "reason": str, "rows": list, "files": dict,
    "uses": list, "timing": bool, "spec": dict, "made": dict,
}  # fmt: skip
SAID = ("task", "label", "reason")
"""Fields that are printed to terminals as they are."""
Record = dict[str, Any]

_is_hex = re.compile("[0-9a-f]{64}").fullmatch
_unsafe = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]").search


def is_key(value: object) -> bool:
    """Return whether a value is a key or another sha256: 64 hexadecimal digits."""
    return type(value) is str and _is_hex(value) is not None


def is_plain_name(name: object) -> bool:
    """Return whether a file name is one visible path component, which leads nowhere else."""
    return (
        isinstance(name, str)
        and bool(name)
        and name.isprintable()
        and name[0] != "."
        and not any(sign in name for sign in "/\\:")
        and len(name.encode()) <= LONGEST_NAME
    )


def written(record: Mapping[str, Any]) -> bytes:
    """Return the content of a record's file; format and checksum are added here."""
    body = {**record, "format": FORMAT}
    body.pop("checksum", None)
    body["label"], body["reason"] = escaped(body["label"]), escaped(body["reason"])
    body["rows"] = _showable(body["rows"])
    body["checksum"] = canonical.digest(body)
    return canonical.dumps(body).encode() + b"\n"


def fault(content: bytes, key: str) -> str:
    """Return why a record cannot be used, or an empty text."""
    return read(content, key)[1]


def read(content: bytes, key: str) -> tuple[Record | None, str]:
    """Return a record, or None and why it cannot be used; never raises for what it holds."""
    if len(content) > LARGEST:
        return None, f"larger than {LARGEST >> 20} MiB"
    try:
        record = canonical.loads(content)
    except RecursionError:
        return None, f"nested deeper than {DEEPEST} levels"
    except (ValueError, MemoryError) as error:
        return None, f"not JSON: {escaped(str(error))[:200]}"
    if type(record) is not dict:
        return None, "not a record"
    reason = (
        _origin(record, content, key)
        or _fields(record)
        or _parts(record)
        or _values(record)
        or _texts(record, content)
    )
    return (None, reason) if reason else (record, "")


def basis_fault(record: Mapping[str, Any]) -> str:
    """Return how a record contradicts what its key was made of, or an empty text.

    Records of earlier versions do not say what that was, and are not faulted for it.
    """
    basis = record.get("basis")
    if basis is None:
        return ""
    if canonical.digest(basis) != record["key"]:
        return "its key is not the digest of its basis"
    for name in ("task", "spec", "uses"):
        if basis.get(name) != record[name]:
            return f"its {name} is not the one in its basis"
    if ("machine" in basis) != record["timing"]:
        return "its basis and its 'timing' disagree on whether it is a timing"
    return ""


def _origin(record: Record, content: bytes, key: str) -> str:
    """Is it of this format, unchanged, and where it belongs?"""
    form = record.get("format")
    if type(form) is not int or form != FORMAT:
        newer = type(form) is int and form > FORMAT
        whose = "made by a newer version of bench; " if newer else ""
        return f"format {_shown(form)}: {whose}this version reads {FORMAT}"
    claimed = record.get("checksum")
    if not is_key(claimed):
        return "there is no checksum in it"
    rest = content.removesuffix(b"\n").replace(f'"checksum":"{claimed}",'.encode(), b"", 1)
    if hashlib.sha256(rest).hexdigest() != claimed:
        return "the checksum is off: the record was changed or damaged"
    if record.get("key") != key or not is_key(key):
        return f"holds the key {_shown(record.get('key'))}"
    return ""


def _fields(record: Record) -> str:
    for name, kind in FIELDS.items():
        if type(record.get(name)) is not kind:
            return f"'{name}' is {_shown(record.get(name))}, expected a {kind.__name__}"
    if "basis" in record and type(record["basis"]) is not dict:
        return "'basis' is no mapping"
    if record["status"] not in STATUSES:
        return f"status {_shown(record['status'])}"
    for name in SAID:
        if not record[name].isprintable():
            return f"'{name}' holds control characters"
    return ""


def _parts(record: Record) -> str:
    for row in record["rows"]:
        if type(row) is not dict:
            return "a row is no mapping"
    for name, facts in record["files"].items():
        if not is_plain_name(name):
            return f"{_shown(name)} is no plain file name"
        if type(facts) is not dict or not is_key(facts.get("sha256")):
            return f"the file {_shown(name)} has no sha256"
        if type(facts.get("bytes")) is not int or facts["bytes"] < 0:
            return f"the file {_shown(name)} has no size"
    return "" if all(is_key(used) for used in record["uses"]) else "'uses' holds more than keys"


def _texts(record: Record, content: bytes) -> str:
    """Look for texts that a terminal would obey; where the bytes are plain, there are none."""
    if content.isascii() and b"\\" not in content and b"\x7f" not in content:
        return ""  # JSON has no control characters but escaped ones
    texts: list[str] = []
    level: list[Any] = [record]
    while level:
        for holder in level:
            texts.extend(item for item in holder if type(item) is str)
        level = _parts_of(level)
        texts.extend(item for item in level if type(item) is str)
        level = [item for item in level if type(item) in (dict, list)]
    return "a text in it holds control characters" if _unsafe("".join(texts)) else ""


def _values(record: Record) -> str:
    """Look at every value, level by level, so that nesting costs no stack."""
    level: list[Any] = [record]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for value in _parts_of(level):
            kind = type(value)
            if kind is dict or kind is list:
                inner.append(value)
            elif kind is int and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
                return "a number in it is beyond 64 bits"
        if not inner:
            return ""
        level = inner
    return f"nested deeper than {DEEPEST} levels"


def _parts_of(holders: list[Any]) -> list[Any]:
    """Return the values in some lists and mappings."""
    parts: list[Any] = []
    for holder in holders:
        parts.extend(holder.values() if type(holder) is dict else holder)
    return parts


def _showable(value: Any) -> Any:
    """Return rows whose texts no terminal obeys; line ends and tabs stay."""
    if isinstance(value, str):
        return "".join(escaped(sign) if _unsafe(sign) else sign for sign in value)
    if isinstance(value, Mapping):
        return {escaped(str(name)): _showable(item) for name, item in value.items()}
    return [_showable(item) for item in value] if isinstance(value, list | tuple) else value


def _shown(value: object) -> str:
    """Return a stranger's value for a message: short, on one line, and never nested."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return repr(escaped(value[:40]))
    return str(value) if type(value) in (bool, float) or _is_small(value) else type(value).__name__


def _is_small(value: object) -> bool:
    return type(value) is int and abs(value) <= LARGEST_INTEGER
