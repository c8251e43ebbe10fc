"""Whether the instruments of a run can be believed: its canaries decide, before any number."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.errors import BenchError
from bench.inputs import escaped
from bench.record import FAULTY
from bench.runs import Run

CANARY = "canary"


class Untrusted(BenchError):
    """A run whose instruments did not give what was known beforehand."""

    exit_code = 4


def refuse_untrusted(run: Run) -> None:
    """Refuse a run whose canaries failed: no number of it may be shown.

    Raises:
        Untrusted: If one did not give the known answer, or the cell of those that every number
            rests on could not be measured.
    """
    found = [fault for record in run.records for fault in _faults(record)]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Untrusted(
            f"{found[0]}{more}; no number of this run can be believed, so nothing is reported and "
            "an earlier report stays; see what `bench doctor` says, then run again: what failed is "
            "measured anew"
        )


def failed_canary(record: Mapping[str, Any]) -> bool:
    """Return whether a record holds a known answer that was not found."""
    return record["task"] == CANARY and any(row.get("passed") is not True for row in record["rows"])


def _faults(record: Mapping[str, Any]) -> Iterator[str]:
    if record["task"] != CANARY or record["timing"]:
        return  # a clock that a busy machine disturbed: `check` says so, and the page
    if record["status"] in FAULTY:
        yield (
            f"the known answers could not be measured: '{record['label']}' is {record['status']} "
            f"({record['reason']})"
        )
    for row in record["rows"]:
        if row.get("passed") is not True:
            yield (
                f"the canary {escaped(str(row.get('canary'))[:80])} failed: expected "
                f"{_short(row.get('expected'))}, measured {_measured(row)}, tolerance "
                f"{_short(row.get('tolerance'))}"
            )


def _measured(row: Mapping[str, Any]) -> str:
    fault = row.get("fault")
    return f"nothing ({escaped(str(fault)[:120])})" if fault else _short(row.get("measured"))


def _short(value: object) -> str:
    return f"{value:.8g}" if type(value) is float else escaped(str(value)[:80])
