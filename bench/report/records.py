"""The records behind the numbers, one compact panel each: inputs, seeds, hashes, machine."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.report.again import cell_again
from bench.report.rows import RunLike, floating, machine_words

KEY = re.compile(r"[0-9a-f]{64}")
SHORT = 16
"""Characters of a key in the name of a place: enough for all records there will be."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What a reader may ask about one record."""

    anchor: str
    key: str
    label: str
    status: str
    reason: str
    command: str
    facts: tuple[tuple[str, str], ...]
    """Name and value, in the order of reading."""
    uses: tuple[tuple[str, str], ...] = ()
    """Place and label of the records that it was made from."""


def anchor(key: str) -> str:
    """Return the name of a record's place in a page: letters, digits and dashes."""
    short = key[:SHORT] if KEY.fullmatch(key) else re.sub(r"[^A-Za-z0-9]+", "-", key)
    return f"record-{short}"


def panels(run: RunLike) -> list[Panel]:
    """Return a panel for every record of a run, by label."""
    records = {str(record["key"]): record for record in getattr(run, "records", ())}
    if not records:  # a run that is rows alone
        records = _from_rows(run)
    labels = {key: str(record.get("label") or key) for key, record in records.items()}
    found = [
        Panel(
            anchor(key),
            key,
            labels[key],
            str(record.get("status") or ""),
            str(record.get("reason") or ""),
            cell_again(run, labels[key]),
            tuple((name, value) for name, value in _facts(record).items() if value),
            tuple((anchor(key), labels[key]) for key in record.get("uses", ()) if key in labels),
        )
        for key, record in records.items()
    ]
    return sorted(found, key=lambda panel: (panel.label, panel.key))


def _from_rows(run: RunLike) -> dict[str, dict[str, Any]]:
    about = ["key", "task", "label", "status", "reason"]
    if not set(about) <= set(run.rows.columns):
        return {}
    rows = run.rows[about].drop_duplicates("key").astype(object).fillna("")
    return {str(row["key"]): row for row in rows.to_dict("records")}


def _facts(record: Mapping[str, Any]) -> dict[str, str]:
    made = _mapping(record.get("made"))
    basis = _mapping(record.get("basis"))
    git = _mapping(made.get("git"))
    data = _mapping(basis.get("data"))
    spec = _mapping(record.get("spec"))
    seconds, memory = floating(made.get("seconds")), floating(made.get("peak_rss_mib"))
    return {
        "Key": str(record.get("key") or ""),
        "Task": str(record.get("task") or ""),
        "Seed": str(spec["seed"]) if "seed" in spec else "",
        "Inputs": _words(spec),
        "Data": _words(data),
        "Code": str(basis.get("code") or ""),
        "Modules": ", ".join(map(str, basis.get("modules") or ())),
        "Files": _files(_mapping(record.get("files"))),
        "Took": ", ".join(
            part
            for part in (
                f"{seconds:,.1f} s" if seconds is not None else "",
                f"{memory:,.0f} MiB at most" if memory is not None else "",
            )
            if part
        ),
        "Machine": machine_words(_mapping(made.get("machine"))),
        "Commit": f"{git['commit']}{' (files changed since)' if git.get('changed') else ''}"
        if git.get("commit")
        else "",
        "Checksum": str(record.get("checksum") or ""),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False) if value else ""


def _files(files: Mapping[str, Any]) -> str:
    told = []
    for name, about in sorted(files.items()):
        about = _mapping(about)
        told.append(f"{name} ({about.get('bytes', '?')} bytes, sha256 {about.get('sha256', '?')})")
    return "; ".join(told)
